/** What happens to a call when the server does not behave. */
import assert from "node:assert/strict";
import { request } from "node:http";
import { after, afterEach, before, test } from "node:test";
import { call, closePages, enter, flows, startChromium, startDuet, state, until } from "./lab.js";

/** @type {Awaited<ReturnType<typeof startChromium>>} */
let chromium;
before(async () => {
  chromium = await startChromium();
});
afterEach(closePages);
after(async () => await chromium?.close());

test("a direct call outlives the server's sudden death, and is whole again after its restart", async () => {
  const port = "18080";
  let duet = await startDuet({ DUET_HTTP_LISTEN: `127.0.0.1:${port}` });
  const [ann, bo] = await call(chromium.browser, duet.url, { room: "killed" });
  await flows(ann);
  assert.equal(await duet.stop("SIGKILL"), null);
  await state(ann, "reconnecting", "connected");
  await flows(ann);
  await flows(bo);

  duet = await startDuet({ DUET_HTTP_LISTEN: `127.0.0.1:${port}` });
  await until("both are known to the new server", async () => {
    const sockets = await Promise.all([ann, bo].map((page) => page.evaluate(() => seen.sockets)));
    return sockets.every((n) => n > 1);
  });
  await state(ann, "connected");
  await state(bo, "connected");
  await flows(ann);
  await flows(bo);
  assert.equal(await duet.stop(), 0);
});

test("SIGTERM tells those in a call to come back, and ends the server cleanly", async () => {
  const duet = await startDuet();
  const ann = await enter(chromium.browser, duet.url, { room: "term", name: "Ann" });
  await state(ann, "waiting");
  assert.equal(await duet.stop("SIGTERM"), 0);
  await state(ann, "reconnecting");
});

test("a second signal ends the server at once", async () => {
  const duet = await startDuet();
  const silent = await holdSocket(duet.url); // the first signal alone would wait for it
  duet.process.kill("SIGTERM");
  await until("the server is shutting down", () => duet.lines.some((line) => line.includes("shutting down")));
  const again = setInterval(() => duet.process.kill("SIGTERM"), 10);
  try {
    assert.equal(await duet.stop(), null, "the server ended by itself");
    assert.equal(duet.process.signalCode, "SIGTERM");
  } finally {
    clearInterval(again);
    silent.destroy();
  }
});

/**
 * Opens a WebSocket that says nothing, not even goodbye.
 * @param {string} url
 * @returns {Promise<import("node:stream").Duplex>}
 */
function holdSocket(url) {
  return new Promise((resolve, reject) => {
    const headers = {
      Connection: "Upgrade",
      Upgrade: "websocket",
      "Sec-WebSocket-Version": "13",
      "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
      "Sec-WebSocket-Protocol": "duet.v1",
    };
    request(`${url}/v1/ws`, { headers })
      .on("upgrade", (_response, socket) => resolve(socket))
      .on("response", (response) => reject(new Error(`not upgraded: ${response.statusCode}`)))
      .on("error", reject)
      .end();
  });
}

test("a full server says so, and lets in who waits when there is room", async () => {
  const duet = await startDuet({ DUET_SIGNALING_MAX_ROOMS: "1" });
  const ann = await enter(chromium.browser, duet.url, { room: "one", name: "Ann" });
  await state(ann, "waiting");
  const bo = await enter(chromium.browser, duet.url, { room: "two", name: "Bo" });
  await until("Bo is told", () => bo.$eval("#scene-text", (text) => /server is full/i.test(text.textContent)));
  await ann.click("#leave");
  await state(bo, "waiting");
  assert.equal(await duet.stop(), 0);
});
