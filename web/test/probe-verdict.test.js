import assert from 'node:assert/strict';
import { test } from 'node:test';
import { summarize } from '../static/sdk/probe-echo.js';
import { headline } from '../static/sdk/probe-headline.js';
import { readServers } from '../static/sdk/probe-servers.js';
import { verdicts } from '../static/sdk/probe-verdict.js';
import { newReport } from '../static/sdk/probe.js';

/**
 * @import { Candidate } from '../static/sdk/probe-candidate.js'
 * @import { Gathered } from '../static/sdk/probe-gather.js'
 * @import { Loopback } from '../static/sdk/probe-loopback.js'
 * @import { Report } from '../static/sdk/probe.js'
 */

/** @param {Candidate['type']} type @param {Partial<Candidate>} [more] @returns {Candidate} */
const candidate = (type, more) => ({
  type, protocol: 'udp', relayProtocol: '', address: '192.0.2.4', port: 5000, relatedAddress: '', priority: 1, url: '', atMs: 20, ...more,
});
const host = candidate('host');
const hidden = candidate('host', { address: '37b54982-8ace.local' });
const mapped = candidate('srflx', { address: '198.51.100.7', relatedAddress: '192.0.2.4' });
const relayed = candidate('relay', { address: '203.0.113.10' });

/**
 * One asked server; it was silent until the deadline unless more says otherwise.
 *
 * @param {string} url  "" for none
 * @param {Candidate[]} candidates
 * @param {Partial<Omit<Gathered, 'errors'>> & {errors?: number[]}} [more]
 * @returns {Gathered}
 */
function asked(url, candidates, { errors = [], ...more } = {}) {
  const [server = null] = readServers(url, { username: 'u', credential: 'c' }).servers;
  const state = candidates.some(({ type }) => type !== 'host') || errors.length ? 'complete' : 'deadline';
  return {
    server, state, ms: state === 'deadline' ? 10_000 : 150, candidates, refusal: '',
    errors: errors.map((code) => ({ url, code, text: 'said so', atMs: 90, count: 1 })), ...more,
  };
}

/** @param {(number | null)[]} times @param {Partial<Loopback>} [more] @returns {Loopback} */
function echo(times, more) {
  const samples = times.map((rttMs, i) => ({ atMs: i * 50, thereMs: rttMs, rttMs }));
  return {
    state: 'works', url: 'turn:a.example', transport: 'udp', connectMs: 300, types: ['relay', 'relay'],
    errorCode: 0, refusal: '', samples, echo: summarize(samples, 0), ...more,
  };
}
const carried = echo([24, 25, 26]);

/** @param {Gathered[]} gathered @param {Partial<Report>} [more] @returns {Report} */
const report = (gathered, more) => ({
  ...newReport(), state: 'done', unsupported: false, ms: 2_800,
  signaling: { ok: true, ms: 40, code: '', message: '' },
  servers: gathered.flatMap(({ server }) => (server ? [server] : [])), gathered, loopback: null, ...more,
});
const stun = 'stun:a.example';
const udp = 'turn:a.example';
const tcp = 'turn:a.example?transport=tcp';
const tls = 'turns:a.example:443';
const refused = { ok: false, ms: 100, message: 'no' };

const rows = /** @type {[string, Report, string[], string][]} */ ([
  ['behind a NAT, everything works',
    report([asked(stun, [host, mapped]), asked(udp, [host, mapped, relayed])], { loopback: carried }),
    ['ok signaling.works', 'ok stun.public', 'ok turn.works', 'ok relay.works'], 'all.both'],
  ['a TURN URL implies STUN',
    report([asked(udp, [host, mapped, relayed])], { loopback: carried }),
    ['ok signaling.works', 'ok stun.public', 'ok turn.works', 'ok relay.works'], 'all.both'],
  ['no NAT: the reflexive address is the host’s own',
    report([asked(udp, [host, candidate('srflx', { relatedAddress: '192.0.2.4' }), relayed])], { loopback: carried }),
    ['ok signaling.works', 'ok stun.no-nat', 'ok turn.works', 'ok relay.works'], 'all.both'],
  ['no NAT: the redundant reflexive address was dropped, TURN answered',
    report([asked(udp, [host, relayed])], { loopback: carried }),
    ['ok signaling.works', 'ok stun.no-nat', 'ok turn.works', 'ok relay.works'], 'all.both'],
  ['no NAT: STUN answered and left no trace',
    report([asked(stun, [host], { state: 'complete', ms: 120 })]),
    ['ok signaling.works', 'ok stun.no-nat', 'warn turn.none', 'warn relay.none'], 'direct.no-relay'],
  ['local addresses are hidden, so a NAT cannot be told from none',
    report([asked(udp, [hidden, candidate('srflx', { relatedAddress: '0.0.0.0' }), relayed])], { loopback: carried }),
    ['ok signaling.works', 'ok stun.public', 'ok turn.works', 'ok relay.works'], 'all.both'],
  ['wrong password',
    report([asked(udp, [host, mapped], { errors: [401] })]),
    ['ok signaling.works', 'ok stun.public', 'bad turn.unauthorized', 'bad relay.skipped'], 'direct.no-relay'],
  ['wrong password, no NAT: the 401 is an answer',
    report([asked(udp, [host], { errors: [701, 401] })]),
    ['ok signaling.works', 'ok stun.no-nat', 'bad turn.unauthorized', 'bad relay.skipped'], 'direct.no-relay'],
  ['wrong password, and a browser that reports no errors',
    report([asked(udp, [host, mapped])]),
    ['ok signaling.works', 'ok stun.public', 'bad turn.silent', 'bad relay.skipped'], 'direct.no-relay'],
  ['nothing answers',
    report([asked(stun, [host], { errors: [701] }), asked(udp, [host]), asked(tls, [host], { errors: [701] })]),
    ['ok signaling.works', 'bad stun.unreachable', 'bad turn.unreachable', 'bad turn.unreachable-tls', 'bad relay.skipped'], 'local'],
  ['a 701 for one interface is no reason to worry',
    report([asked(stun, [host, mapped], { errors: [701] }), asked(udp, [host, mapped, relayed], { errors: [701] })], { loopback: carried }),
    ['ok signaling.works', 'ok stun.public', 'ok turn.works', 'ok relay.works'], 'all.both'],
  ['UDP is blocked, TCP covers it',
    report([asked(udp, [host]), asked(tcp, [host, relayed])], { loopback: echo([40], { transport: 'tcp' }) }),
    ['ok signaling.works', 'warn stun.udp-blocked', 'warn turn.unreachable-covered', 'ok turn.works', 'ok relay.works'], 'all.tcp'],
  ['a dead STUN server beside a good TURN server',
    report([asked('stun:b.example', [host]), asked(udp, [host, mapped, relayed])], { loopback: carried }),
    ['ok signaling.works', 'bad stun.unreachable', 'ok turn.works', 'ok relay.works'], 'all.both'],
  ['relay only: STUN is implied',
    report([asked(stun, []), asked(udp, [relayed])], { policy: 'relay', loopback: carried }),
    ['ok signaling.works', 'ok stun.implied', 'ok turn.works', 'ok relay.works'], 'all.relayed'],
  ['relay only, wrong password',
    report([asked(stun, []), asked(udp, [], { errors: [401] })], { policy: 'relay' }),
    ['ok signaling.works', 'warn stun.hidden', 'bad turn.unauthorized', 'bad relay.skipped'], 'none.relay'],
  ['quota', report([asked(udp, [host, mapped], { errors: [486] })]),
    ['ok signaling.works', 'ok stun.public', 'bad turn.quota', 'bad relay.skipped'], 'direct.no-relay'],
  ['no ports left', report([asked(udp, [host, mapped], { errors: [508] })]),
    ['ok signaling.works', 'ok stun.public', 'bad turn.full', 'bad relay.skipped'], 'direct.no-relay'],
  ['forbidden', report([asked(udp, [host, mapped], { errors: [403] })]),
    ['ok signaling.works', 'ok stun.public', 'bad turn.forbidden', 'bad relay.skipped'], 'direct.no-relay'],
  ['an error without words of its own', report([asked(udp, [host, mapped], { errors: [600] })]),
    ['ok signaling.works', 'ok stun.public', 'bad turn.rejected', 'bad relay.skipped'], 'direct.no-relay'],
  ['the browser does not take the URLs',
    report([asked(stun, [], { state: 'refused', refusal: 'bad URL' }), asked(udp, [], { state: 'refused', refusal: 'bad URL' })]),
    ['ok signaling.works', 'bad stun.refused', 'bad turn.refused', 'bad relay.skipped'], 'none.network'],
  ['the relay cannot reach itself',
    report([asked(udp, [host, mapped, relayed])], { loopback: echo([], { state: 'no-path' }) }),
    ['ok signaling.works', 'ok stun.public', 'ok turn.works', 'bad relay.no-path'], 'direct.relay-stuck'],
  ['the relay gives no second address',
    report([asked(udp, [host, mapped, relayed])], { loopback: echo([], { state: 'no-relay', errorCode: 486 }) }),
    ['ok signaling.works', 'ok stun.public', 'ok turn.works', 'bad relay.no-relay'], 'direct.relay-stuck'],
  ['the pair was not relayed',
    report([asked(udp, [host, mapped, relayed])], { loopback: echo([1], { state: 'not-relayed', types: ['host', 'relay'] }) }),
    ['ok signaling.works', 'ok stun.public', 'ok turn.works', 'bad relay.not-relayed'], 'direct.relay-stuck'],
  ['no message comes back',
    report([asked(udp, [host, mapped, relayed])], { loopback: echo([null], { state: 'silent' }) }),
    ['ok signaling.works', 'ok stun.public', 'ok turn.works', 'bad relay.silent'], 'direct.relay-stuck'],
  ['the relay loses a tenth',
    report([asked(udp, [host, mapped, relayed])], { loopback: echo([...Array(9).fill(20), null]) }),
    ['ok signaling.works', 'ok stun.public', 'ok turn.works', 'warn relay.lossy'], 'all.both'],
  ['something rewrites packets',
    report([asked(udp, [host, mapped, relayed])], { loopback: echo([20], { echo: { ...carried.echo, damaged: 2 } }) }),
    ['ok signaling.works', 'ok stun.public', 'ok turn.works', 'bad relay.damaged'], 'direct.relay-stuck'],
  ['the server runs no relay', report([asked('', [host])]),
    ['ok signaling.works', 'warn stun.none', 'warn turn.none', 'warn relay.none'], 'local'],
  ['WebRTC gives no address', report([asked('', [])]),
    ['ok signaling.works', 'warn stun.none', 'warn turn.none', 'warn relay.none'], 'none.network'],
  ['signaling is unreachable, so no servers are known',
    report([asked('', [host])], { signaling: { ...refused, code: 'unreachable' } }),
    ['bad signaling.unreachable', 'bad relay.skipped'], 'none.signaling'],
  ['signaling is full, other servers work',
    report([asked(udp, [host, mapped, relayed])], { signaling: { ...refused, code: 'capacity' }, loopback: carried }),
    ['bad signaling.busy', 'ok stun.public', 'ok turn.works', 'ok relay.works'], 'none.signaling'],
  ['signaling refuses',
    report([asked(udp, [host, mapped, relayed])], { signaling: { ...refused, code: 'unauthenticated' }, loopback: carried }),
    ['bad signaling.refused', 'ok stun.public', 'ok turn.works', 'ok relay.works'], 'none.signaling'],
  ['a browser without WebRTC', report([], { unsupported: true }),
    ['ok signaling.works', 'bad relay.unsupported'], 'none.unsupported'],
  ['only just begun', report([], { state: 'running', signaling: null, servers: null }),
    ['running signaling.running', 'running relay.running'], 'running'],
  ['halfway',
    report([asked(stun, [host], { state: 'running' }), asked(udp, [host, relayed], { state: 'running' }), asked(tcp, [host], { state: 'running' })], { state: 'running' }),
    ['ok signaling.works', 'running stun.running', 'ok turn.works', 'running turn.running', 'running relay.running'], 'running'],
]);
for (const [name, given, want, why] of rows) {
  test(`verdict: ${name}`, () => {
    assert.deepEqual(verdicts(given).map(({ grade, code }) => `${grade} ${code}`), want);
    assert.equal(headline(given).why, why);
  });
}

test('the numbers of a verdict are those that were measured', () => {
  const given = report([asked(udp, [host, mapped, relayed])], { loopback: carried });
  const values = Object.fromEntries(verdicts(given).map(({ check, values: found }) => [check, found]));
  assert.deepEqual(values.stun, { address: '198.51.100.7' });
  assert.deepEqual(values.turn, { transport: 'UDP', port: 3478, address: '203.0.113.10', ms: 20 });
  assert.deepEqual(values.relay, { transport: 'UDP', median: 25, max: 26, loss: 0, sent: 3, damaged: 0 });
});
