/** What a page keeps of the calls that are over: nothing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { enter, errorsOf, open, setStage, state, until } from "./lab.js";

/** @import { CDPSession, Page } from "puppeteer-core" */

const stage = setStage();
const rounds = 50;
/** The first rounds load what is loaded once. */
const warm = 5;

/** @param {CDPSession} session */
async function kept(session) {
  for (let i = 0; i < 3; i++) await session.send("HeapProfiler.collectGarbage");
  const { metrics } = await session.send("Performance.getMetrics");
  const value = (/** @type {string} */ name) => metrics.find((metric) => metric.name === name)?.value ?? NaN;
  return { nodes: value("Nodes"), listeners: value("JSEventListeners"), heap: value("JSHeapUsedSize") };
}

/** Joins, until media comes, and leaves. @param {Page} page */
async function round(page) {
  await page.waitForSelector("#join:not([disabled])", { visible: true });
  await page.click("#join");
  await state(page, "connected");
  await until("what was said in the call is shown", () => page.$eval("#remote-video", () => true).catch(() => false));
  await page.click("#leave");
  await state(page, "home");
  await until("nothing of the call is alive", () =>
    page.evaluate(() => {
      const over = seen.connections.every(({ connectionState }) => connectionState === "closed") && seen.tracks.every(({ readyState }) => readyState === "ended");
      if (over) seen.connections.length = seen.tracks.length = 0; // the test must not be what keeps them
      return over;
    }),
  );
  await page.evaluate(() => (location.hash = "#leak"));
}

test(`after ${rounds} calls no track, no connection, no element and no listener is left over`, async () => {
  const bo = await open(stage.chromium.browser, `${stage.duet.url}/#leak`, { camera: "denied" });
  await bo.waitForSelector("#join:not([disabled])", { visible: true });
  await bo.click("#join");
  await bo.waitForSelector("#media-skip", { visible: true });
  await bo.click("#media-skip");
  await state(bo, "waiting");
  const ann = await enter(stage.chromium.browser, stage.duet.url, { room: "leak", name: "Ann", view: { width: 480, height: 360 } });
  await state(ann, "connected");
  await ann.click("#leave");
  await state(ann, "home");
  await ann.evaluate(() => (location.hash = "#leak"));
  const session = await ann.createCDPSession();
  await session.send("Performance.enable");
  for (let i = 0; i < warm; i++) await round(ann);
  const before = await kept(session);
  for (let i = 0; i < rounds; i++) await round(ann);
  const after = await kept(session);
  console.log(`# before ${JSON.stringify(before)}, after ${JSON.stringify(after)}`);
  // Less than one of each for every second call.
  assert.ok(after.nodes - before.nodes < rounds / 2, `${after.nodes - before.nodes} elements are left over`);
  assert.ok(after.listeners - before.listeners < rounds / 2, `${after.listeners - before.listeners} listeners are left over`);
  assert.ok(after.heap - before.heap < rounds * 20_000, `${after.heap - before.heap} bytes are left over`);
  assert.deepEqual([ann, bo].flatMap(errorsOf), []);
});
