/** The start page: who, with which devices, and into which call. */
import assert from "node:assert/strict";
import jsqr from "jsqr";
import { after, afterEach, before, test } from "node:test";
import { join } from "node:path";
import { artifacts, closePages, enter, errorsOf, flows, media, open, startChromium, startDuet, state, type, until } from "./lab.js";

/** @import { Page } from "puppeteer-core" */

/** @type {import("./lab.js").Duet} */
let duet;
/** @type {Awaited<ReturnType<typeof startChromium>>} */
let chromium;

before(async () => {
  duet = await startDuet();
  chromium = await startChromium({ devices: "fps=10,device-count=2" });
});
afterEach(closePages);
after(async () => {
  await chromium?.close();
  await duet?.stop();
});

/**
 * @param {Page} page
 * @param {string} selector
 */
const text = (page, selector) => page.$eval(selector, (element) => element.textContent ?? "");

/**
 * @param {Page} page
 * @param {string} field
 */
const value = (page, field) => page.$eval(field, (input) => /** @type {HTMLInputElement | HTMLSelectElement} */ (input).value);

/** How loud the page says that the microphone is, 0 to 1. @param {Page} page */
const level = (page) => page.$eval("#preview-level", (meter) => Number(getComputedStyle(meter).getPropertyValue("--level")));

/** The kinds of the devices that the page holds open, "audio,video". @param {Page} page */
const held = (page) =>
  page.evaluate(() =>
    seen.tracks
      .filter(({ readyState }) => readyState === "live")
      .map(({ kind }) => kind)
      .sort()
      .join(),
  );

/** The preview's picture moves. @param {Page} page */
const pictured = (page) => until("the picture moves", () => page.$eval("#preview-video", (video) => /** @type {HTMLVideoElement} */ (video).currentTime > 0.3));

/**
 * What a phone reads in the QR code that is shown.
 * @param {Page} page
 */
async function scan(page) {
  await page.waitForSelector("#invite-qr", { visible: true });
  const { size, pixels } = await page.$eval("#invite-qr", async (element) => {
    const image = /** @type {HTMLImageElement} */ (element);
    await image.decode();
    const pen = new OffscreenCanvas(400, 400).getContext("2d");
    pen?.drawImage(image, 0, 0, 400, 400);
    return { size: 400, pixels: [...(pen?.getImageData(0, 0, 400, 400).data ?? [])] };
  });
  return jsqr.default(Uint8ClampedArray.from(pixels), size, size)?.data;
}

test("a new call is one click, and people come by its link, its code and its QR code, which no log and no address holds", async () => {
  const ann = await open(chromium.browser, duet.url);
  /** @type {string[]} */
  const addresses = [];
  ann.on("request", (request) => addresses.push(request.url().split("#")[0] ?? ""));
  await state(ann, "home");
  await type(ann, "#name", "Ann");
  await ann.click("#start");
  await state(ann, "waiting");
  const link = await value(ann, "#invite-link");
  const code = link.split("#")[1] ?? "";
  assert.match(code, /^[a-z0-9]{5}(-[a-z0-9]{5}){3}$/);
  const scanned = await scan(ann);
  assert.equal(scanned, link);
  assert.ok((await text(ann, "#invite-code")).includes(code));

  const ways = /** @type {[string, (page: Page) => Promise<void>][]} */ ([
    ["pasted link", (page) => type(page, "#room", `  ${link}\n`)],
    ["code", (page) => type(page, "#room", `${code.toUpperCase().replaceAll("-", " ")}\n`)],
    ["scanned link", async (page) => {
      await page.goto(scanned ?? "");
      await page.reload({ waitUntil: "load" });
      assert.match(await text(page, "#invited-room"), new RegExp(code));
      await page.click("#join");
    }],
  ]);
  for (const [way, go] of ways) {
    const bo = await open(chromium.browser, duet.url);
    await state(bo, "home");
    await go(bo);
    await state(bo, "connected");
    await state(ann, "connected");
    await bo.click("#leave");
    await state(bo, "home");
    await state(ann, "left");
    assert.deepEqual(errorsOf(bo), [], way);
  }
  assert.ok(addresses.some((address) => address.endsWith("/qr")));
  for (const line of [...addresses, ...duet.lines]) assert.ok(!line.includes(code), line);
  assert.deepEqual(errorsOf(ann), []);
});

test("the name is remembered, and what is no room is said beside the field", async () => {
  const page = await open(chromium.browser, `${duet.url}/#tea`);
  await type(page, "#name", "安娜 <b>");
  await page.click("#join");
  await state(page, "waiting");
  await page.click("#leave");
  await state(page, "home");
  await page.goto(`${duet.url}/?again`, { waitUntil: "load" });
  assert.equal(await value(page, "#name"), "安娜 <b>");
  await page.click("#join");
  assert.match(await text(page, "#room-problem"), /link/);
  await type(page, "#room", `${"x".repeat(65)}\n`);
  assert.match(await text(page, "#room-problem"), /64/);
  await state(page, "home");
  assert.deepEqual(errorsOf(page), []);
});

test("the preview shows the picture and the level, and lets go of what is off", async () => {
  const ann = await open(chromium.browser, `${duet.url}/#off`);
  await pictured(ann);
  await until("the level shows the beeps of the fake microphone", async () => (await level(ann)) > 0.3);
  await ann.click("#preview-mic");
  await until("and nothing while it is muted", async () => (await level(ann)) < 0.01);
  await ann.click("#preview-camera");
  assert.equal(await held(ann), "audio", "a camera that is off is let go: its light goes out");
  assert.equal(await text(ann, "#preview-text"), "Your camera is off");
  await ann.click("#preview-camera");
  await until("the camera is back", async () => (await held(ann)) === "audio,video");
  await ann.click("#preview-camera");

  await ann.click("#join");
  await state(ann, "waiting");
  const bo = await enter(chromium.browser, duet.url, { room: "off", name: "Bo" });
  for (const page of [ann, bo]) await state(page, "connected");
  assert.equal(await held(ann), "audio", "joining does not open it");
  await until("Bo is told", async () => /Camera is off/.test(await text(bo, "#tiles")));
  assert.match(await text(bo, "#tiles"), /muted/);
  await ann.click("#camera");
  await ann.click("#mic");
  await flows(bo);
  assert.doesNotMatch(await text(bo, "#tiles"), /Camera is off|muted/);
  assert.deepEqual([ann, bo].flatMap(errorsOf), []);
});

test("the chosen camera, microphone and speaker are used, tried out and remembered", async () => {
  const ann = await open(chromium.browser, `${duet.url}/#chosen`);
  const lists = ["#camera-choice", "#microphone-choice", "#speaker-choice"];
  /** @type {string[]} */
  const chosen = [];
  for (const list of lists) {
    const last = `${list}:not(:disabled) option:last-child:not(:first-child)`;
    await ann.waitForSelector(last);
    const id = await value(ann, last);
    chosen.push(id);
    await ann.select(list, id);
  }
  const used = () =>
    ann.$eval("#preview-video", (video) => /** @type {MediaStream | null} */ (/** @type {HTMLVideoElement} */ (video).srcObject)?.getTracks().map((track) => track.getSettings().deviceId ?? "") ?? []);
  const areUsed = async () => (await used()).toSorted().join() === chosen.slice(0, 2).toSorted().join();
  await until("both are used", areUsed);

  // The sound comes from the chosen speaker, and is one.
  await ann.evaluate(() => {
    const play = HTMLMediaElement.prototype.play;
    HTMLMediaElement.prototype.play = function () {
      Object.assign(globalThis, { played: this });
      return play.call(this);
    };
  });
  await ann.click("#speaker-test");
  const heard = () =>
    ann.evaluate(async () => {
      const { played } = /** @type {{played?: HTMLAudioElement}} */ (/** @type {unknown} */ (globalThis));
      if (!(played?.srcObject instanceof MediaStream)) return null;
      const context = new AudioContext();
      const analyser = context.createAnalyser();
      context.createMediaStreamSource(played.srcObject).connect(analyser);
      const samples = new Float32Array(analyser.fftSize);
      await new Promise((resolve) => setTimeout(resolve, 100));
      analyser.getFloatTimeDomainData(samples);
      await context.close();
      return { speaker: played.sinkId, loud: samples.some((sample) => Math.abs(sample) > 0.05) };
    });
  await until("two notes are heard", async () => {
    const sound = await heard();
    if (sound?.loud) assert.equal(sound.speaker, chosen[2]);
    else await ann.click("#speaker-test");
    return sound?.loud === true;
  });
  await until("and end", async () => (await heard()) === null);

  await ann.reload({ waitUntil: "load" });
  await until("both are used again", areUsed);
  for (const [i, list] of lists.entries()) await until(`${list} says so`, async () => (await value(ann, list)) === chosen[i]);
  await ann.click("#join");
  await state(ann, "waiting");
  const bo = await enter(chromium.browser, duet.url, { room: "chosen", name: "Bo" });
  for (const page of [ann, bo]) await state(page, "connected");
  const speakerOf = (/** @type {Page} */ page) => page.$eval("#remote-video", (video) => /** @type {HTMLVideoElement} */ (video).sinkId);
  await until("Bo is heard there", async () => (await speakerOf(ann)) === chosen[2]);
  assert.equal(await speakerOf(bo), "", "who chose nothing hears what the system says");
  assert.deepEqual([ann, bo].flatMap(errorsOf), []);
});

test("another device takes the place of one that is unplugged, and where there is none the page says so", async () => {
  const page = await open(chromium.browser, duet.url);
  const unplug = () =>
    page.evaluate(() => {
      const track = seen.tracks.findLast(({ kind, readyState }) => kind === "video" && readyState === "live");
      track?.stop();
      track?.dispatchEvent(new Event("ended"));
    });
  await until("the camera is on", async () => (await held(page)) === "audio,video");
  await unplug();
  await until("a camera is on", async () => (await held(page)) === "audio,video");
  assert.equal(await page.$eval("#media-notice", (notice) => /** @type {HTMLElement} */ (notice).hidden), true);
  await page.evaluate(() => {
    navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("Requested device not found", "NotFoundError"));
  });
  await unplug();
  await page.waitForSelector('#media-notice[data-problem="missing"]', { visible: true });
  assert.equal(await text(page, "#media-title"), "No picture from your camera.");
  assert.match(await text(page, "#media-text"), /Plug one in/);
});

/** @type {{name: string, view?: object, problem: string, title: RegExp, text: RegExp, gets: string, busy?: boolean}[]} */
const refusals = [
  { name: "both", view: { camera: "denied" }, problem: "refused", title: /camera and the microphone are blocked/, text: /icon beside the address/, gets: "" },
  { name: "camera", view: { camera: "denied", microphone: "granted" }, problem: "refused", title: /No picture/, text: /allow it for this site/, gets: "audio" },
  { name: "microphone", view: { microphone: "denied" }, problem: "refused", title: /No sound/, text: /allow it for this site/, gets: "video" },
  { name: "busy", busy: true, problem: "busy", title: /No picture/, text: /Another program/, gets: "audio" },
];
for (const { name, view, problem, title, text: what, gets, busy } of refusals) {
  test(`${problem} (${name}): it says what to do, keeps what there is, and lets people join`, async () => {
    const page = await open(chromium.browser, duet.url, view);
    await page.evaluateOnNewDocument((camera) => {
      if (!camera) return;
      // A camera that another program holds: no flag of the browser makes one.
      const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
      navigator.mediaDevices.getUserMedia = (wanted) => (wanted?.video ? Promise.reject(new DOMException("Could not start video source", "NotReadableError")) : ask(wanted));
    }, busy ?? false);
    await page.goto(`${duet.url}/?${name}#${name}`, { waitUntil: "load" });
    const enable = await page.$("#preview-enable:not([hidden])");
    await enable?.click();
    await page.waitForSelector(`#media-notice[data-problem="${problem}"]`, { visible: true });
    assert.match(await text(page, "#media-title"), title);
    assert.match(await text(page, "#media-text"), what);
    assert.equal(await held(page), gets);
    await shoot(page, `home-${problem}-${name}`);
    await page.click("#join");
    if (gets === "") {
      await page.waitForSelector("#media-skip", { visible: true });
      await page.click("#media-skip");
    }
    await state(page, "waiting");
    const bo = await enter(chromium.browser, duet.url, { room: name, name: "Bo" });
    await state(bo, "connected");
    await until("who has no camera sees the other one", async () => (await media(page)).frames > 5);
    assert.deepEqual([page, bo].flatMap(errorsOf), []);
  });
}

test("missing: without a camera the microphone is used, and without both the page says so", async () => {
  for (const [devices, title, gets] of /** @type {[string, RegExp, string][]} */ ([
    ["device-count=0", /No picture/, "audio"],
    ["", /No camera and no microphone/, ""],
  ])) {
    const machine = await startChromium({ devices });
    try {
      const page = await open(machine.browser, `${duet.url}/#missing-${gets}`);
      await page.waitForSelector('#media-notice[data-problem="missing"]', { visible: true });
      assert.match(await text(page, "#media-title"), title);
      assert.match(await text(page, "#media-text"), /Plug one in/);
      assert.equal(await held(page), gets);
      await shoot(page, `home-missing-${gets || "both"}`);
      await page.click("#join");
      if (gets === "") await page.click("#media-skip");
      await state(page, "waiting");
      assert.deepEqual(errorsOf(page), []);
    } finally {
      await machine.close();
    }
  }
});

test("insecure: an address without https is explained at once, and one can still join", async () => {
  const plain = await startDuet({ DUET_HTTP_LISTEN: "192.168.77.10:0", DUET_TURN_LISTENING_PORT: "3578", DUET_TURN_MIN_PORT: "20000", DUET_TURN_MAX_PORT: "20100" });
  try {
    const page = await open(chromium.browser, `${plain.url}/#plain`, { camera: "denied" });
    assert.equal(await page.evaluate(() => isSecureContext), false);
    await page.waitForSelector('#media-notice[data-problem="insecure"]', { visible: true });
    assert.match(await text(page, "#media-text"), /https:\/\//);
    assert.deepEqual(await page.$$eval("#device-row, #speaker-row", (rows) => rows.map((row) => row.checkVisibility())), [false, false]);
    await shoot(page, "home-insecure");
    await page.click("#join");
    await state(page, "waiting");
    const bo = await enter(chromium.browser, plain.url, { room: "plain", name: "Bo", view: { camera: "denied" } });
    await state(bo, "connected");
    // Chromium notes that it heeds one of our headers with https only.
    assert.deepEqual([page, bo].flatMap(errorsOf).filter((error) => !error.includes("Cross-Origin-Opener-Policy")), []);
  } finally {
    await plain.stop();
  }
});

for (const lang of ["en-US", "zh-CN"]) {
  test(`the page fits phones, tablets and desks in ${lang}`, async () => {
    const speaking = await startChromium({ lang });
    try {
      const page = await open(speaking.browser, duet.url);
      await pictured(page);
      await shoot(page, `home-${lang.slice(0, 2)}`);
      await page.goto(`${duet.url}/?invited#tea-${lang}`, { waitUntil: "load" });
      await pictured(page);
      await shoot(page, `home-invited-${lang.slice(0, 2)}`);
      await page.click("#join");
      await state(page, "waiting");
      await page.waitForSelector("#invite-qr", { visible: true });
      await shoot(page, `waiting-${lang.slice(0, 2)}`);
      assert.deepEqual(errorsOf(page), []);
    } finally {
      await speaking.close();
    }
  });
}

/**
 * Takes a picture at each width, and checks that nothing is beside the page.
 * @param {Page} page
 * @param {string} name
 */
async function shoot(page, name) {
  for (const [width, height] of /** @type {[number, number][]} */ ([[360, 740], [768, 1024], [1440, 900]])) {
    await page.setViewport({ width, height });
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${name} is wider than ${width} pixels`);
    await page.screenshot({ path: join(artifacts, `${name}-${width}.png`), fullPage: name.startsWith("home") });
  }
  await page.setViewport({ width: 1280, height: 800 });
}
