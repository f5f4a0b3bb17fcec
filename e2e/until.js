/** Waiting, with an end to it. */
import assert from "node:assert/strict";

/** How long anything may take, in milliseconds. */
export const patience = 30_000;

/**
 * Waits for a condition.
 * @param {string} what
 * @param {() => Promise<boolean> | boolean} holds
 * @param {number} [timeout]
 */
export async function until(what, holds, timeout = patience) {
  const deadline = Date.now() + timeout;
  while (!(await holds())) {
    assert.ok(Date.now() < deadline, `not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
