/** The two pages of docs/embedding.md, on sites of other origins than the server's. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { after, afterEach, before, test } from "node:test";
import { closePages, enter, errorsOf, flows, open, startChromium, startDuet, state, until } from "./lab.js";

/** @import { Page } from "puppeteer-core" */

/** @type {import("./lab.js").Duet} */
let duet;
/** @type {Awaited<ReturnType<typeof startChromium>>} */
let chromium;
/** @type {import("node:http").Server} */
let site;
/** The site that is in the configuration, and the same under a name that is not. */
let known = "";
let stranger = "";

before(async () => {
  site = createServer((request, response) => {
    const { pathname, search } = new URL(request.url ?? "", known);
    void readFile(new URL(`../docs/examples${pathname}`, import.meta.url), "utf8").then(
      (page) => {
        response.setHeader("Content-Type", "text/html");
        response.end(page.replaceAll("https://call.example.org", duet.url).replace(/(?<=room="|#)tea\b/, search.slice(1))); // a room for each test
      },
      () => response.writeHead(404).end(),
    );
  });
  await new Promise((resolve) => site.listen(0, () => resolve(undefined)));
  const at = site.address();
  const port = typeof at === "object" ? at?.port : "";
  known = `http://localhost:${port}`;
  stranger = `http://127.0.0.1:${port}`;
  duet = await startDuet({ DUET_HTTP_ALLOWED_ORIGINS: known, DUET_HTTP_FRAME_ANCESTORS: known });
  chromium = await startChromium();
});
afterEach(closePages);
after(async () => {
  site.close();
  await chromium?.close();
  await duet?.stop();
});

/**
 * What the page has been told.
 * @param {Page} page
 */
const log = (page) => page.$$eval("#log li", (lines) => lines.map((line) => line.textContent ?? ""));

/** @param {Page} page */
const complaints = (page) => errorsOf(page).filter((error) => !/favicon|404/.test(error));

/** @param {Page} page */
async function callFrame(page) {
  const element = await page.waitForSelector("iframe");
  const frame = await element?.contentFrame();
  assert.ok(frame);
  return frame;
}

test("a page with a frame has a call in it, and is told who comes and goes", async () => {
  const ann = await open(chromium.browser, `${known}/frame.html?green`);
  const frame = await callFrame(ann);
  const join = await frame.waitForSelector("#join:not([disabled])", { visible: true });
  assert.deepEqual(await frame.$$eval("a, #start, #room, #invite", (all) => all.filter((one) => one.checkVisibility()).map((one) => `${one.localName}#${one.id}`)), []);
  assert.ok(await frame.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "it fits the frame's width");
  await join?.click();
  await until("it is told that it has joined", async () => (await log(ann)).includes('joined {"room":"green"}'));
  const bo = await enter(chromium.browser, duet.url, { room: "green", name: "Bo" });
  await state(bo, "connected");
  await flows(bo);
  await frame.waitForFunction(() => document.body.dataset.state === "connected");
  await until("it is told of Bo", async () => (await log(ann)).some((line) => /^member .*"joined".*"Bo"/.test(line)));
  await bo.click("#leave");
  await until("it is told that Bo has left", async () => (await log(ann)).some((line) => /^member .*"left".*"Bo"/.test(line)));
  await frame.click("#leave");
  await until("it is told of the end", async () => (await log(ann)).at(-1) === 'left {"reason":"left"}');
  assert.ok(await (await frame.waitForSelector("#join", { visible: true }))?.isVisible(), "Join leads back in");
  await frame.click("#join");
  await until("it is in again", async () => (await log(ann)).filter((line) => line === 'joined {"room":"green"}').length === 2);
  assert.deepEqual(complaints(ann), []);
});

test("a frame that is told to goes in by itself", async () => {
  const ann = await open(chromium.browser, `${known}/frame.html?oolong`);
  await ann.$eval("iframe", (frame) => (frame.src = frame.src.replace("name=Ann", "name=Ann&join=1")));
  await until("it has joined", async () => (await log(ann)).includes('joined {"room":"oolong"}'));
});

test("a site that is not in frame_ancestors sees nothing of the call page", async () => {
  const page = await open(chromium.browser, `${stranger}/frame.html?mint`);
  await until("the browser refuses", () => errorsOf(page).some((error) => /frame-ancestors/.test(error)));
  const frame = await callFrame(page);
  assert.equal(await frame.$("#join"), null);
  assert.deepEqual(await log(page), []);
});

test("nobody is told who is in a call that was not opened to be embedded", async () => {
  const page = await open(chromium.browser, `${known}/frame.html?rooibos`);
  await page.$eval("iframe", (frame) => (frame.src = frame.src.replace("embed=1&", "")));
  const first = await page.waitForFrame((frame) => frame.url().startsWith(duet.url) && !frame.url().includes("embed"));
  await (await first.waitForSelector("#join:not([disabled])", { visible: true }))?.click();
  await first.waitForFunction(() => document.body.dataset.state === "waiting");
  assert.deepEqual(await log(page), []);
});

/**
 * Presses a button inside of the element.
 * @param {Page} page
 * @param {string} button
 */
async function press(page, button) {
  const found = await page.waitForSelector(`duet-call >>> ${button}`, { visible: true });
  await found?.click();
}

/**
 * @param {Page} page
 * @returns {Promise<{status: string, seconds: number, tracks: string[]}>}
 */
const inside = (page) =>
  page.$eval("duet-call", (element) => ({
    status: element.shadowRoot?.querySelector("#status")?.textContent ?? "",
    seconds: element.shadowRoot?.querySelector("#tiles video")?.getAttribute("aria-label") ? /** @type {HTMLVideoElement} */ (element.shadowRoot.querySelector("#tiles video")).currentTime : 0,
    tracks: seen.tracks.map(({ kind, enabled, readyState }) => `${kind} ${readyState} ${enabled ? "on" : "off"}`),
  }));

test("two pages with the element see each other, mute, leave and let go of the camera", async () => {
  const pages = [await open(chromium.browser, `${known}/element.html?chai`), await open(chromium.browser, `${known}/element.html?chai`)];
  const [ann, bo] = pages;
  assert.deepEqual((await inside(ann)).tracks, [], "no camera before Join is pressed");
  for (const page of pages) await press(page, "#join");
  for (const page of pages) {
    await until("they are connected", async () => (await inside(page)).status === "Connected");
    const { seconds } = await inside(page);
    await until("the picture moves", async () => (await inside(page)).seconds > seconds);
    assert.equal((await log(page))[0], 'joined {"room":"chai"}');
    await until("each is told of the other", async () => (await log(page)).some((line) => /^member .*"(joined|present)".*"Ann"/.test(line)));
  }
  await press(bo, "#mic");
  assert.deepEqual((await inside(bo)).tracks.sort(), ["audio live off", "video live on"]);
  await press(bo, "#leave");
  await until("Bo's page is told", async () => (await log(bo)).at(-1) === 'left {"reason":"left"}');
  assert.deepEqual((await inside(bo)).tracks.sort(), ["audio ended off", "video ended on"]);
  await until("Ann's is told", async () => (await log(ann)).some((line) => /^member .*"left"/.test(line)) && (await inside(ann)).status === "The other person has left.");
  await ann.$eval("duet-call", (element) => element.remove());
  assert.deepEqual((await inside(bo)).status, "The call is over.");
  await until("taken out of the page, the element has left", () => ann.evaluate(() => seen.tracks.every((track) => track.readyState === "ended") && seen.connections.every((connection) => connection.connectionState === "closed")));
  assert.deepEqual(pages.flatMap(complaints), []);
});

test("the element of a site that is not among the allowed origins says that it failed", async () => {
  const page = await open(chromium.browser, `${stranger}/element.html?sencha`);
  await press(page, "#join");
  await until("it is told", async () => (await log(page)).some((line) => line.startsWith("error ")));
  assert.match((await inside(page)).status, /^The call did not work: .+\. You can join again\.$/);
  assert.ok((await log(page)).every((line) => !line.startsWith("joined")));
});

test("the element speaks the language of the page around it", async () => {
  const page = await open(chromium.browser, `${known}/element.html?puer`);
  await page.evaluate(() => {
    const element = document.createElement("duet-call");
    document.body.setAttribute("lang", "zh-CN");
    document.querySelector("duet-call")?.replaceWith(element);
  });
  assert.equal(await page.$eval("duet-call >>> #join", (button) => button.textContent), "加入通话");
});
