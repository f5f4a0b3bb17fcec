/** What a call says of its connections, and what it does when one is bad. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { afterEach, test } from "node:test";
import { artifacts, call, data, errorsOf, flows, media, setStage, state, until } from "./lab.js";

/** @import { Page } from "puppeteer-core" */

const stage = setStage();

/** @param {string} command @param {string} args */
const run = (command, args) => execFileSync(command, args.split(" "), { stdio: "pipe" });
afterEach(() => {
  run("nft", "flush ruleset");
  narrow(null);
});

/** How much the one wire of this machine carries, both ways together. @param {string | null} rate */
function narrow(rate) {
  if (!rate) {
    if (/tbf/.test(String(run("tc", "qdisc show dev lo")))) run("tc", "qdisc del dev lo root");
    return;
  }
  run("tc", `qdisc add dev lo root tbf rate ${rate} burst 4kb latency 300ms`);
}

/** Drops what comes in. @param {...string} what  nft matches */
function drop(...what) {
  run("nft", "add table inet loss");
  run("nft", "add chain inet loss in { type filter hook input priority 0; }");
  for (const match of what) run("nft", `add rule inet loss in ${match} drop`);
}

/** The port that a page sends its media from. @param {Page} page */
async function portOf(page) {
  const port = await page.evaluate(async () => {
    const report = await seen.connections.at(-1)?.getStats();
    for (const entry of report?.values() ?? []) {
      if (entry.type === "transport") return report?.get(report.get(entry.selectedCandidatePairId).localCandidateId).port;
    }
  });
  assert.ok(port > 0, `no port: ${port}`);
  return port;
}

/** @param {Page} page @param {string} selector */
const text = (page, selector) => page.$eval(selector, (element) => element.textContent ?? "");
/** @param {Page} page @param {string} name */
const fact = (page, name) => page.$eval(`#quality-panel [data-fact="${name}"]`, (element) => element.textContent ?? "").catch(() => "");
/** @param {Page} page */
const facts = (page) => page.$$eval(".tile .fact", (all) => all.map((one) => one.textContent).join("; "));
/** @param {Page} page @param {string} selector */
const isShown = (page, selector) => page.$eval(selector, (element) => element.checkVisibility());

test("the panel says in words that the call is direct, its numbers move, and a key opens and closes it", async () => {
  const [ann, bo] = await call(stage.chromium.browser, stage.duet.url, { room: "panel" });
  await flows(ann);
  const loaded = () => ann.evaluate(() => performance.getEntriesByType("resource").filter(({ name }) => /quality-panel|probe/.test(name)).length);
  assert.equal(await loaded(), 0, "the panel is loaded before it is opened");
  await ann.keyboard.press("q");
  await until("the path is told", async () => /^direct/.test(await fact(ann, "path")));
  assert.ok((await loaded()) > 0);
  assert.match(await fact(ann, "rtt"), /^\d+ ms$/);
  assert.match(await fact(ann, "voice"), /opus/i);
  await until("the pictures have sizes and codecs", async () => /^\d+ × \d+, \d+ a second, \w+/.test(await fact(ann, "sent")) && /^\d+ × \d+, \d+ a second, \w+/.test(await fact(ann, "received")));
  const rate = await fact(ann, "bitrate");
  assert.match(rate, /bit\/s sent, .*bit\/s received$/);
  await until("the bitrate moves", async () => (await fact(ann, "bitrate")) !== rate);
  const line = () => ann.$eval("#quality-panel .line.you", (path) => (path.getAttribute("d") ?? "").split("L").length);
  await until("the plot grows", async () => (await line()) >= 8);
  assert.equal(await ann.$$eval("#quality-panel svg[role=img][aria-label]", (all) => all.length), 3);
  assert.match(await text(ann, "#quality-panel table"), /now/);
  await until("it is good", async () => (await ann.$eval("#quality", (mark) => mark.getAttribute("aria-label"))) === "Connection: good. Show details");
  assert.equal(await ann.$eval("#quality", (mark) => mark.getBoundingClientRect().height >= 44 && mark.getBoundingClientRect().width >= 44), true);
  await ann.setViewport({ width: 1440, height: 900 });
  await ann.screenshot({ path: join(artifacts, "quality-1440.png") });
  await ann.setViewport({ width: 360, height: 740 });
  await until("it fits a phone", () => ann.$eval("#quality-panel", (panel) => panel.getBoundingClientRect().right <= 360 && panel.scrollWidth <= panel.clientWidth));
  await ann.screenshot({ path: join(artifacts, "quality-360.png") });
  await ann.keyboard.press("q");
  await until("the key closes it", async () => !(await isShown(ann, "#quality-panel")));
  assert.deepEqual([...errorsOf(ann), ...errorsOf(bo)], []);
});

test("the panel names the relay, and What is wrong runs the connection test and ends with a verdict while the call goes on", async () => {
  const [ann, bo] = await call(stage.chromium.browser, stage.duet.url, { room: "relayed", policy: "relay" });
  await flows(ann);
  await ann.click("#quality");
  await until("the path is told", async () => /^relayed over UDP by \S+$/.test(await fact(ann, "path")));
  await ann.click("#wrong");
  await ann.waitForSelector("#wrong-said[data-state=running]");
  await ann.waitForSelector("#wrong-said[data-state=done][data-reach]");
  assert.match(await text(ann, "#wrong-said h3"), /^(Calls will|A call will|Calls)/);
  assert.ok((await ann.$$eval("#wrong-said li[data-check=turn][data-result=ok]", (all) => all.length)) > 0, await text(ann, "#wrong-said"));
  await ann.setViewport({ width: 360, height: 740 });
  await ann.screenshot({ path: join(artifacts, "quality-wrong-360.png") });
  await state(ann, "connected");
  await flows(bo); // whose newest connection is the call's
  assert.deepEqual([...errorsOf(ann), ...errorsOf(bo)], []);
});

test("where nothing comes from Ann, or much of it is lost, the other side says that her connection is weak", async () => {
  const [ann, bo] = await call(stage.chromium.browser, stage.duet.url, { room: "weak" });
  await flows(bo);
  assert.doesNotMatch(await facts(bo), /weak/);
  drop("meta l4proto udp", "tcp dport 3478");
  await until("silence is told", async () => /Ann’s connection is weak/.test(await facts(bo)), 8_000);
  await bo.screenshot({ path: join(artifacts, "quality-weak.png") });
  run("nft", "flush ruleset");
  await until("it is taken back", async () => !/weak/.test(await facts(bo)) && (await isShown(bo, "#quality")));
  await state(bo, "connected");
  await flows(bo);
  drop(`udp sport ${await portOf(ann)} numgen random mod 100 < 30`);
  await until("loss is told", async () => /Ann’s connection is weak/.test(await facts(bo)) && (await data(bo, "#quality")).grade === "weak");
  run("nft", "flush ruleset");
  await until("it is well again", async () => (await data(bo, "#quality")).grade === "good");
  assert.doesNotMatch(await facts(bo), /weak/);
});

test("where the wire is too narrow for pictures only sound is sent, both sides are told, and the pictures come back", async () => {
  const pages = await call(stage.chromium.browser, stage.duet.url, { room: "narrow" });
  const [ann, bo] = pages;
  for (const page of pages) {
    await flows(page);
    await page.keyboard.press("q"); // so that the panel is there when the wire is narrow
    await page.waitForSelector("#keep-picture[hidden]");
    await page.keyboard.press("q");
  }
  const negotiated = await Promise.all(pages.map((page) => page.evaluate(() => seen.negotiations)));
  narrow("140kbit");
  await until("one sends sound only", async () => (await isShown(ann, "#audio-only")) || (await isShown(bo, "#audio-only")), 60_000);
  const [sparing, other] = (await isShown(ann, "#audio-only")) ? [ann, bo] : [bo, ann];
  const name = sparing === ann ? "Ann" : "Bo";
  await until("the other is told", async () => (await facts(other)).includes(`${name}’s connection is too slow for a picture`));
  await sparing.screenshot({ path: join(artifacts, "quality-sparing.png") });
  await other.screenshot({ path: join(artifacts, "quality-spared.png") });
  const before = await media(other);
  await until("the sound goes on", async () => (await media(other)).audio > before.audio + 50);
  assert.ok((await media(other)).frames <= before.frames + 5, "the picture goes on");
  await sparing.keyboard.press("q");
  await sparing.waitForSelector("#keep-picture:not([hidden])", { visible: true });
  await sparing.click("#keep-picture");
  const paused = await media(other);
  await until("who insists sends the picture all the same", async () => !(await isShown(sparing, "#audio-only")) && (await media(other)).frames > paused.frames);
  await sparing.click("#keep-picture[aria-pressed=true]");
  await sparing.keyboard.press("q");
  narrow(null);
  await until("both send pictures", async () => !(await isShown(ann, "#audio-only")) && !(await isShown(bo, "#audio-only")), 60_000);
  for (const page of pages) {
    await flows(page);
    await until("nobody is told otherwise", async () => !/too slow/.test(await facts(page)));
  }
  assert.deepEqual(await Promise.all(pages.map((page) => page.evaluate(() => seen.negotiations))), negotiated, "it was negotiated");
});
