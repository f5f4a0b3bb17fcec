/** A room for more than two. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { join } from "node:path";
import { artifacts, chat, enter, errorsOf, open, say, setStage, state, until } from "./lab.js";

/** @import { Page } from "puppeteer-core" */

const stage = setStage({ DUET_SIGNALING_CAPACITY: "6" });

/** How many connections of a page bring sound and moving pictures. @param {Page} page */
const arrive = (page) =>
  page.evaluate(async () => {
    let whole = 0;
    for (const connection of seen.connections) {
      if (connection.connectionState !== "connected") continue;
      let [frames, audio] = [0, 0];
      for (const entry of (await connection.getStats()).values()) {
        if (entry.type !== "inbound-rtp") continue;
        if (entry.kind === "video") frames = entry.framesDecoded;
        else audio = entry.packetsReceived;
      }
      if (frames > 3 && audio > 10) whole++;
    }
    return whole;
  });

/** @param {Page} page */
const shown = (page) => page.$$eval(".tile:not(.no-picture)", (tiles) => tiles.length);

test("three people see, hear and read each other, and one who goes is missed by nobody else", async () => {
  /** @type {Page[]} */
  const pages = [];
  for (const name of ["Ann", "Bo", "Cy"]) {
    const page = await enter(stage.chromium.browser, stage.duet.url, { room: "mesh", name, view: { width: 640, height: 480 } });
    await state(page, pages.length === 0 ? "waiting" : "connected");
    pages.push(page);
  }
  const [ann, bo, cy] = /** @type {[Page, Page, Page]} */ (pages);
  for (const page of pages) await until("each sees and hears two", async () => (await arrive(page)) === 2 && (await shown(page)) === 2);
  assert.equal(await ann.$eval("#status", ({ textContent }) => textContent), "2 others");
  await ann.screenshot({ path: join(artifacts, "mesh.png") });
  await say(bo, "Hello, both.");
  for (const page of pages) await until("everyone reads it", async () => (await chat(page)).join() === "Hello, both.");
  await ann.setViewport({ width: 360, height: 740 });
  await until("all of it fits a phone", () => ann.$$eval(".tile, .controls > button", (all) => all.every((one) => one.getBoundingClientRect().right <= 360)));
  await ann.screenshot({ path: join(artifacts, "mesh-phone.png") });

  await cy.click("#leave");
  for (const page of [ann, bo]) {
    await until("two see and hear each other", async () => (await arrive(page)) === 1 && (await shown(page)) === 1);
    await state(page, "connected");
    assert.equal(await page.evaluate(() => seen.connections.length), 2, "the call of the other two began anew");
  }
  assert.deepEqual(pages.flatMap(errorsOf), []);
});

test("six members are fifteen pairs: each gets everyone's picture and sound, made small, and everyone's words once", async () => {
  const page = await open(stage.chromium.browser, stage.duet.url);
  const failures = await page.evaluate(async () => {
    const sdk = "/sdk/duet.js";
    /** @type {typeof import("../web/static/sdk/duet.js")} */
    const { Call } = await import(sdk);
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [64, 48];
    const pen = canvas.getContext("2d");
    const painting = setInterval(() => {
      if (pen) pen.fillStyle = `hsl(${Math.random() * 360} 80% 50%)`;
      pen?.fillRect(0, 0, 64, 48);
    }, 100);
    const stream = canvas.captureStream(10);
    const sound = new AudioContext();
    const voice = sound.createMediaStreamDestination();
    const tone = sound.createOscillator();
    tone.connect(voice);
    tone.start();
    for (const track of voice.stream.getTracks()) stream.addTrack(track);
    /** @type {string[][]} */
    const read = [];
    const calls = Array.from({ length: 6 }, (_, i) => {
      const call = new Call({ room: "six", name: `member ${i}`, stream });
      call.addEventListener("chat", ({ detail: { member, text } }) => member && (read[i] ??= []).push(text));
      call.addEventListener("error", ({ detail }) => console.error(String(detail)));
      return call;
    });
    for (const call of calls) await call.join();
    const late = new Call({ room: "six", name: "late" });
    const refused = await late.join().then(() => "let in", (error) => error.code);
    const deadline = Date.now() + 25_000;
    /** @param {() => Promise<boolean> | boolean} holds */
    const soon = async (holds) => {
      while (!(await holds())) {
        if (Date.now() > deadline) return false;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      return true;
    };
    /** @type {string[]} */
    const failed = refused === "room_full" ? [] : [`the seventh was ${refused}`];
    const media = async () => {
      const counts = await Promise.all(
        seen.connections.map(async (connection) => {
          const inbound = [...(await connection.getStats()).values()].filter(({ type }) => type === "inbound-rtp");
          return inbound.some(({ framesDecoded }) => framesDecoded > 3) && inbound.some(({ kind, packetsReceived }) => kind === "audio" && packetsReceived > 10);
        }),
      );
      return counts.filter(Boolean).length === 30;
    };
    if (!(await soon(media))) failed.push("not every pair has media");
    const scales = () => seen.connections.map((connection) => connection.getSenders().find(({ track }) => track?.kind === "video")?.getParameters().encodings[0]?.scaleResolutionDownBy);
    if (!(await soon(() => scales().every((scale) => scale === 2)))) failed.push(`scales: ${scales().join()}`);
    calls.forEach((call, i) => call.sendChat(`from ${i}`));
    const words = (/** @type {number} */ i) => [...(read[i] ?? [])].sort().join();
    const due = (/** @type {number} */ i) => [0, 1, 2, 3, 4, 5].filter((j) => j !== i).map((j) => `from ${j}`).join();
    if (!(await soon(() => calls.every((_, i) => words(i) === due(i))))) failed.push(`read: ${JSON.stringify(read)}`);
    calls.pop()?.leave();
    if (!(await soon(() => calls.every(({ members, state: now }) => members.length === 4 && now === "connected")))) failed.push("five are not four others to each");
    if (!(await soon(() => scales().filter((scale) => scale === 2).length === 20))) failed.push(`scales of five: ${scales().join()}`);
    for (const call of calls) call.leave();
    clearInterval(painting);
    await sound.close();
    if (!(await soon(() => seen.connections.every(({ connectionState }) => connectionState === "closed")))) failed.push("a connection is left");
    return failed;
  });
  assert.deepEqual(failures, []);
  assert.deepEqual(errorsOf(page), []);
});
