import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describePath, lossPercent } from '../static/sdk/stats.js';

/** @typedef {import('../static/sdk/stats.js').Entry} Entry */

/**
 * A report as Chromium gives it: the transport names the pair.
 *
 * @param {Entry} local
 * @param {Entry} remote
 * @returns {Map<string, Entry>}
 */
const report = (local, remote) =>
  new Map(
    /** @type {[string, Entry][]} */ ([
      ['T', { type: 'transport', selectedCandidatePairId: 'P' }],
      ['P', { type: 'candidate-pair', state: 'succeeded', localCandidateId: 'L', remoteCandidateId: 'R', currentRoundTripTime: 0.0234, bytesReceived: 10, bytesSent: 20 }],
      ['L', { type: 'local-candidate', protocol: 'udp', ...local }],
      ['R', { type: 'remote-candidate', protocol: 'udp', ...remote }],
      ['A', { type: 'inbound-rtp', kind: 'audio', packetsReceived: 100, packetsLost: 1 }],
      ['V', { type: 'inbound-rtp', kind: 'video', packetsReceived: 300, packetsLost: 3 }],
    ]),
  );

const rows = /** @type {[string, Entry, Entry, string, string][]} */ ([
  ['host to host', { candidateType: 'host' }, { candidateType: 'host' }, 'direct', 'udp'],
  ['through two NATs', { candidateType: 'srflx' }, { candidateType: 'prflx' }, 'direct', 'udp'],
  ['direct over TCP', { candidateType: 'host', protocol: 'tcp' }, { candidateType: 'host', protocol: 'tcp' }, 'direct', 'tcp'],
  ['our relay over UDP', { candidateType: 'relay', relayProtocol: 'udp' }, { candidateType: 'host' }, 'relayed', 'udp'],
  ['our relay over TCP', { candidateType: 'relay', relayProtocol: 'tcp' }, { candidateType: 'srflx' }, 'relayed', 'tcp'],
  ['our relay over TLS', { candidateType: 'relay', relayProtocol: 'tls' }, { candidateType: 'relay' }, 'relayed', 'tls'],
  ['only theirs is relayed', { candidateType: 'srflx' }, { candidateType: 'relay' }, 'relayed', 'udp'],
]);
for (const [name, local, remote, path, protocol] of rows) {
  test(`path: ${name}`, () => {
    const described = describePath(report(local, remote));
    assert.deepEqual([described?.path, described?.protocol, described?.rttMs], [path, protocol, 23]);
  });
}

test("Firefox's report has no transport: the pair is marked selected", () => {
  const firefox = report({ candidateType: 'relay', relayProtocol: 'tcp' }, { candidateType: 'host' });
  firefox.delete('T');
  firefox.set('P0', { type: 'candidate-pair', state: 'succeeded', nominated: true, selected: false, localCandidateId: 'R', remoteCandidateId: 'R' });
  firefox.set('P', { ...firefox.get('P'), selected: true, nominated: true });
  assert.equal(describePath(firefox)?.protocol, 'tcp');
});

test('without a pair there is no path', () => {
  assert.equal(describePath(new Map()), null);
  const half = report({ candidateType: 'host' }, { candidateType: 'host' });
  half.delete('R');
  assert.equal(describePath(half), null);
});

test('a pair without a measured time has none to show', () => {
  const unmeasured = report({ candidateType: 'host' }, { candidateType: 'host' });
  unmeasured.set('P', { ...unmeasured.get('P'), currentRoundTripTime: undefined });
  assert.equal(describePath(unmeasured)?.rttMs, null);
});

test('loss is counted between two looks', () => {
  const before = describePath(report({ candidateType: 'host' }, { candidateType: 'host' }));
  assert.ok(before);
  assert.deepEqual([before.packetsReceived, before.packetsLost], [400, 4]);
  assert.equal(lossPercent(null, before), 0);
  assert.equal(lossPercent(before, { ...before, packetsReceived: 490, packetsLost: 14 }), 10);
  assert.equal(lossPercent(before, { ...before, packetsReceived: 405, packetsLost: 5 }), 0, 'too few to say');
  assert.equal(lossPercent(before, { ...before, packetsReceived: 500, packetsLost: 2 }), 0, 'late packets make it fall');
});
