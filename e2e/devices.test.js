/** Cameras, microphones and speakers in the middle of a call. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { join } from "node:path";
import { artifacts, call, errorsOf, flows, setStage, until } from "./lab.js";

/** @import { Page } from "puppeteer-core" */

// The second of the invented cameras measures depth, which no codec takes.
const stage = setStage({}, { devices: "fps=10,device-count=3" });

/**
 * @param {Page} page
 * @param {string} selector
 */
const text = (page, selector) => page.$eval(selector, (element) => element.textContent ?? "");

/** The devices that the page holds open, by kind. @param {Page} page */
const held = (page) =>
  page.evaluate(() => {
    const live = seen.tracks.filter(({ readyState }) => readyState === "live");
    return Object.fromEntries(live.map((track) => [track.kind, track.getSettings().deviceId ?? ""]));
  });

/**
 * Chooses the last of a list, and returns its id.
 * @param {Page} page
 * @param {string} list
 */
async function choose(page, list) {
  const last = await page.waitForSelector(`${list}:not(:disabled) option:last-child:not(:first-child)`);
  const id = (await last?.evaluate((option) => /** @type {HTMLOptionElement} */ (option).value)) ?? "";
  assert.ok(await page.$eval(list, (element) => element.checkVisibility()));
  await page.select(list, id);
  return id;
}

/**
 * Pulls a device as the browser tells it: its track ends.
 * @param {Page} page
 * @param {string} kind
 */
const unplug = (page, kind) =>
  page.evaluate((wanted) => {
    const track = seen.tracks.findLast((one) => one.kind === wanted && one.readyState === "live");
    track?.stop();
    track?.dispatchEvent(new Event("ended"));
  }, kind);

/**
 * Has the browser refuse a camera.
 * @param {Page} page
 * @param {string} name of the error
 * @param {string} device its id, "" for any camera
 */
const withhold = (page, name, device = "") =>
  page.evaluate(
    (error, id) => {
      const { mediaDevices } = navigator;
      const ask = MediaDevices.prototype.getUserMedia.bind(mediaDevices);
      mediaDevices.getUserMedia = async (wanted) => {
        const asked = /** @type {MediaTrackConstraints | undefined} */ (wanted?.video);
        const exact = /** @type {{exact?: string} | undefined} */ (asked?.deviceId)?.exact ?? "";
        if (asked && (!id || exact === id)) throw new DOMException("not given", error);
        const stream = await ask(wanted);
        seen.tracks.push(...stream.getTracks());
        return stream;
      };
    },
    name,
    device,
  );

/** The words of the toast. @param {Page} page @param {RegExp} words */
const told = (page, words) => until(`the page says ${words}`, async () => words.test(await text(page, "#toast")));

test("a guest changes camera, microphone and speaker in a call, and the other one sees and hears the new ones", async () => {
  const [ann, bo] = await call(stage.chromium.browser, stage.duet.url, { room: "change" });
  await flows(ann);
  await bo.click("#more");
  const camera = await choose(bo, "#call-camera-choice");
  await until("the camera is used", async () => (await held(bo)).video === camera);
  const microphone = await choose(bo, "#call-microphone-choice");
  await until("the microphone is used", async () => (await held(bo)).audio === microphone);
  const speaker = await choose(bo, "#call-speaker-choice");
  await until("Ann is heard there", () => bo.$eval("#remote-video", (video, id) => /** @type {HTMLVideoElement} */ (video).sinkId === id, speaker));
  await bo.screenshot({ path: join(artifacts, "devices.png") });
  await flows(ann);
  assert.equal(await bo.$eval("#call-camera-choice", (list) => /** @type {HTMLSelectElement} */ (list).value), camera);
  await bo.keyboard.press("Escape");
  assert.deepEqual([ann, bo].flatMap(errorsOf), []);
});

test("a camera that does not start is told, and the one before stays", async () => {
  const [ann, bo] = await call(stage.chromium.browser, stage.duet.url, { room: "broken" });
  const before = (await held(ann)).video;
  await ann.click("#more");
  await withhold(ann, "NotReadableError", await ann.$eval("#call-camera-choice option:last-child", (option) => /** @type {HTMLOptionElement} */ (option).value));
  await choose(ann, "#call-camera-choice");
  await told(ann, /did not start. Another program is using it/);
  await until("the one before is back", async () => (await held(ann)).video === before);
  await until("and so does the list say", () => ann.$eval("#call-camera-choice", (list, id) => /** @type {HTMLSelectElement} */ (list).value === id, before));
  await flows(bo);
});

test("another device takes the place of one that is unplugged in a call; where there is none, both are told, until one is plugged in", async () => {
  const [ann, bo] = await call(stage.chromium.browser, stage.duet.url, { room: "unplug" });
  await flows(bo);
  for (const kind of ["video", "audio"]) {
    await unplug(ann, kind);
    await told(ann, /fake.* stopped. fake.* has taken its place/i);
    await flows(bo);
  }

  await withhold(ann, "NotFoundError");
  await unplug(ann, "video");
  await told(ann, /no other camera started: the other person hears you but does not see you/);
  await until("Bo is told", async () => /Camera is off/.test(await text(bo, "#tiles")));
  assert.match((await ann.$eval("#camera", (button) => button.getAttribute("aria-label"))) ?? "", /on/);
  await ann.click("#camera");
  await told(ann, /No picture from your camera. None was found. Plug one in/);
  await ann.click("#more");
  assert.match(await text(ann, "#call-media"), /Plug one in/);
  await ann.keyboard.press("Escape");

  await withhold(ann, "NotFoundError", "nothing");
  await ann.evaluate(() => navigator.mediaDevices.dispatchEvent(new Event("devicechange")));
  await told(ann, /is used now/);
  await flows(bo);
  assert.doesNotMatch(await text(bo, "#tiles"), /Camera is off/);
  assert.deepEqual([ann, bo].flatMap(errorsOf), []);
});
