/** The page of docs/sdk.md, from an origin of its own. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { after, afterEach, before, test } from "node:test";
import { closePages, errorsOf, open, startChromium, startDuet, until } from "./lab.js";

/** @type {import("./lab.js").Duet} */
let duet;
/** @type {Awaited<ReturnType<typeof startChromium>>} */
let chromium;
/** @type {import("node:http").Server} */
let site;
let page = "";

before(async () => {
  const example = await readFile(new URL("../docs/examples/call.html", import.meta.url), "utf8");
  site = createServer((_request, response) => {
    response.setHeader("Content-Type", "text/html");
    response.end(example.replace("https://call.example.org", duet.url));
  });
  await new Promise((resolve) => site.listen(0, "127.0.0.1", () => resolve(undefined)));
  const at = site.address();
  page = `http://127.0.0.1:${typeof at === "object" ? at?.port : ""}`;
  duet = await startDuet({ DUET_HTTP_ALLOWED_ORIGINS: page });
  chromium = await startChromium();
});
afterEach(closePages);
after(async () => {
  site.close();
  await chromium?.close();
  await duet?.stop();
});

test("the page of docs/sdk.md makes a call from a site of another origin", async () => {
  const pages = [await open(chromium.browser, page), await open(chromium.browser, page)];
  for (const one of pages) {
    await until("the other is seen", async () => (await one.title()) === "connected" && (await one.$eval("#theirs", (video) => /** @type {HTMLVideoElement} */ (video).videoWidth > 0)));
    const played = await one.$eval("#theirs", (video) => /** @type {HTMLVideoElement} */ (video).currentTime);
    await until("it moves", () => one.$eval("#theirs", (video, earlier) => /** @type {HTMLVideoElement} */ (video).currentTime > earlier, played));
  }
  const [ann, bo] = pages;
  await bo.click("#leave");
  await until("Bo has left", async () => (await bo.title()) === "ended" && (await ann.title()) === "left");
  assert.deepEqual(pages.flatMap(errorsOf), []);
});

test("a site that is not among the allowed origins gets no call", async () => {
  const other = page.replace("127.0.0.1", "localhost");
  const one = await open(chromium.browser, other);
  await until("it gives up", () => errorsOf(one).some((error) => /SignalingError/.test(error)));
  assert.notEqual(await one.title(), "waiting");
});
