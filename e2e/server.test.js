/** What happens to a call when the server does not behave. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { call, enter, flows, startChromium, startDuet, state, until } from "./lab.js";

/** @type {Awaited<ReturnType<typeof startChromium>>} */
let chromium;
before(async () => {
  chromium = await startChromium();
});
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
    const sockets = await Promise.all([ann, bo].map((page) => page.evaluate(() => globalThis.seen.sockets)));
    return sockets.every((n) => n > 1);
  });
  await state(ann, "connected");
  await state(bo, "connected");
  await flows(ann);
  await flows(bo);
  await ann.browserContext().close();
  await bo.browserContext().close();
  assert.equal(await duet.stop(), 0);
});

test("SIGTERM tells those in a call to come back, and ends the server cleanly", async () => {
  const duet = await startDuet();
  const ann = await enter(chromium.browser, duet.url, { room: "term", name: "Ann" });
  await state(ann, "waiting");
  assert.equal(await duet.stop("SIGTERM"), 0);
  await state(ann, "reconnecting");
  await ann.browserContext().close();
});

test("a second signal ends the server at once", async () => {
  const duet = await startDuet();
  duet.process.kill("SIGTERM");
  const code = await duet.stop("SIGTERM");
  assert.ok(code === 0 || code === null, `exit status ${code}`);
});

test("a full server says so", async () => {
  const duet = await startDuet({ DUET_SIGNALING_MAX_ROOMS: "1" });
  const ann = await enter(chromium.browser, duet.url, { room: "one", name: "Ann" });
  await state(ann, "waiting");
  const bo = await enter(chromium.browser, duet.url, { room: "two", name: "Bo" });
  await until("Bo is told", () => bo.$eval("#status", (status) => /full|busy|later/i.test(status.textContent)));
  await ann.browserContext().close();
  await bo.browserContext().close();
  assert.equal(await duet.stop(), 0);
});
