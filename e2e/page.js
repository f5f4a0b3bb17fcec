/** What people do in a page, and the questions that one asks of a call. */
import { errorsOf, open } from "./browsers.js";
import { until } from "./until.js";

/** @import { Browser, Page } from "puppeteer-core" */

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
