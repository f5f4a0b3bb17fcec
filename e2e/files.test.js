/** Files in a call. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { artifacts, call, errorsOf, flows, setStage, state, until, wire } from "./lab.js";

/** @import { Page } from "puppeteer-core" */

const stage = setStage();
const directory = mkdtempSync(join(tmpdir(), "duet-files-"));
after(() => rmSync(directory, { recursive: true, force: true }));

/** MiB of the large file: DUET_E2E_FILE_MIB=1024 for the whole promise. */
const large = Number(process.env.DUET_E2E_FILE_MIB ?? 64);

/** Lets UDP through in this network namespace, or not. @param {boolean} pass */
function udp(pass) {
  if (pass) return void execFileSync("nft", ["delete table inet cut"]);
  execFileSync("nft", ["add table inet cut; add chain inet cut input { type filter hook input priority 0; }; add rule inet cut input meta l4proto udp drop"]);
}

/** Downloads of a page go into a directory of its own. @param {Page} page @param {string} name */
async function downloads(page, name) {
  const to = mkdtempSync(join(directory, name));
  const session = await page.createCDPSession();
  await session.send("Browser.setDownloadBehavior", { behavior: "allow", downloadPath: to, browserContextId: page.browserContext().id });
  return to;
}

/** Without a dialog of the system, which no test can press: files go to the site's own disk first. @param {Page[]} pages */
const withoutPicker = (...pages) => Promise.all(pages.map((page) => page.evaluate(() => Reflect.deleteProperty(globalThis, "showSaveFilePicker"))));

/** @param {Page} page @param {string} path */
async function send(page, path) {
  const pick = /** @type {import("puppeteer-core").ElementHandle<HTMLInputElement> | null} */ (await page.waitForSelector("#file-pick"));
  await pick?.uploadFile(path);
}

/** The states of the files in a page's chat. @param {Page} page */
const states = (page) => page.$$eval(".file", (all) => all.map((file) => /** @type {HTMLElement} */ (file).dataset.state));

/** Presses a button of the last file. @param {Page} page @param {string} button */
const press = (page, button) => page.$$eval(`.file ${button}`, (all) => /** @type {HTMLElement} */ (all.at(-1)).click());

test("a file is offered, taken, checked and saved under a harmless name; another is refused, a third cancelled", async () => {
  const [ann, bo] = await call(stage.chromium.browser, stage.duet.url, { room: "files" });
  await withoutPicker(ann, bo);
  const saved = await downloads(bo, "bo");
  const bytes = Buffer.from("two leaves and a bud ".repeat(40_000));
  writeFileSync(join(directory, "te\u202Ea.txt"), bytes);
  await send(ann, join(directory, "te\u202Ea.txt"));
  await until("Bo is asked", async () => (await states(bo)).join() === "offered");
  assert.equal(await bo.$eval(".file .text", ({ textContent }) => textContent), "tea.txt");
  assert.match(await bo.$eval("#toast", ({ textContent }) => textContent), /^Ann would like to send you tea\.txt, 840/);
  await bo.keyboard.press("c");
  await bo.screenshot({ path: join(artifacts, "file-offer.png") });
  await press(bo, ".accept");
  await until("both have it", async () => [await states(ann), await states(bo)].join(" ") === "done done");
  await until("it is saved", () => readdirSync(saved).join() === "tea.txt");
  assert.ok(readFileSync(join(saved, "tea.txt")).equals(bytes));

  await send(bo, join(directory, "te\u202Ea.txt"));
  await until("Ann is asked", async () => (await states(ann)).at(-1) === "offered");
  await press(ann, ".refuse");
  await until("both know that it is refused", async () => [(await states(ann)).at(-1), (await states(bo)).at(-1)].join() === "refused,refused");
  await send(bo, join(directory, "te\u202Ea.txt"));
  await until("Ann is asked again", async () => (await states(ann)).at(-1) === "offered");
  await press(bo, ".cancel");
  await until("both know that it is cancelled", async () => [(await states(ann)).at(-1), (await states(bo)).at(-1)].join() === "cancelled,cancelled");
  assert.deepEqual([ann, bo].flatMap(errorsOf), []);
});

test("where the browser can ask, the file goes straight to where the person says", async () => {
  const [ann, bo] = await call(stage.chromium.browser, stage.duet.url, { room: "picker" });
  await bo.evaluate(() => {
    Object.assign(globalThis, {
      showSaveFilePicker: async (/** @type {{suggestedName: string}} */ { suggestedName }) =>
        await (await navigator.storage.getDirectory()).getFileHandle(`chosen ${suggestedName}`, { create: true }),
    });
  });
  writeFileSync(join(directory, "picked.txt"), "two leaves and a bud");
  await send(ann, join(directory, "picked.txt"));
  await until("Bo is asked", async () => (await states(bo)).join() === "offered");
  await press(bo, ".accept");
  await until("both have it", async () => [await states(ann), await states(bo)].join(" ") === "done done");
  const text = () => bo.evaluate(async () => (await (await (await navigator.storage.getDirectory()).getFileHandle("chosen picked.txt")).getFile()).text());
  assert.equal(await text(), "two leaves and a bud");
});

test("a file is dropped and pasted, and one that is not read any more ends in words", async () => {
  const [ann, bo] = await call(stage.chromium.browser, stage.duet.url, { room: "drop" });
  await withoutPicker(bo);
  await ann.waitForSelector("#file-pick");
  await ann.evaluate(() => {
    const data = new DataTransfer();
    data.items.add(new File(["dropped"], "dropped.txt"));
    const stageOfCall = document.getElementById("stage");
    stageOfCall?.dispatchEvent(new DragEvent("dragover", { dataTransfer: data, bubbles: true, cancelable: true }));
    stageOfCall?.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
    const pasted = new DataTransfer();
    pasted.items.add(new File(["pasted"], "pasted.txt"));
    document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: pasted, bubbles: true }));
  });
  await until("Bo is asked twice", async () => (await states(bo)).join() === "offered,offered");

  const lost = join(directory, "lost.txt");
  writeFileSync(lost, "x".repeat(100_000));
  await send(ann, lost);
  await until("Bo is asked a third time", async () => (await states(bo)).length === 3);
  rmSync(lost);
  await press(bo, ".accept");
  await until("both know that it failed", async () => [(await states(ann)).at(-1), (await states(bo)).at(-1)].join() === "failed,failed");
  assert.match(await bo.$$eval(".file .fact-line", (all) => all.at(-1)?.textContent ?? ""), /cannot be read any more/);
});

test(`${large} MiB arrive whole through a cut of the connection, with flat memory on both sides`, async () => {
  const line = await wire(stage.duet.url);
  try {
    const [ann, bo] = await call(stage.chromium.browser, line.url, { room: "large" });
    await withoutPicker(bo);
    await flows(bo);
    // Made on the disk of Ann's browser, a MiB at a time.
    const sum = createHash("sha256");
    const path = join(directory, "large.bin");
    writeFileSync(path, "");
    for (let i = 0; i < large; i++) {
      const piece = Buffer.alloc(1 << 20, createHash("sha256").update(String(i)).digest());
      sum.update(piece);
      writeFileSync(path, piece, { flag: "a" });
    }
    await send(ann, path);
    await until("Bo is asked", async () => (await states(bo)).join() === "offered");
    const heap = async () => Promise.all([ann, bo].map(async (page) => (await page.metrics()).JSHeapUsedSize ?? 0));
    const before = await heap();
    const saved = await downloads(bo, "large");
    const began = Date.now();
    await press(bo, ".accept");
    const moved = () => bo.$eval(".file progress", (bar) => bar.value / bar.max);
    let highest = [0, 0];
    const look = async () => (highest = (await heap()).map((bytes, i) => Math.max(highest[i] ?? 0, bytes)));
    await until("a part has come", async () => (await look(), (await moved()) > 0.2), 120_000);
    await bo.keyboard.press("c");
    await bo.screenshot({ path: join(artifacts, "file-running.png") });
    // Nothing passes between them, nor to the server, until both have noticed.
    line.cut();
    udp(false);
    try {
      for (const page of [ann, bo]) await until("the cut is noticed", () => page.evaluate(() => seen.connections.every(({ iceConnectionState }) => iceConnectionState !== "connected" && iceConnectionState !== "completed")));
    } finally {
      udp(true);
      line.mend();
    }
    const stopped = await moved();
    assert.ok(stopped < 1, "the file was faster than the cut");
    await until("it goes on", async () => (await look(), (await moved()) > stopped), 60_000);
    await press(bo, ".pause");
    await until("Ann sees the pause", () => ann.$eval(".file .fact-line", ({ textContent }) => /^Paused/.test(textContent)));
    await press(bo, ".pause");
    await until("all of it is there", async () => (await look(), [await states(ann), await states(bo)].join(" ") === "done done"), 400_000);
    const seconds = (Date.now() - began) / 1000;
    await until("it is saved", () => readdirSync(saved).join() === "large.bin", 60_000);
    const got = createHash("sha256");
    const all = readFileSync(join(saved, "large.bin"));
    got.update(all);
    assert.equal(got.digest("hex"), sum.digest("hex"));
    const grown = highest.map((bytes, i) => (bytes - (before[i] ?? 0)) / (1 << 20));
    console.log(`# ${large} MiB in ${seconds.toFixed(1)} s, ${(large / seconds).toFixed(1)} MiB/s; heaps grew by ${grown.map((mib) => mib.toFixed(1)).join(" and ")} MiB at most`);
    assert.ok(grown.every((mib) => mib < 48), `heaps grew by ${grown.join(" and ")} MiB`);
    for (const page of [ann, bo]) {
      await state(page, "connected");
      assert.equal(await page.evaluate(() => seen.connections.length), 1);
    }
    assert.deepEqual([ann, bo].flatMap(errorsOf), []);
  } finally {
    line.close();
  }
});
