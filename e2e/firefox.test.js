/** A call between two makes of browser. Firefox relays by Send indications, Chromium by channels. */
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { chat, closePages, enter, flows, say, startChromium, startDuet, startFirefox, state, until, viaRelay } from "./lab.js";

/** @type {import("./lab.js").Duet} */
let duet;
/** @type {Awaited<ReturnType<typeof startChromium>>} */
let chromium;
/** @type {Awaited<ReturnType<typeof startFirefox>>} */
let firefox;

before(async () => {
  duet = await startDuet();
  chromium = await startChromium();
  firefox = await startFirefox();
});
afterEach(closePages);
after(async () => {
  await firefox?.close();
  await chromium?.close();
  await duet?.stop();
});

for (const [first, second] of /** @type {const} */ ([
  ["firefox", "chromium"],
  ["chromium", "firefox"],
])) {
  test(`${first} calls ${second} through the relay alone`, async () => {
    const browsers = { firefox: firefox.browser, chromium: chromium.browser };
    const room = `${first}-first`;
    const ann = await enter(browsers[first], duet.url, { room, name: "Ann", policy: "relay" });
    await state(ann, "waiting");
    const bo = await enter(browsers[second], duet.url, { room, name: "Bo", policy: "relay" });
    for (const page of [ann, bo]) {
      await state(page, "connected");
      const got = await flows(page);
      assert.equal(got.local, "relay");
      assert.ok(viaRelay(got.remote), got.remote);
    }
    await say(ann, "hello");
    await say(bo, "hello yourself");
    await until("both have read both", async () => (await chat(ann)).length === 2 && (await chat(bo)).length === 2);
  });
}
