// How good a connection is, from what its last seconds counted. Pure.

/**
 * @import { Path } from './stats.js'
 *
 * @typedef {'good' | 'fair' | 'weak'} Grade
 * @typedef {{
 *   atMs: number, upBps: number, downBps: number, upLossPercent: number, downLossPercent: number,
 *   rttMs: number | null, jitterMs: number | null, quietMs: number, grade: Grade,
 * }} Quality
 *   up: from us to them. Loss is that of the last five seconds. quietMs: for how long nothing at all has come.
 */

/** How many looks, one a second, count: loss is told over them. */
export const windowLooks = 6;
/** A connection that brings nothing for as long as that is weak, whatever its state is called. */
const quietMs = 3_000;
/** How bad a value has to be for each grade. @type {[Grade, {loss: number, rtt: number, jitter: number}][]} */
const bars = [
  ['weak', { loss: 8, rtt: 700, jitter: 120 }],
  ['fair', { loss: 2, rtt: 300, jitter: 50 }],
];

/**
 * qualityOf compares the looks of the last seconds, the oldest first; null without any.
 *
 * @param {readonly Path[]} looks
 * @returns {Quality | null}
 */
export function qualityOf(looks) {
  const now = looks.at(-1);
  const [first] = looks;
  if (!now || !first) return null;
  const last = looks.at(-2) ?? now;
  const seconds = (now.atMs - last.atMs) / 1000;
  const rate = (/** @type {'bytesSent' | 'bytesReceived'} */ field) => (seconds > 0 ? Math.max(0, Math.round(((now[field] - last[field]) * 8) / seconds)) : 0);
  const quality = {
    atMs: now.atMs,
    upBps: rate('bytesSent'),
    downBps: rate('bytesReceived'),
    upLossPercent: share(now.packetsLostThere - first.packetsLostThere, now.packetsSent - first.packetsSent),
    downLossPercent: share(now.packetsLost - first.packetsLost, now.packetsLost - first.packetsLost + now.packetsReceived - first.packetsReceived),
    rttMs: now.rttMs,
    jitterMs: now.jitterMs,
    quietMs: now.atMs - (looks.find(({ heard }) => heard === now.heard)?.atMs ?? now.atMs),
  };
  return { ...quality, grade: gradeOf(quality) };
}

/** @param {Omit<Quality, 'grade'>} quality */
export function gradeOf({ upLossPercent, downLossPercent, rttMs, jitterMs, quietMs: quiet }) {
  if (quiet >= quietMs) return 'weak';
  const loss = Math.max(upLossPercent, downLossPercent);
  return bars.find(([, bar]) => loss >= bar.loss || (rttMs ?? 0) >= bar.rtt || (jitterMs ?? 0) >= bar.jitter)?.[0] ?? 'good';
}

/**
 * In per cent; 0 where too few packets passed to say.
 *
 * @param {number} lost
 * @param {number} total
 */
const share = (lost, total) => (lost > 0 && total >= 20 ? Math.min(100, Math.round((lost / total) * 100)) : 0);
