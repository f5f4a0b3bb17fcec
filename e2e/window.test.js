/** Full screen and the little window. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { join } from "node:path";
import { artifacts, call, errorsOf, flows, setStage, state, until } from "./lab.js";

/** @import { Page } from "puppeteer-core" */

const stage = setStage();

/**
 * @param {Page} page
 * @param {string} button
 */
const pressed = (page, button) => page.$eval(button, (element) => element.getAttribute("aria-pressed") === "true");

test("the call fills the screen and the little window, by button, key and double click", async () => {
  const [ann, bo] = await call(stage.chromium.browser, stage.duet.url, { room: "window" });
  await flows(ann);
  const isFull = () => ann.evaluate(() => document.fullscreenElement?.id === "call");
  const isLittle = () => ann.evaluate(() => document.pictureInPictureElement?.id === "remote-video");

  await ann.click("#full");
  await until("it is full", async () => (await isFull()) && (await pressed(ann, "#full")));
  await ann.screenshot({ path: join(artifacts, "full-screen.png") });
  await ann.keyboard.press("f");
  await until("it is not", async () => !(await isFull()) && !(await pressed(ann, "#full")));
  await ann.click("#tiles", { count: 2 });
  await until("it is again", isFull);
  await ann.keyboard.press("f");
  await until("and is not", async () => !(await isFull()));

  await ann.keyboard.press("p");
  await until("there is a little window", async () => (await isLittle()) && (await pressed(ann, "#little")));
  await ann.click("#little");
  await until("it is closed", async () => !(await isLittle()) && !(await pressed(ann, "#little")));
  await flows(ann);

  // Nothing of it is left when the call is.
  await ann.click("#little");
  await until("a little window once more", isLittle);
  await ann.click("#leave");
  await state(ann, "home");
  await until("and it is closed", async () => !(await isLittle()));
  assert.deepEqual([ann, bo].flatMap(errorsOf), []);
});
