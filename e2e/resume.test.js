/** A call whose signaling fails, in front of a server that is well or is not. */
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { call, chat, closePages, flows, media, say, startChromium, startDuet, state, stateDirectory, until, wire } from "./lab.js";

/** @type {Awaited<ReturnType<typeof startChromium>>} */
let chromium;
before(async () => {
  chromium = await startChromium();
});
afterEach(closePages);
after(async () => await chromium?.close());

/** @param {import("puppeteer-core").Page} page */
const counted = (page) => page.evaluate(() => ({ connections: seen.connections.length, sockets: seen.sockets }));

/**
 * Proves that sound arrives all the time, as long as that.
 * @param {import("puppeteer-core").Page} page
 * @param {number} seconds
 */
async function hears(page, seconds) {
  const began = Date.now();
  for (let last = await media(page); Date.now() - began < seconds * 1000; ) {
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const now = await media(page);
    assert.ok(now.audio > last.audio, `the media has stopped after ${Date.now() - began} ms of ${seconds} s`);
    last = now;
  }
}

/**
 * One call, whose wire is cut, or falls silent, for so many seconds, one after the other.
 * @param {string} url
 * @param {[fault: "cut" | "hush", seconds: number][]} faults
 */
async function survives(url, ...faults) {
  const line = await wire(url);
  try {
    const [ann, bo] = await call(chromium.browser, line.url, { room: faults.join() });
    await flows(ann);
    /** @type {string[]} */
    const said = [];
    for (const [fault, seconds] of faults) {
      const what = `${fault} for ${seconds} s`;
      const had = await Promise.all([ann, bo].map(counted));
      line[fault]();
      const mended = new Promise((resolve) => setTimeout(() => resolve(line.mend()), seconds * 1000)); // to the second: the seats are kept for 45
      await say(ann, `${what}?`);
      await say(bo, `${what}.`);
      await hears(bo, seconds);
      await mended;
      await until(`both are back after ${what}`, async () => (await Promise.all([ann, bo].map(counted))).every(({ sockets }, i) => sockets > (had[i]?.sockets ?? 0)));
      for (const page of [ann, bo]) {
        await state(page, "connected");
        await flows(page);
        assert.equal((await counted(page)).connections, 1, `another call after ${what}`);
      }
      said.push(`${what}?`, `${what}.`);
      for (const page of [ann, bo]) {
        await until(`everything is read once after ${what}`, async () => (await chat(page)).join() === said.join());
      }
    }
    // Who leaves now is seen to leave: the server knows both.
    await bo.click("#leave");
    await state(ann, "left", "waiting");
  } finally {
    line.close();
  }
}

test("signaling that is cut for 1, 10 and 40 s, or silent for 30 s, costs the call nothing", async () => {
  const duet = await startDuet();
  try {
    // Two calls take their time side by side.
    await Promise.all([survives(duet.url, ["cut", 40]), survives(duet.url, ["cut", 1], ["cut", 10], ["hush", 30])]);
    assert.equal(duet.lines.filter((line) => line.includes("member joined")).length, 4, "somebody came as another member");
  } finally {
    assert.equal(await duet.stop(), 0);
  }
});

test("a server that is killed and started again finds the same people in the same call", async () => {
  const env = { DUET_HTTP_LISTEN: "127.0.0.1:18081", STATE_DIRECTORY: stateDirectory() };
  let duet = await startDuet(env);
  const [ann, bo] = await call(chromium.browser, duet.url, { room: "killed" });
  await flows(ann);
  const first = await Promise.all([ann, bo].map(counted));
  assert.equal(await duet.stop("SIGKILL"), null);
  await flows(ann);
  duet = await startDuet(env);
  await until("both are back", async () => duet.lines.filter((line) => line.includes("member resumed")).length === 2);
  for (const page of [ann, bo]) {
    await state(page, "connected");
    await flows(page);
  }
  const now = await Promise.all([ann, bo].map(counted));
  assert.ok(now.every(({ connections, sockets }, i) => connections === 1 && sockets > (first[i]?.sockets ?? 0)), JSON.stringify([first, now]));
  await bo.click("#leave");
  await state(ann, "left", "waiting");
  assert.equal(await duet.stop(), 0);
});
