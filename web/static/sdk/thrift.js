// When the picture stays behind so that the voice gets through, and when it is tried again. Pure:
// a look a second goes in, the clock is the look's.

/**
 * @typedef {{paused: boolean, since: number, shortSince: number | null, holdMs: number}} Thrift
 *   since: when it was last paused or sent again. holdMs: how long the next pause lasts at least.
 * @typedef {{atMs: number, availableBps: number | null, limited: boolean | null, upLossPercent: number, hasPicture: boolean}} Look
 */

/** Less than this carries a voice and no picture worth seeing. */
const shortBps = 100_000;
/** With this much the picture is welcome again at once. */
const amplyBps = 300_000;
const shortLossPercent = 20;
const calmLossPercent = 10;
/** For how long it has to be short: a dip is no reason. */
const shortForMs = 5_000;
/** A picture that has just begun finds its bitrate first. */
const graceMs = 8_000;
const firstHoldMs = 10_000;
const maxHoldMs = 80_000;
/** A picture that was sent for as long as that did not come back too soon. */
const provenMs = 60_000;

/** @param {number} atMs @returns {Thrift} */
export const newThrift = (atMs) => ({ paused: false, since: atMs, shortSince: null, holdMs: firstHoldMs });

/**
 * decide says whether the picture is paused from this look on. While it is, the browser has little to
 * measure with: after a pause, twice as long each time, the picture is tried.
 *
 * @param {Thrift} thrift
 * @param {Look} look
 * @returns {Thrift}
 */
export function decide(thrift, { atMs, availableBps, limited, upLossPercent, hasPicture }) {
  if (!hasPicture) return thrift.paused || thrift.shortSince !== null ? newThrift(atMs) : thrift;
  const forMs = atMs - thrift.since;
  if (thrift.paused) {
    const ample = availableBps !== null && availableBps >= amplyBps && forMs >= shortForMs;
    const again = upLossPercent < calmLossPercent && (ample || forMs >= thrift.holdMs);
    return again ? { ...thrift, paused: false, since: atMs, shortSince: null, holdMs: Math.min(maxHoldMs, thrift.holdMs * 2) } : thrift;
  }
  const holdMs = forMs >= provenMs ? firstHoldMs : thrift.holdMs;
  const short = upLossPercent >= shortLossPercent || (availableBps !== null && availableBps < shortBps && limited !== false);
  if (!short) return { ...thrift, holdMs, shortSince: null };
  const shortSince = thrift.shortSince ?? atMs;
  if (forMs < graceMs || atMs - shortSince < shortForMs) return { ...thrift, holdMs, shortSince };
  return { paused: true, since: atMs, shortSince: null, holdMs };
}
