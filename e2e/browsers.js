/** Real browsers, and pages in them that keep count of what they do. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import puppeteer from "puppeteer-core";
import { patience } from "./until.js";

/** @import { Browser, Page } from "puppeteer-core" */

/** Where screenshots go. */
export const artifacts = new URL("artifacts/", import.meta.url).pathname;
mkdirSync(artifacts, { recursive: true });

/**
 * Starts Chromium with a camera and a microphone that are its own inventions.
 * @param {{lang?: string, trust?: string, args?: string[], network?: number, devices?: string}} [options] trust: a PEM file of a CA;
 *   network: a process in whose network namespace it runs; devices: which it invents, "" for those of the machine
 * @returns {Promise<{browser: Browser, close: () => Promise<void>}>}
 */
export async function startChromium({ lang = "en-US", trust, args = [], network, devices = "fps=10" } = {}) {
  const profile = mkdtempSync(join(tmpdir(), "duet-chromium-"));
  if (trust) {
    const store = join(profile, ".pki", "nssdb");
    mkdirSync(store, { recursive: true });
    trustIn(store, trust);
  }
  let executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  if (network) {
    const inside = join(profile, "inside");
    writeFileSync(inside, `#!/bin/sh\nexec nsenter --net=/proc/${network}/ns/net ${executablePath} "$@"\n`, { mode: 0o755 });
    executablePath = inside;
  }
  const browser = await puppeteer.launch({
    executablePath,
    pipe: true, // a port would be on the network where the browser is
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
      ...(devices ? [`--use-fake-device-for-media-stream=${devices}`] : []), // 10 pictures a second: two cores can pay that four times
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
 * @param {{width?: number, height?: number, scheme?: "dark" | "light", camera?: "granted" | "denied", microphone?: "granted" | "denied"}} [view]
 * @returns {Promise<Page>}
 */
export async function open(browser, url, { width = 1280, height = 800, scheme = "dark", camera = "granted", microphone = camera } = {}) {
  const context = await browser.createBrowserContext();
  contexts.add(context);
  // What is not in the list is refused.
  /** @type {import("puppeteer-core").Permission[]} */
  const allowed = [];
  if (camera === "granted") allowed.push("camera");
  if (microphone === "granted") allowed.push("microphone");
  if (allowed.length > 0) allowed.push("clipboard-sanitized-write");
  if (!permissive.has(browser)) await context.overridePermissions(new URL(url).origin, allowed);
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
    if (!devices) return; // not a secure context
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
