/** Every state of the pages on a phone, a tablet and a desk: nothing is cut off, and pictures of all for the docs. */
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { test } from "node:test";
import { join } from "node:path";
import { artifacts, setStage } from "./lab.js";
import { walkCall, walkHome, walkTest } from "./states.js";

/** @import { Page } from "puppeteer-core" */

const stage = setStage();

/** With DUET_SCREENSHOTS=1 the pictures of the docs are taken anew. */
const docs = new URL("../docs/screenshots/", import.meta.url).pathname;
const inDocs = process.env.DUET_SCREENSHOTS === "1" ? ["home", "refused", "waiting", "connected", "chat", "weak", "reconnecting", "full", "locked", "ended", "trickle"] : [];
mkdirSync(docs, { recursive: true });

const sizes = /** @type {[number, number][]} */ ([
  [360, 740],
  [768, 1024],
  [1440, 900],
]);

/**
 * What is beside the page, cut off by its edge, or under something that takes its clicks.
 * @param {Page} page
 * @returns {Promise<string[]>}
 */
const misplaced = (page) =>
  page.evaluate(() => {
    const wrong = [];
    const { scrollWidth } = document.documentElement;
    if (scrollWidth > innerWidth) wrong.push(`the page is ${scrollWidth} wide`);
    for (const element of document.querySelectorAll("a, button, input, select, textarea, summary, h1, h2, p")) {
      if (!element.checkVisibility() || element.closest(".sr-only, .skip, .scroll")) continue;
      const { left, right, width } = element.getBoundingClientRect();
      if (width > 0 && (left < -0.5 || right > innerWidth + 0.5)) wrong.push(`${element.tagName} ${element.id || element.textContent} is at ${left} to ${right}`);
    }
    // Buttons are not smaller than a thumb; those in the text of a chat are as large as WCAG 2.2 asks.
    for (const button of document.querySelectorAll("button, a.button, select, input")) {
      if (!button.checkVisibility() || button.closest(".sr-only, .skip")) continue;
      const { width, height } = button.getBoundingClientRect();
      const least = button.closest(".msg") ? 24 : 44;
      if (width < least || height < least) wrong.push(`${button.tagName} ${button.id || button.textContent} is ${width} by ${height}`);
    }
    return wrong;
  });

for (const [where, walk] of /** @type {const} */ ([["home", walkHome], ["call", walkCall], ["test page", walkTest]])) {
  test(`${where}: nothing is cut off at ${sizes.map(([width]) => width).join(", ")} pixels`, async () => {
    /** @type {string[]} */
    const wrong = [];
    await walk(stage.chromium.browser, stage.duet.url, async (name, page) => {
      await page.emulateMediaFeatures([
        { name: "prefers-color-scheme", value: "light" },
        { name: "prefers-reduced-motion", value: "reduce" },
      ]);
      for (const [width, height] of sizes) {
        await page.setViewport({ width, height });
        wrong.push(...(await misplaced(page)).map((line) => `${name} at ${width}: ${line}`));
        await page.screenshot({ path: join(inDocs.includes(name) ? docs : artifacts, `${name}-${width}.webp`), type: "webp", quality: 70 });
      }
      await page.setViewport({ width: 1280, height: 800 });
    });
    assert.deepEqual(wrong, []);
  });
}
