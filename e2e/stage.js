/** What most files of tests need: a server and a Chromium, for all of them. */
import { after, afterEach, before } from "node:test";
import { closePages, startChromium } from "./browsers.js";
import { startDuet } from "./server.js";

/**
 * Starts both before the tests of a file and ends them after, and closes what each test has opened.
 * @param {Record<string, string>} [env] of the server
 * @param {Parameters<typeof startChromium>[0]} [options] of Chromium
 * @returns {{duet: import("./server.js").Duet, chromium: Awaited<ReturnType<typeof startChromium>>}} filled in before the first test
 */
export function setStage(env, options) {
  /** @type {ReturnType<typeof setStage>} */
  const stage = /** @type {never} */ ({});
  before(async () => {
    stage.duet = await startDuet(env);
    stage.chromium = await startChromium(options);
  });
  afterEach(closePages);
  after(async () => {
    await stage.chromium?.close();
    await stage.duet?.stop();
  });
  return stage;
}
