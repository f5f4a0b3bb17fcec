/** What is written in a call. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { join } from "node:path";
import { artifacts, call, chat, enter, errorsOf, say, setStage, state, until } from "./lab.js";

const stage = setStage();

/** @param {import("puppeteer-core").Page} page */
const pending = (page) => page.$$eval("#chat-log .pending", (all) => all.length);

test("who writes is seen to write, links lead out of the call and nowhere else, and texts are copied", async () => {
  const [ann, bo] = await call(stage.chromium.browser, stage.duet.url, { room: "chat" });
  await bo.keyboard.press("c");
  await ann.keyboard.press("c");
  await ann.type("#chat-input", "Look: ");
  await until("Bo sees that Ann writes", () => bo.$eval("#chat-typing", ({ textContent }) => textContent === "Ann is writing…"));
  await bo.screenshot({ path: join(artifacts, "typing.png") });
  await ann.type("#chat-input", "https://duet.example/a?b=1&c, or javascript:alert(1).");
  await ann.keyboard.press("Enter");
  await until("Bo reads it", async () => (await chat(bo)).includes("Look: https://duet.example/a?b=1&c, or javascript:alert(1)."));
  assert.equal(await bo.$eval("#chat-typing", ({ textContent }) => textContent), "");
  const links = await bo.$$eval("#chat-log a", (all) => all.map(({ href, target, rel }) => [href, target, rel]));
  assert.deepEqual(links, [["https://duet.example/a?b=1&c", "_blank", "noopener noreferrer"]]);
  await until("Ann knows that it was heard", async () => (await pending(ann)) === 0);
  await bo.click("#chat-log .copy");
  await until("it says that it copied", () => bo.$eval("#toast", (toast) => toast.checkVisibility() && toast.textContent === "Copied."));
  await say(bo, "Seen.");
  await until("Ann reads the answer", async () => (await chat(ann)).includes("Seen."));
  await bo.screenshot({ path: join(artifacts, "chat.png") });

  // Times and names are in the page's language.
  await ann.evaluate(() => document.querySelector("[data-language]")?.dispatchEvent(new Event("click")));
  await until("Ann's own words are named in Chinese", () => ann.$eval("#chat-log .msg.you small", ({ textContent }) => /\p{Script=Han}/u.test(textContent)));
  assert.deepEqual([ann, bo].flatMap(errorsOf), []);
});

test("what is written while nobody is there waits, says so, and is read by who comes", async () => {
  const ann = await enter(stage.chromium.browser, stage.duet.url, { room: "early", name: "Ann" });
  await state(ann, "waiting");
  for (const text of ["one", "two"]) await say(ann, text);
  await until("both wait", async () => (await pending(ann)) === 2);
  const bo = await enter(stage.chromium.browser, stage.duet.url, { room: "early", name: "Bo" });
  await until("Bo reads both in order", async () => (await chat(bo)).join() === "one,two");
  await until("nothing waits any more", async () => (await pending(ann)) === 0);
  assert.equal(await bo.$eval("#unread", ({ textContent }) => textContent), "2");
  await bo.keyboard.press("c");
  await until("nothing is unread any more", () => bo.$eval("#unread", (badge) => !badge.checkVisibility()));
});

test("markup, marks of direction and 10,000 characters in names and texts do no harm", async () => {
  const nasty = `<img src=x onerror=alert(1)>\u202E\u2066${"x".repeat(10_000)}`;
  const ann = await enter(stage.chromium.browser, stage.duet.url, { room: "nasty", name: "<b>A\u202Enn</b>" });
  await state(ann, "waiting");
  const bo = await enter(stage.chromium.browser, stage.duet.url, { room: "nasty", name: "Bo" });
  await state(ann, "connected");
  await state(bo, "connected");
  assert.equal(await bo.$eval("#status", ({ textContent }) => textContent), "<b>Ann</b>");
  await ann.keyboard.press("c");
  await ann.$eval("#chat-input", (input, text) => (/** @type {HTMLTextAreaElement} */ (input).value = text), nasty);
  await ann.focus("#chat-input");
  await ann.keyboard.press("Enter");
  await until("Bo reads as much as may be", async () => (await chat(bo))[0] === nasty.slice(0, 4000));
  await bo.keyboard.press("c");
  for (const page of [ann, bo]) {
    assert.equal(await page.$eval("#chat-log", (log) => log.querySelectorAll("img, b").length), 0);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "the page is wider than its window");
    assert.deepEqual(errorsOf(page), []);
  }
});
