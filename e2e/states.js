/** Every state of the pages, one after the other, as people come into them. */
import { execFileSync } from "node:child_process";
import { open } from "./browsers.js";
import { say, state, type } from "./page.js";

/** @import { Browser, Page } from "puppeteer-core" */

/** @param {string} rule of nftables; "" for none, in the namespace that run.sh has made */
function wall(rule) {
  execFileSync("nft", ["flush", "ruleset"]);
  if (!rule) return;
  for (const command of ["add table inet weather", "add chain inet weather in { type filter hook input priority 0; }", `add rule inet weather in ${rule} drop`]) {
    execFileSync("nft", command.split(" "));
  }
}

/** What shows of a page, and of the popover that has been opened. @param {Page} page @param {string} selector */
const shows = (page, selector) => page.waitForSelector(selector, { visible: true });

/**
 * Visits the states of the start page.
 * @param {Browser} browser
 * @param {string} url
 * @param {(name: string, page: Page) => Promise<void>} visit
 */
export async function walkHome(browser, url, visit) {
  const home = await open(browser, url);
  await home.waitForFunction(() => (document.querySelector("video")?.videoWidth ?? 0) > 0);
  await visit("home", home);
  await home.click("#key-choice summary");
  await home.click("#join");
  await shows(home, "#room-problem");
  await visit("no-room", home);
  await home.close();

  const refused = await open(browser, `${url}/#tea`, { camera: "denied" });
  await shows(refused, "#preview-enable");
  await visit("invited", refused);
  await refused.click("#join");
  await shows(refused, "#media-skip");
  await visit("refused", refused);
  await refused.close();

  const lost = await open(browser, `${url}/nothing-here`);
  await visit("not-found", lost);
  await lost.close();
}

/**
 * Visits the states of the test page.
 * @param {Browser} browser
 * @param {string} url
 * @param {(name: string, page: Page) => Promise<void>} visit
 */
export async function walkTest(browser, url, visit) {
  const page = await open(browser, `${url}/trickle`);
  await state(page, "done");
  await visit("trickle", page);
  await type(page, "#ice-username", "ann");
  await type(page, "#ice-credential", "wrong");
  await page.click("#run");
  await state(page, "running");
  await state(page, "done");
  await visit("trickle-wrong", page);
  await page.close();
}

/**
 * Visits the states of a call.
 * @param {Browser} browser
 * @param {string} url
 * @param {(name: string, page: Page) => Promise<void>} visit
 */
export async function walkCall(browser, url, visit) {
  const ann = await open(browser, url);
  await state(ann, "home");
  await type(ann, "#name", "Ann");
  await ann.click("#key-choice summary");
  await type(ann, "#new-key", "sesame");
  await ann.click("#start");
  await state(ann, "waiting");
  await shows(ann, "#invite-qr");
  await visit("waiting", ann);
  const link = await ann.$eval("#invite-link", (field) => /** @type {HTMLInputElement} */ (field).value);

  const bo = await open(browser, link.replace(/&key=.*/, ""));
  await state(bo, "home");
  await type(bo, "#name", "Bo");
  await bo.click("#join");
  await state(bo, "key");
  await visit("key", bo);
  await type(bo, "#room-key", "sesame");
  await bo.click("#open");
  for (const page of [ann, bo]) await state(page, "connected");
  await ann.waitForFunction(() => /** @type {HTMLVideoElement | null} */ (document.querySelector("#remote-video"))?.currentTime ?? 0 > 0);
  await shows(ann, "#path");
  await visit("connected", ann);

  await ann.click("#more");
  await shows(ann, "#end");
  await visit("menu", ann);
  await ann.keyboard.press("Escape");
  await ann.click("#self-open");
  await shows(ann, "#self-hide");
  await visit("self", ann);
  await ann.keyboard.press("Escape");
  await ann.keyboard.type("?");
  await shows(ann, "#keys");
  await visit("keys", ann);
  await ann.keyboard.press("Escape");

  const cy = await open(browser, link);
  await state(cy, "home");
  await cy.click("#join");
  await state(cy, "full");
  await visit("full", cy);

  await say(ann, "The slides are at https://example.org/slides");
  await say(bo, "Thank you. Shall we begin?");
  await shows(ann, "#chat-log .msg:not(.you)");
  await visit("chat", ann);
  await ann.click("#chat-close");

  try {
    wall("meta l4proto udp numgen random mod 10 < 3");
    await shows(ann, "#weak");
    await visit("weak", ann);
    wall("meta l4proto udp");
    await state(ann, "reconnecting");
    await visit("reconnecting", ann);
  } finally {
    wall("");
  }
  await state(ann, "connected");
  await bo.click("#camera");
  await bo.click("#mic");
  await ann.waitForFunction(() => document.querySelectorAll("#tiles .fact").length > 2);
  await visit("muted", ann);
  await bo.click("#leave");
  await state(ann, "left");
  await visit("left", ann);
  await bo.close();

  await ann.click("#more");
  await ann.click("#lock");
  await shows(ann, "#locked");
  await ann.keyboard.press("Escape");
  await cy.click("#retry");
  await state(cy, "locked");
  await visit("locked", cy);
  await cy.click("#knock");
  await state(cy, "knocking");
  await visit("knocking", cy);
  await shows(ann, "#knocks .admit");
  await visit("knock", ann);
  await cy.close();
  await ann.click("#more");
  await ann.click("#end");
  await state(ann, "ended");
  await visit("ended", ann);
  await ann.click("#back");
  await state(ann, "home");
  await ann.close();
}
