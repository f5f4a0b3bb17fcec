/**
 * What the end-to-end tests stand on: the built server, real Chromium, and the
 * questions that one asks of a call.
 */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import puppeteer from "puppeteer-core";

/** @typedef {import("puppeteer-core").Page} Page */
/** @typedef {import("puppeteer-core").Browser} Browser */

const root = new URL("..", import.meta.url).pathname;

/** Where screenshots go. */
export const artifacts = join(root, "e2e", "artifacts");
mkdirSync(artifacts, { recursive: true });

/** How long anything may take, in milliseconds. */
export const patience = 30_000;

/**
 * One running server.
 * @typedef {object} Duet
 * @property {string} url where its page is
 * @property {string[]} lines what it printed
 * @property {import("node:child_process").ChildProcess} process
 * @property {(signal?: NodeJS.Signals) => Promise<number | null>} stop ends it and returns its exit status
 */

/**
 * Starts bin/duet on defaults and waits for its banner.
 * @param {Record<string, string>} [env] DUET_SECTION_KEY overrides
 * @returns {Promise<Duet>}
 */
export async function startDuet(env = {}) {
  const child = spawn(join(root, "bin", "duet"), ["serve"], {
    cwd: tmpdir(),
    env: { PATH: process.env.PATH, STATE_DIRECTORY: stateDirectory(), DUET_HTTP_LISTEN: "127.0.0.1:0", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  /** @type {string[]} */
  const lines = [];
  const ended = new Promise((resolve) => child.once("exit", (code) => resolve(code)));
  createInterface({ input: child.stderr }).on("line", (line) => lines.push(line));
  const url = await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no banner in time:\n${lines.join("\n")}`)), patience);
    createInterface({ input: child.stdout }).on("line", (line) => {
      lines.push(line);
      const found = /^ {2}Call +(http\S+)/.exec(line);
      if (found) resolve(found[1]);
      if (/^ {2}Config /.test(line)) clearTimeout(timer);
    });
    void ended.then((code) => reject(new Error(`duet ended with ${code}:\n${lines.join("\n")}`)));
  });
  return {
    url,
    lines,
    process: child,
    stop: async (signal = "SIGTERM") => {
      child.kill(signal);
      return await ended;
    },
  };
}

/** A directory for what outlives a server; deleted when the tests end. */
export function stateDirectory() {
  const directory = mkdtempSync(join(tmpdir(), "duet-state-"));
  process.once("exit", () => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/**
 * Starts Chromium with a camera and a microphone that are its own inventions.
 * @param {{lang?: string, trust?: string, args?: string[]}} [options] trust: a PEM file of a CA
 * @returns {Promise<{browser: Browser, close: () => Promise<void>}>}
 */
export async function startChromium({ lang = "en-US", trust, args = [] } = {}) {
  const profile = mkdtempSync(join(tmpdir(), "duet-chromium-"));
  if (trust) {
    const store = join(profile, ".pki", "nssdb");
    mkdirSync(store, { recursive: true });
    trustIn(store, trust);
  }
  const browser = await puppeteer.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    userDataDir: profile,
    env: { ...process.env, HOME: profile, LANGUAGE: lang.replace("-", "_") },
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--disable-background-timer-throttling",
      "--disable-renderer-backgrounding",
      "--disable-backgrounding-occluded-windows",
      "--use-fake-device-for-media-stream=fps=10", // moving pictures, at a price that two cores can pay four times
      "--autoplay-policy=no-user-gesture-required",
      `--lang=${lang}`,
      `--accept-lang=${lang}`,
      ...args,
    ],
  });
  return {
    browser,
    close: async () => {
      await browser.close();
      rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** Browsers whose permissions are set by preferences instead of page by page. */
const permissive = new WeakSet();

/**
 * Starts Firefox with the same kind of devices.
 * @param {{trust?: string, prefs?: Record<string, unknown>}} [options] trust: a PEM file of a CA
 * @returns {Promise<{browser: Browser, close: () => Promise<void>}>}
 */
export async function startFirefox({ trust, prefs = {} } = {}) {
  const home = mkdtempSync(join(tmpdir(), "duet-firefox-"));
  const profile = join(home, "profile");
  mkdirSync(profile);
  if (trust) trustIn(profile, trust);
  const browser = await puppeteer.launch({
    browser: "firefox",
    executablePath: process.env.FIREFOX ?? "/usr/bin/firefox-esr",
    userDataDir: profile,
    env: { ...process.env, HOME: home },
    extraPrefsFirefox: {
      "media.navigator.streams.fake": true,
      "media.navigator.permission.disabled": true,
      "media.peerconnection.ice.loopback": true,
      "media.peerconnection.ice.obfuscate_host_addresses": false,
      "media.autoplay.default": 0,
      "network.captive-portal-service.enabled": false,
      "network.connectivity-service.enabled": false,
      ...prefs,
    },
  });
  permissive.add(browser);
  return {
    browser,
    close: async () => {
      await browser.close();
      rmSync(home, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/**
 * Makes an NSS store that trusts a CA.
 * @param {string} store a directory
 * @param {string} ca a PEM file
 */
function trustIn(store, ca) {
  execFileSync("certutil", ["-N", "-d", `sql:${store}`, "--empty-password"]);
  execFileSync("certutil", ["-A", "-d", `sql:${store}`, "-t", "C,,", "-n", "test", "-i", ca]);
}

/**
 * Opens a page that keeps count of its peer connections, sockets and media requests, in a
 * context of its own: nothing is shared with other pages.
 * @param {Browser} browser
 * @param {string} url
 * @param {{width?: number, height?: number, scheme?: "dark" | "light", camera?: "granted" | "denied"}} [view]
 * @returns {Promise<Page>}
 */
export async function open(browser, url, { width = 1280, height = 800, scheme = "dark", camera = "granted" } = {}) {
  const context = await browser.createBrowserContext();
  contexts.add(context);
  // What is not in the list is refused.
  if (!permissive.has(browser)) await context.overridePermissions(new URL(url).origin, camera === "granted" ? ["camera", "microphone", "clipboard-write"] : []);
  const page = await context.newPage();
  await page.setViewport({ width, height });
  if (!permissive.has(browser)) await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  page.setDefaultTimeout(patience);
  /** @type {string[]} */
  const errors = [];
  problems.set(page, errors);
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error" && !/ERR_CONNECTION_REFUSED|WebSocket connection/.test(message.text())) errors.push(message.text());
  });
  await page.evaluateOnNewDocument(() => {
    globalThis.seen = { connections: [], sockets: 0, media: 0, negotiations: 0, tracks: [] };
    const Connection = globalThis.RTCPeerConnection;
    globalThis.RTCPeerConnection = class extends Connection {
      /** @param {RTCConfiguration} [configuration] */
      constructor(configuration) {
        super(configuration);
        seen.connections.push(this);
        this.addEventListener("negotiationneeded", () => seen.negotiations++);
      }
    };
    const Socket = globalThis.WebSocket;
    globalThis.WebSocket = class extends Socket {
      /**
       * @param {string | URL} socketUrl
       * @param {string | string[]} [protocols]
       */
      constructor(socketUrl, protocols) {
        super(socketUrl, protocols);
        seen.sockets++;
      }
    };
    const devices = navigator.mediaDevices;
    const getUserMedia = devices.getUserMedia.bind(devices);
    devices.getUserMedia = async (constraints) => {
      seen.media++;
      const stream = await getUserMedia(constraints);
      seen.tracks.push(...stream.getTracks());
      return stream;
    };
  });
  await page.goto(url, { waitUntil: "load" });
  return page;
}

/** @type {Set<import("puppeteer-core").BrowserContext>} */
const contexts = new Set();

/** Closes every page that the test opened, however it ended. */
export async function closePages() {
  await Promise.all([...contexts].map((context) => context.close().catch(() => {}))); // its browser may be gone
  contexts.clear();
}

/** @type {WeakMap<Page, string[]>} */
const problems = new WeakMap();

/**
 * What a page reported as an error: exceptions, refused content, failed requests.
 * @param {Page} page
 */
export const errorsOf = (page) => problems.get(page) ?? [];

/**
 * Waits for body[data-state].
 * @param {Page} page
 * @param {string[]} states any of these
 */
export async function state(page, ...states) {
  try {
    await page.waitForFunction((wanted) => wanted.includes(document.body.dataset.state ?? ""), {}, states);
  } catch (error) {
    const got = await page.evaluate(() => [document.body.dataset.state, document.querySelector("#status")?.textContent]);
    throw new Error(`wanted ${states.join(" or ")}, but the page is ${got.join(": ")}; ${errorsOf(page).join("; ")}`, { cause: error });
  }
}

/**
 * Joins a room from its invite link.
 * @param {Browser} browser
 * @param {string} url
 * @param {{room: string, name: string, policy?: string, view?: object}} who
 */
export async function enter(browser, url, { room, name, policy, view }) {
  const page = await open(browser, `${url}/${policy ? `?policy=${policy}` : ""}#${encodeURIComponent(room)}`, view);
  await state(page, "home");
  await type(page, "#name", name);
  await page.waitForSelector("#join:not([disabled])", { visible: true });
  await page.click("#join");
  return page;
}

/**
 * Replaces what a field holds.
 * @param {Page} page
 * @param {string} field
 * @param {string} text
 */
export async function type(page, field, text) {
  await page.waitForSelector(field, { visible: true });
  await page.$eval(field, (input) => /** @type {HTMLInputElement} */ (input).select());
  await page.type(field, text);
}

/**
 * Two people in one room, connected.
 * @param {Browser} browser
 * @param {string} url
 * @param {{room: string, policy?: string}} where
 * @returns {Promise<[Page, Page]>}
 */
export async function call(browser, url, { room, policy }) {
  const ann = await enter(browser, url, { room, policy, name: "Ann" });
  await state(ann, "waiting");
  const bo = await enter(browser, url, { room, policy, name: "Bo" });
  await state(ann, "connected");
  await state(bo, "connected");
  return [ann, bo];
}

/**
 * What a page receives: read from getStats of its newest connection.
 * @typedef {object} Media
 * @property {number} frames decoded video frames
 * @property {number} audio received audio packets
 * @property {string} local candidate type of the selected pair
 * @property {string} remote candidate type of the selected pair
 * @property {string} relayProtocol of the local candidate, empty without a relay
 */

/**
 * @param {Page} page
 * @returns {Promise<Media>}
 */
export const media = (page) =>
  page.evaluate(async () => {
    const connection = seen.connections.at(-1);
    const out = { frames: 0, audio: 0, local: "", remote: "", relayProtocol: "" };
    if (!connection) return out;
    const report = await connection.getStats();
    for (const entry of report.values()) {
      if (entry.type === "inbound-rtp" && entry.kind === "video") out.frames = entry.framesDecoded ?? 0;
      if (entry.type === "inbound-rtp" && entry.kind === "audio") out.audio = entry.packetsReceived ?? 0;
      if (entry.type === "transport" && entry.selectedCandidatePairId) {
        const pair = report.get(entry.selectedCandidatePairId);
        out.local = report.get(pair.localCandidateId)?.candidateType ?? "";
        out.remote = report.get(pair.remoteCandidateId)?.candidateType ?? "";
        out.relayProtocol = report.get(pair.localCandidateId)?.relayProtocol ?? "";
      }
    }
    return out;
  });

/**
 * Whether the other side of a relay-only call may have this candidate type. It is
 * "prflx" where a check came in before the candidate did.
 * @param {string} remote
 */
export const viaRelay = (remote) => remote === "relay" || remote === "prflx";

/**
 * Proves that sound and moving pictures arrive: both counters grow, and the picture changes.
 * @param {Page} page
 * @returns {Promise<Media>}
 */
export async function flows(page) {
  const before = await media(page);
  const picture = await look(page);
  await until(`media flows, from ${JSON.stringify(before)}`, async () => {
    const now = await media(page);
    return now.frames > before.frames + 5 && now.audio > before.audio + 10 && (await look(page)) !== picture;
  });
  return await media(page);
}

/**
 * The remote picture, as a fingerprint.
 * @param {Page} page
 */
const look = (page) =>
  page.$eval("#remote-video", (element) => {
    const video = /** @type {HTMLVideoElement} */ (element);
    const pen = new OffscreenCanvas(32, 24).getContext("2d");
    if (!pen || !video.videoWidth) return "";
    pen.drawImage(video, 0, 0, 32, 24);
    return pen.getImageData(0, 0, 32, 24).data.join();
  });

/**
 * The data- attributes of an element.
 * @param {Page} page
 * @param {string} selector
 * @returns {Promise<Record<string, string | undefined>>}
 */
export const data = (page, selector) => page.$eval(selector, (element) => ({ .../** @type {HTMLElement} */ (element).dataset }));

/**
 * Waits for a condition.
 * @param {string} what
 * @param {() => Promise<boolean> | boolean} holds
 * @param {number} [timeout]
 */
export async function until(what, holds, timeout = patience) {
  const deadline = Date.now() + timeout;
  while (!(await holds())) {
    assert.ok(Date.now() < deadline, `not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/**
 * Sends a chat message as a person would.
 * @param {Page} page
 * @param {string} text
 */
export async function say(page, text) {
  if (!(await page.$eval("#chat-input", (input) => input.checkVisibility()))) await page.click("#chat-toggle");
  await page.waitForSelector("#chat-input:not([disabled])", { visible: true });
  await page.type("#chat-input", text);
  await page.click("#chat-send");
}

/**
 * The texts in a page's chat.
 * @param {Page} page
 * @returns {Promise<string[]>}
 */
export const chat = (page) => page.$$eval("#chat-log .msg .text", (all) => all.map((text) => text.textContent ?? ""));
