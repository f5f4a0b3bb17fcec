/** A page that is loaded again, crashes, or is opened twice, in the middle of a call. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { join } from "node:path";
import { artifacts, call, flows, open, patience, say, setStage, state, until } from "./lab.js";

const stage = setStage();

/** How soon somebody has to be back, in milliseconds: long before the grace time is over. */
const soon = 10_000;

test("a reload is back in the locked call at once, as the same person, muted as before", async () => {
  const [ann, bo] = await call(stage.chromium.browser, stage.duet.url, { room: "reload" });
  await ann.click("#more");
  await ann.waitForSelector("#lock", { visible: true });
  await ann.click("#lock");
  await bo.waitForSelector("#locked", { visible: true });
  await ann.keyboard.press("Escape");
  await ann.click("#mic");
  const began = Date.now();
  await ann.reload();
  await state(ann, "connected");
  await state(bo, "connected");
  assert.ok(Date.now() - began < soon, `${Date.now() - began} ms`);
  await until("Bo sees the same name", async () => (await bo.$eval("#status", (status) => status.textContent)) === "Ann");
  assert.equal(await ann.$eval("#mic", (button) => button.getAttribute("aria-pressed")), "true", "it would be heard without knowing");
  assert.equal(await ann.$eval("#host", (part) => /** @type {HTMLElement} */ (part).hidden), false, "it hosts no more");
  await until("the video flows both ways", async () =>
    (await Promise.all([ann, bo].map((page) => page.$eval("#remote-video", (video) => /** @type {HTMLVideoElement} */ (video).currentTime)))).every((time) => time > 0.5));
  await say(bo, "welcome back");
  await until("Ann reads it", async () => /welcome back/.test(await ann.$eval("#chat-log", (log) => log.textContent)));
});

test("a page that crashed has its seat back at once, although the room is full until the grace time is over", async () => {
  const [ann, bo] = await call(stage.chromium.browser, stage.duet.url, { room: "crash" });
  await bo.evaluate(() => addEventListener("pagehide", (event) => event.stopImmediatePropagation(), true)); // no farewell
  const began = Date.now();
  await bo.reload();
  await state(bo, "connected");
  await state(ann, "connected");
  assert.ok(Date.now() - began < soon, `${Date.now() - began} ms`);
  await flows(ann);
  await flows(bo);
});

test("a second tab of the same call takes the seat; the first one says so and stops", async () => {
  const [ann, bo] = await call(stage.chromium.browser, stage.duet.url, { room: "twice" });
  const opened = /** @type {Promise<import("puppeteer-core").Page>} */ (new Promise((resolve) => ann.once("popup", (page) => resolve(/** @type {never} */ (page)))));
  await ann.evaluate(() => void globalThis.open(location.href)); // with a copy of what the tab remembers, as "duplicate" makes
  const twin = await opened;
  await until("the first tab has ended", () => ann.evaluate(() => document.body.dataset.state === "ended")); // it is in the background
  assert.match(await ann.$eval("#scene-text", (scene) => scene.textContent), /another tab/i);
  await ann.screenshot({ path: join(artifacts, "replaced.png") });
  twin.setDefaultTimeout(patience);
  await state(twin, "connected");
  await state(bo, "connected");
  await flows(bo);
  const sockets = await ann.evaluate(() => seen.sockets);
  await new Promise((resolve) => setTimeout(resolve, 1000));
  assert.equal(await ann.evaluate(() => seen.sockets), sockets, "the first tab wants the seat back");
});

test("who has left is not put into the call again", async () => {
  const [ann, bo] = await call(stage.chromium.browser, stage.duet.url, { room: "left" });
  const url = bo.url();
  await bo.click("#leave");
  await state(bo, "home");
  await bo.goto(url);
  await bo.reload();
  await state(bo, "home");
  assert.equal(await bo.evaluate(() => seen.sockets), 0);
  await state(ann, "left");
});

test("a tab that is closed leaves the call within seconds", async () => {
  const [ann, bo] = await call(stage.chromium.browser, stage.duet.url, { room: "closed" });
  await bo.close({ runBeforeUnload: false });
  await until("Ann is told", async () => (await ann.evaluate(() => document.body.dataset.state)) === "left", 10_000);
  const cy = await open(stage.chromium.browser, `${stage.duet.url}/#closed`);
  await state(cy, "home");
  await cy.click("#join");
  await state(cy, "connected");
});
