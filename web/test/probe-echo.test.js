import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeMessage, encodeMessage, messageBytes, summarize } from '../static/sdk/probe-echo.js';

test('a message comes back as it went', () => {
  for (const seq of [0, 1, 39, 65536]) {
    const message = encodeMessage(seq);
    assert.equal(message.byteLength, messageBytes);
    assert.equal(decodeMessage(message), seq);
  }
});

test('a changed byte shows, wherever it is', () => {
  for (let i = 0; i < messageBytes; i++) {
    const bytes = new Uint8Array(encodeMessage(7));
    bytes[i] = (bytes[i] ?? 0) ^ 1;
    assert.equal(decodeMessage(bytes.buffer), -1, `byte ${i}`);
  }
});

test('what is not a message is not one', () => {
  for (const data of ['text', null, new ArrayBuffer(0), encodeMessage(1).slice(1)]) assert.equal(decodeMessage(data), -1);
});

const sample = (/** @type {number | null} */ rttMs) => ({ atMs: 0, thereMs: null, rttMs });
const summaries = /** @type {[string, (number | null)[], number, ReturnType<typeof summarize>][]} */ ([
  ['nothing sent', [], 0, { sent: 0, received: 0, damaged: 0, lossPercent: 0, medianMs: null, maxMs: null }],
  ['nothing back', [null, null], 0, { sent: 2, received: 0, damaged: 0, lossPercent: 100, medianMs: null, maxMs: null }],
  ['odd', [30, 10, 20], 0, { sent: 3, received: 3, damaged: 0, lossPercent: 0, medianMs: 20, maxMs: 30 }],
  ['even, with a loss', [1, 4, 2, 100, null], 0, { sent: 5, received: 4, damaged: 0, lossPercent: 20, medianMs: 3, maxMs: 100 }],
  ['damaged', [5, null], 1, { sent: 2, received: 1, damaged: 1, lossPercent: 50, medianMs: 5, maxMs: 5 }],
]);
for (const [name, times, damaged, want] of summaries) {
  test(`summary: ${name}`, () => assert.deepEqual(summarize(times.map(sample), damaged), want));
}
