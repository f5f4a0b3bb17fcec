import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isHidden, readCandidate, splitPriority } from '../static/sdk/probe-candidate.js';

const relay = 'candidate:2377496678 1 udp 50339839 203.0.113.10 49177 typ relay raddr 198.51.100.7 rport 37442 generation 0 ufrag vOxa network-cost 999';

test('a candidate is read from the browser’s fields where it has them', () => {
  const given = { candidate: relay, type: 'relay', protocol: 'udp', address: '203.0.113.99', port: 5, priority: 7, relatedAddress: '192.0.2.1', relayProtocol: 'tls', url: 'turns:a.example' };
  assert.deepEqual(readCandidate(given, { atMs: 12, url: 'turn:other.example' }), {
    type: 'relay', protocol: 'udp', relayProtocol: 'tls', address: '203.0.113.99', port: 5,
    relatedAddress: '192.0.2.1', priority: 7, url: 'turns:a.example', atMs: 12,
  });
});

test('and from its line where it has none', () => {
  for (const candidate of [relay, `a=${relay}`]) {
    assert.deepEqual(readCandidate({ candidate, address: null, port: null, type: null, url: '' }, { url: 'turn:a.example' }), {
      type: 'relay', protocol: 'udp', relayProtocol: '', address: '203.0.113.10', port: 49177,
      relatedAddress: '198.51.100.7', priority: 50339839, url: 'turn:a.example', atMs: 0,
    });
  }
});

test('a host candidate comes from no server', () => {
  const candidate = readCandidate({ candidate: 'candidate:1 1 UDP 2113937151 192.0.2.4 5000 typ host' }, { url: 'stun:a.example' });
  assert.equal(candidate?.url, '');
  assert.equal(candidate?.protocol, 'udp');
});

const none = /** @type {[string, Parameters<typeof readCandidate>[0]][]} */ ([
  ['the end of candidates', { candidate: '' }],
  ['nothing', {}],
  ['a cut line', { candidate: 'candidate:1 1 udp 2113937151' }],
  ['a type that is not known', { candidate: 'candidate:1 1 udp 1 192.0.2.4 5000 typ magic' }],
]);
for (const [name, given] of none) test(`no candidate: ${name}`, () => assert.equal(readCandidate(given), null));

const priorities = /** @type {[number, string][]} */ ([
  [2113937151, '126 | 30 | 255'],
  [1677729535, '100 | 30 | 255'],
  [50339839, '3 | 31 | 255'],
  [16785407, '1 | 31 | 255'],
  [2130706431, '126 | 65535 | 255'],
  [4294967295, '255 | 65535 | 255'],
  [0, '0 | 0 | 0'],
]);
for (const [priority, want] of priorities) test(`priority ${priority} is ${want}`, () => assert.equal(splitPriority(priority), want));

test('an mDNS name hides a local address', () => {
  assert.ok(isHidden('37b54982-8ace-40da-9c03-e69adc07de63.local'));
  assert.ok(!isHidden('192.0.2.4'));
  assert.ok(!isHidden('local.example.org'));
});
