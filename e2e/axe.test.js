/** What axe-core finds wrong for people with disabilities, in every state of the pages: nothing. */
import assert from "node:assert/strict";
import axe from "axe-core";
import { test } from "node:test";
import { setStage } from "./lab.js";
import { walkCall, walkHome, walkTest } from "./states.js";

/** @import { Page } from "puppeteer-core" */

const stage = setStage();

/**
 * What axe finds, in words.
 * @param {Page} page
 * @returns {Promise<string[]>}
 */
const wrong = (page) =>
  page.evaluate(async () => {
    const { violations } = await /** @type {typeof import("axe-core")} */ (/** @type {unknown} */ (Reflect.get(globalThis, "axe"))).run(document, { resultTypes: ["violations"] });
    return violations.flatMap(({ id, help, nodes }) => nodes.map(({ target, any }) => `${id} (${help}) ${target}: ${any.map(({ message }) => message).join("; ")}`));
  });

/** @param {Page} page @param {string} language */
const speak = (page, language) =>
  page.evaluate(async (next) => {
    if (document.documentElement.lang.startsWith(next)) return;
    const { setLanguage } = await import(/** @type {string} */ ("/ui/i18n.js"));
    setLanguage(next);
  }, language);

/** English by day and Chinese by night, or the other way round. @type {[string, string][][]} */
const looks = [
  [["en", "light"], ["zh", "dark"]],
  [["zh", "light"], ["en", "dark"]],
];

for (const [i, pair] of looks.entries()) {
  for (const [where, walk] of /** @type {const} */ ([["home", walkHome], ["call", walkCall], ["test page", walkTest]])) {
    // The call is dark by day, too: its words in both languages are all that differs.
    if (i > 0 && where === "call") continue;
    test(`${where}: axe finds nothing, with ${pair.map((look) => look.join(" and ")).join(", with ")}`, async () => {
      /** @type {string[]} */
      const found = [];
      let visited = 0;
      await walk(stage.chromium.browser, stage.duet.url, async (name, page) => {
        if (!(await page.evaluate(() => "axe" in globalThis))) await page.evaluate(axe.source);
        for (const [language, scheme] of pair) {
          await page.emulateMediaFeatures([
            { name: "prefers-color-scheme", value: scheme },
            { name: "prefers-reduced-motion", value: "reduce" },
          ]);
          await speak(page, language);
          found.push(...(await wrong(page)).map((line) => `${name} ${language} ${scheme}: ${line}`));
        }
        await speak(page, "en");
        visited++;
      });
      assert.deepEqual(found, []);
      assert.ok(visited > 1);
    });
  }
}
