/** A call whose signaling fails, in front of a server that is well or is not. */
import assert from "node:assert/strict";
import { connect, createServer } from "node:net";
import { after, afterEach, before, test } from "node:test";
import { call, chat, closePages, flows, media, say, startChromium, startDuet, state, stateDirectory, until } from "./lab.js";

/** @type {Awaited<ReturnType<typeof startChromium>>} */
let chromium;
before(async () => {
  chromium = await startChromium();
});
afterEach(closePages);
after(async () => await chromium?.close());

/**
 * A wire to the server that can be cut.
 * @param {string} url
 */
async function wire(url) {
  const to = Number(new URL(url).port);
  /** @type {Set<import("node:net").Socket>} */
  const ends = new Set();
  let open = true;
  const server = createServer((near) => {
    if (!open) return void near.destroy();
    const far = connect(to, "127.0.0.1");
    for (const [end, other] of /** @type {const} */ ([
      [near, far],
      [far, near],
    ])) {
      ends.add(end);
      end.on("error", () => {});
      end.on("close", () => {
        ends.delete(end);
        other.destroy();
      });
      end.pipe(other);
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(null)));
  return {
    url: `http://localhost:${/** @type {import("node:net").AddressInfo} */ (server.address()).port}`,
    cut: () => {
      open = false;
      for (const end of ends) end.destroy();
    },
    mend: () => (open = true),
    close: () => {
      for (const end of ends) end.destroy();
      server.close();
    },
  };
}

/** @param {import("puppeteer-core").Page} page */
const counted = (page) => page.evaluate(() => ({ connections: seen.connections.length, sockets: seen.sockets }));

for (const seconds of [1, 10]) {
  test(`signaling that is cut for ${seconds} s costs the call nothing`, async () => {
    const duet = await startDuet();
    const line = await wire(duet.url);
    const [ann, bo] = await call(chromium.browser, line.url, { room: "cut" });
    await flows(ann);
    line.cut();
    await say(ann, "still here?");
    const began = Date.now();
    while (Date.now() - began < seconds * 1000) {
      const [first, then] = [await media(bo), await new Promise((resolve) => setTimeout(() => resolve(media(bo)), 900))];
      assert.ok(/** @type {import("./lab.js").Media} */ (then).audio > first.audio, "the media has stopped");
    }
    line.mend();
    await until("both are back", async () => duet.lines.filter((text) => text.includes("member resumed")).length === 2);
    for (const page of [ann, bo]) {
      await state(page, "connected");
      await flows(page);
      assert.equal((await counted(page)).connections, 1, "it is another call");
    }
    await say(bo, "yes");
    await until("each has read the other once", async () => (await chat(ann)).join() === "still here?,yes" && (await chat(bo)).join() === "still here?,yes");
    // Who leaves now is seen to leave: the server knows both.
    await bo.click("#leave");
    await state(ann, "left", "waiting");
    line.close();
    assert.equal(await duet.stop(), 0);
  });
}

test("a server that is killed and started again finds the same people in the same call", async () => {
  const env = { DUET_HTTP_LISTEN: "127.0.0.1:18081", STATE_DIRECTORY: stateDirectory() };
  let duet = await startDuet(env);
  const [ann, bo] = await call(chromium.browser, duet.url, { room: "killed" });
  await flows(ann);
  const first = await Promise.all([ann, bo].map(counted));
  assert.equal(await duet.stop("SIGKILL"), null);
  await flows(ann);
  duet = await startDuet(env);
  await until("both are back", async () => duet.lines.filter((line) => line.includes("member resumed")).length === 2);
  for (const page of [ann, bo]) {
    await state(page, "connected");
    await flows(page);
  }
  const now = await Promise.all([ann, bo].map(counted));
  assert.ok(now.every(({ connections, sockets }, i) => connections === 1 && sockets > (first[i]?.sockets ?? 0)), JSON.stringify([first, now]));
  await bo.click("#leave");
  await state(ann, "left", "waiting");
  assert.equal(await duet.stop(), 0);
});
