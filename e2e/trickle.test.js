/** The test page, as an operator uses it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { join } from "node:path";
import { artifacts, data, errorsOf, open, setStage, state, type } from "./lab.js";

const stage = setStage({ DUET_TURN_USERS: "admin=123456" });

/** @param {import("puppeteer-core").Page} page */
const verdicts = async (page) =>
  Object.fromEntries(
    await page.$$eval(".verdict", (cards) => {
      const all = /** @type {HTMLElement[]} */ (cards);
      return all.map(({ dataset, textContent }) => [dataset.check, `${dataset.result}: ${textContent}`]);
    }),
  );

test("it says that signaling, STUN and TURN work, and sends data through the relay", async () => {
  const page = await open(stage.chromium.browser, `${stage.duet.url}/trickle`);
  await state(page, "done");
  await page.screenshot({ path: join(artifacts, "trickle.png"), fullPage: true });
  const got = await verdicts(page);
  for (const check of ["signaling", "stun", "turn", "relay"]) assert.match(got[check] ?? "missing", /^ok:/, `${check}: ${JSON.stringify(got)}`);
  assert.ok(Number((await data(page, "#rtt")).ms) > 0);
  assert.ok((await page.$$('#candidates tbody tr[data-type="relay"]')).length > 0);
  assert.deepEqual(errorsOf(page), []);
});

test("it says what is wrong with a bad password", async () => {
  const page = await open(stage.chromium.browser, `${stage.duet.url}/trickle`);
  await state(page, "done");
  await type(page, "#ice-username", "admin");
  await type(page, "#ice-credential", "wrong");
  await page.click("#run");
  await state(page, "running");
  await state(page, "done");
  await page.screenshot({ path: join(artifacts, "trickle-bad-password.png"), fullPage: true });
  const got = await verdicts(page);
  assert.match(got.turn, /^bad:.*(password|credential|user)/i);
  assert.ok((await page.$$('#errors [data-code="401"]')).length > 0);

  await type(page, "#ice-credential", "123456");
  await page.click("#run");
  await state(page, "running");
  await state(page, "done");
  assert.match((await verdicts(page)).turn, /^ok:/);
});

test("it says what is wrong with a port where nothing listens", async () => {
  const page = await open(stage.chromium.browser, `${stage.duet.url}/trickle`);
  await state(page, "done");
  await type(page, "#ice-urls", "turn:192.168.77.10:9?transport=udp");
  await page.click("#run");
  await state(page, "running");
  await state(page, "done");
  assert.match((await verdicts(page)).turn, /^bad:.*(answer|reach)/i);
});
