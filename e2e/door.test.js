/** Who comes into a call, and who has to leave it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { join } from "node:path";
import { artifacts, call, enter, errorsOf, flows, open, setStage, state, type, until } from "./lab.js";

/** @import { Page } from "puppeteer-core" */

const stage = setStage();

/**
 * @param {Page} page
 * @param {string} selector
 */
const text = (page, selector) => page.$eval(selector, (element) => element.textContent ?? "");
/**
 * @param {Page} page
 * @param {string} selector
 */
const shows = (page, selector) => page.waitForSelector(selector, { visible: true });

/**
 * Chooses from the host's menu.
 * @param {Page} page
 * @param {string} what
 */
async function choose(page, what) {
  await shows(page, "#more");
  await page.click("#more");
  await shows(page, what);
  await page.click(what);
}

test("a call with a key opens to the key, typed or in the link, and to nothing else", async () => {
  const ann = await open(stage.chromium.browser, stage.duet.url);
  await state(ann, "home");
  await ann.click("#key-choice summary");
  await type(ann, "#new-key", "open sesame");
  await ann.click("#start");
  await state(ann, "waiting");
  const link = await ann.$eval("#invite-link", (field) => /** @type {HTMLInputElement} */ (field).value);
  assert.match(link, /#[a-z0-9-]+&key=open%20sesame$/);

  const bo = await open(stage.chromium.browser, link.replace(/&key=.*/, ""));
  await state(bo, "home");
  await bo.click("#join");
  await state(bo, "key");
  assert.match(await text(bo, "#scene-title"), /needs a key/);
  await bo.keyboard.type("sesame"); // the field has the focus
  await bo.keyboard.press("Enter");
  await until("the wrong key is refused", async () => /does not open/.test(await text(bo, "#scene-title")));
  await bo.screenshot({ path: join(artifacts, "key.png") });
  await type(bo, "#room-key", "open sesame");
  await bo.click("#open");
  await state(bo, "connected");
  await flows(ann);
  await bo.click("#leave");
  await state(ann, "left");

  const cy = await open(stage.chromium.browser, link);
  await state(cy, "home");
  await cy.click("#join");
  await state(cy, "connected");
  for (const page of [ann, bo, cy]) assert.deepEqual(errorsOf(page), []);
});

test("who opens the link of a keyed call first is let in, and the key holds", async () => {
  const bo = await open(stage.chromium.browser, `${stage.duet.url}/#early&key=sesame`);
  await state(bo, "home");
  await bo.click("#join");
  await state(bo, "waiting");
  const cy = await enter(stage.chromium.browser, stage.duet.url, { room: "early", name: "Cy" });
  await state(cy, "key");
});

test("a locked call is knocked at; one inside lets in with the keyboard, or does not", async () => {
  const ann = await enter(stage.chromium.browser, stage.duet.url, { room: "locked", name: "Ann" });
  await state(ann, "waiting");
  await choose(ann, "#lock");
  await shows(ann, "#locked");
  await ann.keyboard.press("Escape");
  const cy = await enter(stage.chromium.browser, stage.duet.url, { room: "locked", name: "Cy" });
  await state(cy, "locked");
  await cy.click("#knock");
  await state(cy, "knocking");
  await shows(ann, "#knocks .knock");
  assert.match(await text(ann, "#knocks"), /Cy would like to come in/);
  assert.equal(await ann.$eval("#knocks", (list) => list.getAttribute("aria-live")), "polite");
  await ann.screenshot({ path: join(artifacts, "knock.png") });
  await ann.click("#knocks .refuse");
  await state(cy, "refused");
  await until("nobody knocks any more", () => ann.$eval("#knocks", (list) => !list.checkVisibility()));

  await cy.click("#knock");
  await shows(ann, "#knocks .admit");
  await ann.focus("#knocks .admit");
  await ann.keyboard.press("Enter");
  await state(cy, "connected");
  await state(ann, "connected");
  await flows(cy);

  // Who goes away while waiting is not waited for.
  await cy.click("#leave");
  await state(ann, "left");
  const di = await enter(stage.chromium.browser, stage.duet.url, { room: "locked", name: "Di" });
  await state(di, "locked");
  await di.click("#knock");
  await shows(ann, "#knocks .knock");
  await di.click("#back");
  await state(di, "home");
  await until("nobody knocks any more", () => ann.$eval("#knocks", (list) => !list.checkVisibility()));

  await choose(ann, "#lock");
  await until("the call is open", () => ann.$eval("#locked", (tag) => !tag.checkVisibility()));
  await ann.keyboard.press("Escape");
  const ed = await enter(stage.chromium.browser, stage.duet.url, { room: "locked", name: "Ed" });
  await state(ed, "connected");
});

test("a host puts somebody out, who is told so and does not come back by itself", async () => {
  const [ann, bo] = await call(stage.chromium.browser, stage.duet.url, { room: "kick" });
  assert.equal(await bo.$eval("#host", (part) => /** @type {HTMLElement} */ (part).hidden), true, "a guest has no such menu");
  await choose(ann, "#kicks button");
  await state(bo, "ended");
  assert.match(await text(bo, "#scene-title"), /put out/);
  await bo.screenshot({ path: join(artifacts, "kicked.png") });
  await state(ann, "left");
  assert.match(await text(ann, "#scene-title"), /Bo was put out/);
  await until("Bo hangs up", () => bo.evaluate(() => seen.connections.every(({ connectionState }) => connectionState === "closed")));
  const sockets = await bo.evaluate(() => seen.sockets);
  await new Promise((resolve) => setTimeout(resolve, 1000));
  assert.equal(await bo.evaluate(() => seen.sockets), sockets);
});

test("a host ends the call for everybody", async () => {
  const [ann, bo] = await call(stage.chromium.browser, stage.duet.url, { room: "end" });
  await choose(ann, "#end");
  for (const page of [ann, bo]) {
    await state(page, "ended");
    assert.match(await text(page, "#scene-text"), /for everybody/);
  }
  await bo.click("#back");
  await state(bo, "home");
});

test("when the host leaves, the other one is the host", async () => {
  const [ann, bo] = await call(stage.chromium.browser, stage.duet.url, { room: "heir" });
  await until("Bo sees who hosts", async () => /Host/.test(await text(bo, "#tiles")));
  await ann.click("#leave");
  await state(bo, "left");
  await bo.click("#more");
  await shows(bo, "#end");
});
