/** A call, as two people make it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { join } from "node:path";
import { artifacts, call, chat, data, enter, errorsOf, flows, media, open, say, setStage, startChromium, state, until, viaRelay } from "./lab.js";

const stage = setStage({ DUET_TURN_TCP: "false" }); // else a busy browser may choose it; transports.test.js is about that

test("two people see and hear each other through our relay alone, and chat", async () => {
  const [ann, bo] = await call(stage.chromium.browser, stage.duet.url, { room: "relayed", policy: "relay" });
  for (const page of [ann, bo]) {
    const got = await flows(page);
    assert.equal(got.local, "relay");
    assert.ok(viaRelay(got.remote), got.remote);
    assert.equal(got.relayProtocol, "udp");
    await until("the path is known", async () => (await data(page, "#path")).path === "relayed");
    assert.equal((await data(page, "#path")).protocol, "udp");
    assert.match(await page.$eval("#path", (path) => path.textContent), /relayed over UDP/);
  }
  await say(ann, "Can you see me? <b>&</b>");
  await until("Bo reads it", async () => (await chat(bo)).includes("Can you see me? <b>&</b>"));
  await say(bo, "Yes.");
  await until("Ann reads it", async () => (await chat(ann)).includes("Yes."));
  await ann.screenshot({ path: join(artifacts, "call.png") });
  for (const page of [ann, bo]) {
    assert.deepEqual(errorsOf(page), []);
  }
});

test("two people who can reach each other are connected directly", async () => {
  const [ann, bo] = await call(stage.chromium.browser, stage.duet.url, { room: "direct" });
  for (const page of [ann, bo]) {
    const got = await flows(page);
    assert.notEqual(got.local, "relay");
    assert.notEqual(got.remote, "relay");
    await until("the path is known", async () => (await data(page, "#path")).path === "direct");
  }
});

test("a third person is told that the room is full, and gets the seat once one leaves", async () => {
  const [ann, bo] = await call(stage.chromium.browser, stage.duet.url, { room: "three" });
  const cy = await enter(stage.chromium.browser, stage.duet.url, { room: "three", name: "Cy" });
  await state(cy, "full");
  assert.match(await cy.$eval("#status", (status) => status.textContent), /full/i);
  await cy.screenshot({ path: join(artifacts, "full.png") });

  await bo.click("#leave");
  await state(bo, "home");
  await state(ann, "left", "waiting");
  const di = await enter(stage.chromium.browser, stage.duet.url, { room: "three", name: "Di" });
  await state(di, "connected");
  await state(ann, "connected");
  await flows(ann);
});

test("two rooms at once do not hear each other", async () => {
  const [ann, bo] = await call(stage.chromium.browser, stage.duet.url, { room: "tea" });
  const [cy, di] = await call(stage.chromium.browser, stage.duet.url, { room: "coffee" });
  await say(ann, "tea is ready");
  await say(cy, "coffee is ready");
  await until("Bo reads Ann", async () => (await chat(bo)).length > 0);
  await until("Di reads Cy", async () => (await chat(di)).length > 0);
  assert.deepEqual(await chat(bo), ["tea is ready"]);
  assert.deepEqual(await chat(di), ["coffee is ready"]);
  for (const page of [ann, bo, cy, di]) {
    await flows(page);
    assert.equal(await page.evaluate(() => seen.connections.length), 1, "a connection to another room");
  }
});

test("muting and switching the camera off neither negotiates, nor asks, nor opens a socket again", async () => {
  const [ann, bo] = await call(stage.chromium.browser, stage.duet.url, { room: "mute" });
  await flows(bo);
  const counted = () => ann.evaluate(() => [seen.negotiations, seen.media, seen.sockets, seen.connections.length]);
  const first = await counted();
  await ann.click("#mic");
  await ann.click("#camera");
  const enabled = () => ann.evaluate(() => seen.connections[0]?.getSenders().map((sender) => sender.track?.enabled ?? false) ?? []);
  await until("both are off", async () => (await enabled()).every((on) => !on));
  await ann.click("#mic");
  await ann.click("#camera");
  await until("both are on", async () => (await enabled()).every((on) => on));
  await flows(bo);
  assert.deepEqual(await counted(), first);
});

test("leaving stops every track, closes the connection and shows home", async () => {
  const [ann, bo] = await call(stage.chromium.browser, stage.duet.url, { room: "leave" });
  await bo.click("#leave");
  await state(bo, "home");
  await until("the call's connection is closed", () => bo.evaluate(() => seen.connections.every((c) => c.connectionState === "closed")));
  assert.deepEqual(await bo.evaluate(() => seen.connections.flatMap((c) => c.getSenders().map((s) => s.track?.readyState ?? "none")).filter((s) => s === "live")), []);
  await state(ann, "left", "waiting");
});

test("people with the same name are two people", async () => {
  const ann = await enter(stage.chromium.browser, stage.duet.url, { room: "names", name: "Ann" });
  await state(ann, "waiting");
  const other = await enter(stage.chromium.browser, stage.duet.url, { room: "names", name: "Ann" });
  await state(ann, "connected");
  await state(other, "connected");
  await flows(ann);
  await flows(other);
});

test("a new call has a link that nobody guesses and that another person can open", async () => {
  const ann = await open(stage.chromium.browser, stage.duet.url);
  await state(ann, "home");
  await ann.waitForSelector("#start:not([disabled])", { visible: true });
  await ann.click("#start");
  await state(ann, "waiting");
  const link = await ann.$eval("#invite-link", (field) => /** @type {HTMLInputElement} */ (field).value);
  assert.ok(link.startsWith(`${stage.duet.url}/#`), link);
  assert.ok((link.split("#")[1] ?? "").length >= 20, link);
  await until("the QR code of the link is drawn", () => ann.$eval("#invite-qr:not([hidden])", (image) => /** @type {HTMLImageElement} */ (image).naturalWidth > 0 && image.clientWidth >= 100).catch(() => false));
  await ann.screenshot({ path: join(artifacts, "waiting.png") });
  const bo = await open(stage.chromium.browser, link);
  await bo.waitForSelector("#join:not([disabled])", { visible: true });
  await bo.click("#join");
  await state(bo, "connected");
  await flows(ann);
});

test("who refuses the camera is told what to do, and can still join and be joined", async () => {
  const page = await open(stage.chromium.browser, `${stage.duet.url}/#refused`, { camera: "denied" });
  await state(page, "home");
  await page.click("#join");
  await page.waitForSelector("#media-notice", { visible: true });
  assert.match(await page.$eval("#media-notice", (notice) => notice.textContent), /allow|permission/i);
  await page.screenshot({ path: join(artifacts, "refused.png") });
  await page.click("#media-skip");
  await state(page, "waiting");
  const ann = await enter(stage.chromium.browser, stage.duet.url, { room: "refused", name: "Ann" });
  await state(ann, "connected");
  await until("who has no camera sees the other one", async () => (await media(page)).frames > 5);
});

test("the page speaks Chinese to those who read it", async () => {
  const chinese = await startChromium({ lang: "zh-CN" });
  try {
    const page = await open(chinese.browser, stage.duet.url, { width: 360, height: 740 });
    await state(page, "home");
    assert.match(await page.$eval("html", (html) => html.lang), /^zh/);
    assert.match(await page.$eval("body", (body) => body.innerText), /\p{Script=Han}{4}/u);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= 360), "the page is wider than the phone");
    await page.screenshot({ path: join(artifacts, "home-zh-phone.png") });
  } finally {
    await chinese.close();
  }
});
