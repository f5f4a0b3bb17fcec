/** One's own picture. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { join } from "node:path";
import { artifacts, call, errorsOf, flows, setStage, until } from "./lab.js";

/** @import { Page } from "puppeteer-core" */

const stage = setStage();

/** @param {Page} page @param {string} what */
const box = (page, what) =>
  page.$eval(what, (element) => {
    const { x, y, width, height } = element.getBoundingClientRect();
    return { x: x + width / 2, y: y + height / 2, width, visible: element.checkVisibility() };
  });

/** Where a box is, as "top left" of the window. @param {Page} page @param {string} what */
async function corner(page, what) {
  const { x, y } = await box(page, what);
  const { width = 0, height = 0 } = page.viewport() ?? {};
  return `${y < height / 2 ? "top" : "bottom"} ${x < width / 2 ? "left" : "right"}`;
}

/** @param {Page} page @param {string} what @param {[x: number, y: number]} to */
async function drag(page, what, [x, y]) {
  const from = await box(page, what);
  await page.mouse.move(from.x, from.y);
  await page.mouse.down();
  await page.mouse.move((from.x + x) / 2, (from.y + y) / 2);
  await page.mouse.move(x, y);
  await page.mouse.up();
}

test("your picture goes into any corner, takes the other's place, and hides", async () => {
  const [ann, bo] = await call(stage.chromium.browser, stage.duet.url, { room: "self" });
  await flows(ann);
  await until("it is small", async () => (await box(ann, "#self")).width < 300);
  assert.equal(await corner(ann, "#self"), "bottom right");
  await drag(ann, "#self", [100, 120]);
  await until("it is where it was let go", async () => (await corner(ann, "#self")) === "top left");
  assert.equal(await ann.$eval("#self-menu", (menu) => menu.matches(":popover-open")), false, "a drag is no click");

  // Without dragging: the menu, and keys.
  await ann.click("#self-open");
  await ann.waitForSelector("#self-menu", { visible: true });
  await ann.screenshot({ path: join(artifacts, "self-menu.png") });
  await ann.click("#self-move");
  await until("it went on", async () => (await corner(ann, "#self")) === "top right");
  await ann.click("#self-swap");
  await until("Bo is small", async () => (await box(ann, "#tiles")).width < 300 && (await box(ann, "#self")).width > 1000);
  await flows(ann);
  await ann.screenshot({ path: join(artifacts, "self-large.png") });
  await drag(ann, "#tiles", [1200, 700]);
  await until("Bo's picture is dragged in its stead", async () => (await corner(ann, "#tiles")) === "bottom right");
  await ann.keyboard.press("x");
  await until("they are swapped back", async () => (await box(ann, "#self")).width < 300);
  await ann.keyboard.press("h");
  await until("it is hidden", async () => !(await box(ann, "#self")).visible);
  await ann.screenshot({ path: join(artifacts, "self-hidden.png") });
  await ann.click("#self-back");
  await until("it is there again", async () => (await box(ann, "#self")).visible);

  // The next call finds it where it was put.
  await ann.click("#leave");
  await ann.waitForSelector("#join:not([disabled])", { visible: true });
  await ann.evaluate(() => (location.hash = "#self"));
  await ann.click("#join");
  await until("it is in its corner", async () => (await box(ann, "#self-open")).visible && (await corner(ann, "#self")) === "bottom right");
  await flows(bo);
  assert.deepEqual([ann, bo].flatMap(errorsOf), []);
});

test("it keeps off the buttons in every corner", async () => {
  const [ann] = await call(stage.chromium.browser, stage.duet.url, { room: "phone" });
  for (const [width, x, y] of /** @type {const} */ ([[768, 60, 600], [768, 700, 600], [640, 60, 600], [640, 600, 600], [360, 60, 600], [360, 300, 600], [360, 60, 100], [360, 300, 100]])) {
    await ann.setViewport({ width, height: 740 });
    await until("it is small", async () => (await box(ann, "#self")).width < 150);
    await drag(ann, "#self", [x, y]);
    const over = await ann.evaluate(() => {
      const self = document.getElementById("self")?.getBoundingClientRect() ?? new DOMRect();
      const overlaps = (/** @type {Element} */ element) => {
        const b = element.getBoundingClientRect();
        return b.width > 0 && b.left < self.right && b.right > self.left && b.top < self.bottom && b.bottom > self.top;
      };
      return [...document.querySelectorAll(".controls > button, .corner > button, .pill")].filter(overlaps).map(({ id, className }) => id || className);
    });
    assert.deepEqual(over, []);
  }
  await ann.screenshot({ path: join(artifacts, "self-phone.png") });
});
