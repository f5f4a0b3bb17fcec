import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gradeOf, qualityOf } from '../static/sdk/quality.js';
import { describePath } from '../static/sdk/stats.js';
import { pathWords } from '../static/ui/quality-words.js';

/**
 * @typedef {import('../static/sdk/stats.js').Entry} Entry
 * @typedef {import('../static/sdk/stats.js').Path} Path
 */

/** @param {Entry} local @param {Entry} [remote] @param {Entry} [pair] @returns {Path} */
function path(local, remote = { candidateType: 'host' }, pair = {}) {
  const made = describePath(
    new Map(
      /** @type {[string, Entry][]} */ ([
        ['T', { type: 'transport', selectedCandidatePairId: 'P' }],
        ['P', { type: 'candidate-pair', timestamp: 5000, localCandidateId: 'L', remoteCandidateId: 'R', bytesReceived: 10, responsesReceived: 3, availableOutgoingBitrate: 300_000, ...pair }],
        ['L', { type: 'local-candidate', protocol: 'udp', ...local }],
        ['R', { type: 'remote-candidate', ...remote }],
        ['C', { type: 'codec', mimeType: 'video/VP8' }],
        ['D', { type: 'codec', mimeType: 'audio/opus' }],
        ['IA', { type: 'inbound-rtp', kind: 'audio', packetsReceived: 100, jitter: 0.0042, codecId: 'D' }],
        ['IV', { type: 'inbound-rtp', kind: 'video', packetsReceived: 300, frameWidth: 640, frameHeight: 360, framesPerSecond: 29.7, codecId: 'C' }],
        ['OV', { type: 'outbound-rtp', kind: 'video', packetsSent: 200, qualityLimitationReason: 'bandwidth' }],
        ['RV', { type: 'remote-inbound-rtp', kind: 'video', packetsLost: 7 }],
      ]),
    ),
  );
  assert.ok(made);
  return made;
}

test('a look has the pictures, the codecs and the counts of both sides', () => {
  const look = path({ candidateType: 'host' });
  assert.deepEqual(look.received, { width: 640, height: 360, framesPerSecond: 30, codec: 'VP8' });
  assert.equal(look.sent, null, 'nothing was encoded yet');
  assert.deepEqual([look.voice, look.jitterMs, look.packetsSent, look.packetsLostThere, look.heard], ['opus', 4, 200, 7, 413]);
  assert.deepEqual([look.availableBps, look.limited, path({ candidateType: 'host' }, {}, { availableOutgoingBitrate: undefined }).availableBps], [300_000, null, null]);
});

const ways = /** @type {[Entry, Entry, string][]} */ ([
  [{ candidateType: 'host', networkType: 'wifi' }, { candidateType: 'srflx' }, 'direct over Wi-Fi'],
  [{ candidateType: 'host', networkType: 'cellular' }, { candidateType: 'srflx' }, 'direct over mobile data'],
  [{ candidateType: 'host', networkType: 'ethernet' }, { candidateType: 'host' }, 'direct on this network'],
  [{ candidateType: 'host' }, { candidateType: 'prflx', address: '192.168.1.7' }, 'direct on this network'],
  [{ candidateType: 'host' }, { candidateType: 'prflx', address: '203.0.113.7' }, 'direct'],
  [{ candidateType: 'srflx' }, { candidateType: 'srflx' }, 'direct'],
  [{ candidateType: 'relay', relayProtocol: 'udp', url: 'turn:call.example.org:3478?transport=udp' }, {}, 'relayed over UDP by call.example.org'],
  [{ candidateType: 'relay', relayProtocol: 'tcp', url: 'turn:[2001:db8::1]?transport=tcp' }, {}, 'relayed over TCP by [2001:db8::1]'],
  [{ candidateType: 'relay', relayProtocol: 'tls', url: 'turns:call.example.org:443?transport=tcp' }, {}, 'relayed over TLS 443'],
  [{ candidateType: 'srflx' }, { candidateType: 'relay' }, 'relayed at the other side'],
]);
for (const [local, remote, words] of ways) {
  test(`the path in words: ${words}, ${JSON.stringify([local, remote])}`, () => assert.equal(pathWords(path(local, remote)), words));
}

/** Looks a second apart. @param {Partial<Path>[]} changes */
const looks = (...changes) => changes.map((change, i) => ({ ...path({ candidateType: 'host' }), atMs: i * 1000, ...change }));

test('bitrate is that of the last second, loss that of the window', () => {
  const quality = qualityOf(looks(
    { bytesSent: 0, bytesReceived: 0, packetsReceived: 0, packetsLost: 0, packetsSent: 0, packetsLostThere: 0 },
    { bytesSent: 9000, bytesReceived: 9000, packetsReceived: 90, packetsLost: 10, packetsSent: 50, packetsLostThere: 0 },
    { bytesSent: 10_000, bytesReceived: 11_000, packetsReceived: 180, packetsLost: 20, packetsSent: 100, packetsLostThere: 25 },
  ));
  assert.deepEqual([quality?.upBps, quality?.downBps, quality?.upLossPercent, quality?.downLossPercent, quality?.grade], [8000, 16_000, 25, 10, 'weak']);
});

test('a connection is quiet since the first look that heard no more', () => {
  const steps = [1, 2, 2, 2, 2].map((heard) => ({ heard }));
  assert.equal(qualityOf(looks(...steps))?.quietMs, 3000);
  assert.equal(qualityOf(looks(...steps))?.grade, 'weak');
  assert.equal(qualityOf(looks(...steps, { heard: 3 }))?.quietMs, 0);
  assert.equal(qualityOf([]), null);
});

test('a grade is that of the worst value', () => {
  const well = { atMs: 0, upBps: 0, downBps: 0, upLossPercent: 0, downLossPercent: 0, rttMs: null, jitterMs: null, quietMs: 0 };
  assert.equal(gradeOf(well), 'good');
  assert.equal(gradeOf({ ...well, rttMs: 299, upLossPercent: 1, jitterMs: 49, quietMs: 2999 }), 'good');
  for (const fair of [{ rttMs: 300 }, { upLossPercent: 2 }, { downLossPercent: 2 }, { jitterMs: 50 }]) assert.equal(gradeOf({ ...well, ...fair }), 'fair');
  for (const weak of [{ rttMs: 700 }, { upLossPercent: 8 }, { downLossPercent: 8 }, { jitterMs: 120 }, { quietMs: 3000 }]) assert.equal(gradeOf({ ...well, ...weak }), 'weak');
});
