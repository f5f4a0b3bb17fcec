// What travels through the relay in the test, and what its coming back says. Pure.

/**
 * @typedef {{atMs: number, thereMs: number | null, rttMs: number | null}} Sample
 *   One message. atMs: when it was sent, since the first. thereMs: until it had
 *   arrived. rttMs: until it was back; null if it never was.
 * @typedef {{
 *   sent: number, received: number, damaged: number, lossPercent: number,
 *   medianMs: number | null, maxMs: number | null,
 * }} EchoSummary
 */

/** Bytes of one message: about a voice packet. */
export const messageBytes = 200;
const headerBytes = 4;

/**
 * encodeMessage fills a message with what decodeMessage can check: its number,
 * and bytes that follow from it.
 *
 * @param {number} seq
 * @returns {ArrayBuffer}
 */
export function encodeMessage(seq) {
  const buffer = new ArrayBuffer(messageBytes);
  new DataView(buffer).setUint32(0, seq);
  new Uint8Array(buffer, headerBytes).set(pattern(seq));
  return buffer;
}

/**
 * decodeMessage returns the number of an intact message, -1 for a damaged one.
 *
 * @param {unknown} data
 */
export function decodeMessage(data) {
  if (!(data instanceof ArrayBuffer) || data.byteLength !== messageBytes) return -1;
  const seq = new DataView(data).getUint32(0);
  const bytes = new Uint8Array(data, headerBytes);
  return pattern(seq).every((byte, i) => byte === bytes[i]) ? seq : -1;
}

/**
 * A xorshift that starts at the number: no two messages alike, so that a mixed up one shows.
 *
 * @param {number} seq
 */
function pattern(seq) {
  let state = (seq + 1) * 0x9e3779b1;
  return Uint8Array.from({ length: messageBytes - headerBytes }, () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state & 0xff;
  });
}

/**
 * summarize counts what came back.
 *
 * @param {readonly Sample[]} samples
 * @param {number} damaged
 * @returns {EchoSummary}
 */
export function summarize(samples, damaged) {
  const times = samples
    .map((sample) => sample.rttMs)
    .filter((ms) => ms !== null)
    .sort((a, b) => a - b);
  const middle = times.length >> 1;
  const median = times.length % 2 ? times[middle] : ((times[middle - 1] ?? 0) + (times[middle] ?? 0)) / 2;
  return {
    sent: samples.length,
    received: times.length,
    damaged,
    lossPercent: samples.length ? (100 * (samples.length - times.length)) / samples.length : 0,
    medianMs: times.length ? (median ?? null) : null,
    maxMs: times.at(-1) ?? null,
  };
}
