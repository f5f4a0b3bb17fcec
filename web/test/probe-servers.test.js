import assert from 'node:assert/strict';
import { test } from 'node:test';
import { flatten, iceServer, maxServers, parseServerUrl, readServers } from '../static/sdk/probe-servers.js';

const good = /** @type {[string, string, ReturnType<typeof parseServerUrl>][]} */ ([
  ['stun with the port left out', 'stun:call.example.org', { url: 'stun:call.example.org', scheme: 'stun', host: 'call.example.org', port: 3478, transport: 'udp' }],
  ['turn is UDP unless it says otherwise', 'turn:198.51.100.7:80', { url: 'turn:198.51.100.7:80', scheme: 'turn', host: '198.51.100.7', port: 80, transport: 'udp' }],
  ['turn over TCP', 'turn:a.example?transport=tcp', { url: 'turn:a.example?transport=tcp', scheme: 'turn', host: 'a.example', port: 3478, transport: 'tcp' }],
  ['turns is TLS on 5349', 'turns:a.example', { url: 'turns:a.example', scheme: 'turns', host: 'a.example', port: 5349, transport: 'tls' }],
  ['turns over TCP', 'turns:a.example:443?transport=tcp', { url: 'turns:a.example:443?transport=tcp', scheme: 'turns', host: 'a.example', port: 443, transport: 'tls' }],
  ['turns over UDP is DTLS', 'turns:a.example?transport=udp', { url: 'turns:a.example?transport=udp', scheme: 'turns', host: 'a.example', port: 5349, transport: 'dtls' }],
  ['IPv6 in brackets', 'turn:[2001:db8::1]:3479', { url: 'turn:[2001:db8::1]:3479', scheme: 'turn', host: '[2001:db8::1]', port: 3479, transport: 'udp' }],
  ['white space around it', '  stun:a.example:1 ', { url: 'stun:a.example:1', scheme: 'stun', host: 'a.example', port: 1, transport: 'udp' }],
]);
for (const [name, text, want] of good) test(`server URL: ${name}`, () => assert.deepEqual(parseServerUrl(text), want));

const bad = /** @type {[string, string, string][]} */ ([
  ['another scheme', 'https://a.example', 'scheme'],
  ['no scheme', 'a.example:3478', 'scheme'],
  ['stuns, which no browser speaks', 'stuns:a.example', 'scheme'],
  ['slashes', 'turn://a.example', 'slashes'],
  ['no host', 'turn:', 'host'],
  ['a user in it', 'turn:ann@a.example', 'host'],
  ['bare IPv6', 'turn:2001:db8::1', 'port'],
  ['port 0', 'turn:a.example:0', 'port'],
  ['a port that is too large', 'turn:a.example:65536', 'port'],
  ['an empty port', 'turn:a.example:', 'port'],
  ['another transport', 'turn:a.example?transport=sctp', 'query'],
  ['another parameter', 'turn:a.example?x=1', 'query'],
  ['stun with a transport', 'stun:a.example?transport=udp', 'query-stun'],
]);
for (const [name, text, want] of bad) {
  test(`server URL refused: ${name}`, () => assert.deepEqual(parseServerUrl(text), { code: want, text: text.trim() }));
}

const form = { username: 'ann', credential: 'secret' };
const codes = (/** @type {string} */ text, fields = form) => readServers(text, fields).problems.map(({ code }) => code);

test('lines and commas separate URLs; TURN gets the credentials of the form, STUN none', () => {
  const { servers, problems } = readServers('stun:a.example\n\nturn:a.example, turns:a.example\n', form);
  assert.deepEqual(problems, []);
  assert.deepEqual(servers.map(iceServer), [
    { urls: ['stun:a.example'] },
    { urls: ['turn:a.example'], ...form },
    { urls: ['turns:a.example'], ...form },
  ]);
});

test('a pasted RTCIceServer list keeps its own credentials', () => {
  const list = [{ urls: 'stun:a.example' }, { urls: ['turn:a.example', 'turn:b.example'], username: 'bo', credential: 'other' }, { url: 'turn:c.example' }];
  for (const pasted of [list, { iceServers: list }]) {
    const { servers, problems } = readServers(JSON.stringify(pasted), form);
    assert.deepEqual(problems, []);
    assert.deepEqual(servers.map(({ url, username }) => [url, username]), [
      ['stun:a.example', ''], ['turn:a.example', 'bo'], ['turn:b.example', 'bo'], ['turn:c.example', 'ann'],
    ]);
  }
});

test('what cannot be read is named, all at once', () => {
  assert.deepEqual(codes('[{"urls": '), ['json']);
  assert.deepEqual(codes('[{"urls": 3}]'), ['json']);
  assert.deepEqual(codes('[1]'), ['json']);
  assert.deepEqual(codes('turn://a\nstun:b:0\nstun:c'), ['slashes', 'port']);
  assert.deepEqual(codes('turn:a.example\nstun:a.example', { username: 'ann', credential: '' }), ['credentials']);
});

test('no servers are no problem, too many are', () => {
  assert.deepEqual(readServers('  \n'), { servers: [], problems: [] });
  const lines = (/** @type {number} */ count) => Array.from({ length: count }, (_, i) => `stun:host${i}.example`).join('\n');
  assert.deepEqual(codes(lines(maxServers)), []);
  assert.deepEqual(codes(lines(maxServers + 1)), ['many']);
});

test('a URL that stands twice is asked once', () => {
  assert.equal(readServers('stun:a.example stun:a.example').servers.length, 1);
});

test('the list of signaling is flattened', () => {
  const servers = flatten([{ urls: ['turn:a.example?transport=udp', 'turn:a.example?transport=tcp'], username: 'u', credential: 'c' }]);
  assert.deepEqual(servers.map(({ transport, username, credential }) => [transport, username, credential]), [['udp', 'u', 'c'], ['tcp', 'u', 'c']]);
});
