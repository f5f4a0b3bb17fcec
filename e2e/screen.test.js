/** What the other side sees of a screen. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { artifacts, call, errorsOf, flows, setStage, until } from "./lab.js";

/** @import { Page } from "puppeteer-core" */

const stage = setStage(undefined, { args: ["--use-fake-ui-for-media-stream"] }); // which chooses a screen, too

/** The tracks that a page sends, and how often it has negotiated. @param {Page} page */
const sends = (page) =>
  page.evaluate(() => ({
    tracks: seen.connections.at(-1)?.getSenders().map(({ track }) => track?.label ?? "") ?? [],
    negotiations: seen.negotiations,
  }));

/** What a page says of the other. @param {Page} page */
const facts = (page) => page.$$eval(".tile .fact", (all) => all.map(({ textContent }) => textContent));

test("a screen takes the place of the camera and gives it back, without negotiating", async () => {
  const [ann, bo] = await call(stage.chromium.browser, stage.duet.url, { room: "screen" });
  await flows(bo);
  const first = await sends(ann);
  await ann.click("#screen");
  await until("Bo is told", async () => (await facts(bo)).includes("Ann shares a screen"));
  assert.equal(await ann.$eval("#screen", (button) => button.getAttribute("aria-pressed")), "true");
  await until("the screen is sent", async () => (await sends(ann)).tracks[1] !== first.tracks[1]);
  assert.equal((await sends(ann)).negotiations, first.negotiations);
  await flows(bo);
  await bo.screenshot({ path: join(artifacts, "screen.png") });

  // The camera may be off meanwhile: the screen is seen.
  await ann.click("#camera");
  await until("the camera is off", () => ann.$eval("#camera", (button) => button.getAttribute("aria-pressed") === "true"));
  assert.equal(await bo.$eval(".tile", (tile) => tile.classList.contains("no-picture")), false);
  await flows(bo);
  await ann.click("#camera");
  await ann.keyboard.press("s");
  await until("Bo sees the camera again", async () => !(await facts(bo)).includes("Ann shares a screen"));
  await until("all is sent as before", async () => isDeepStrictEqual(await sends(ann), first)); // the voice follows the picture
  await flows(bo);

  // The browser's own button ends it, too.
  await ann.keyboard.press("s");
  await until("it is shared again", async () => (await facts(bo)).includes("Ann shares a screen"));
  await ann.evaluate(() => {
    const track = seen.connections.at(-1)?.getSenders().find((sender) => sender.track?.kind === "video")?.track;
    track?.stop();
    track?.dispatchEvent(new Event("ended"));
  });
  await until("the camera is back", async () => !(await facts(bo)).includes("Ann shares a screen"));
  await flows(bo);

  // Who leaves shares nothing any more.
  await ann.keyboard.press("s");
  await until("a third time", async () => (await facts(bo)).includes("Ann shares a screen"));
  const screen = await ann.evaluateHandle(() => seen.connections.at(-1)?.getSenders().find((sender) => sender.track?.kind === "video")?.track);
  await ann.click("#leave");
  await until("nothing is captured", () => ann.evaluate((track) => track?.readyState === "ended", screen));
  assert.deepEqual([ann, bo].flatMap(errorsOf), []);
});

test("who chooses no screen keeps the camera", async () => {
  const [ann, bo] = await call(stage.chromium.browser, stage.duet.url, { room: "no screen" });
  await flows(bo);
  const first = await sends(ann);
  await ann.evaluate(() => {
    navigator.mediaDevices.getDisplayMedia = () => Promise.reject(new DOMException("no", "NotAllowedError"));
  });
  await ann.keyboard.press("s");
  await ann.keyboard.press("m");
  await until("the key after it worked", () => ann.$eval("#mic", (button) => button.getAttribute("aria-pressed") === "true"));
  assert.deepEqual(await sends(ann), first);
  assert.equal(await ann.$eval("#screen", (button) => button.getAttribute("aria-pressed")), "false");
  assert.deepEqual(await facts(bo).then((all) => all.includes("Ann shares a screen")), false);
});
