/** A call that lasts longer than the credentials it began with. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { call, flows, setStage, state, until, viaRelay } from "./lab.js";

/** @import { Page } from "puppeteer-core" */

const stage = setStage({ DUET_TURN_CREDENTIAL_TTL: "8s" });

/**
 * When the credentials that a page's connection has expire, in seconds since 1970.
 * @param {Page} page
 */
const expiry = (page) => page.evaluate(() => Number.parseInt(seen.connections[0]?.getConfiguration().iceServers?.[0]?.username ?? ""));

/**
 * The name of a side in its connection's newest description.
 * @param {Page} page
 */
const ufrag = (page) => page.evaluate(() => /a=ice-ufrag:(\S+)/.exec(seen.connections[0]?.localDescription?.sdp ?? "")?.[1]);

test("a relay-only call outlives its credentials, has new ones by then, and restarts with them", async () => {
  const pages = await call(stage.chromium.browser, stage.duet.url, { room: "long", policy: "relay" });
  const first = await Promise.all(pages.map(expiry));
  const names = await Promise.all(pages.map(ufrag));
  const past = () => Date.now() / 1000 > Math.max(...first) + 1;
  await until("the first credentials are over", past);
  for (const page of pages) {
    await flows(page);
    assert.ok((await expiry(page)) > Date.now() / 1000, "the connection has no credentials that hold");
  }
  assert.deepEqual(await Promise.all(pages.map(ufrag)), names, "new credentials alone are no reason to restart ICE");

  // Straight from the connection, which asks nobody for more than it was given.
  await pages[0].evaluate(() => seen.connections[0]?.restartIce());
  for (const [i, page] of pages.entries()) {
    await until("a restart", async () => (await ufrag(page)) !== names[i]);
    await until("the restart is done", () =>
      page.evaluate(() => seen.connections[0]?.signalingState === "stable" && /connected|completed/.test(seen.connections[0].iceConnectionState)),
    );
    const got = await flows(page);
    assert.deepEqual([got.local, viaRelay(got.remote)], ["relay", true]);
    await state(page, "connected");
    assert.equal(await page.evaluate(() => seen.connections.length), 1);
  }
});
