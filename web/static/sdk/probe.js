// The connection test without its page: signaling, ICE servers, the relay.
//
//     const report = newReport();
//     const room = await joinTestRoom({ signal });
//     report.signaling = room.result;
//     await probe(report, { servers: flatten(room.iceServers), policy: 'all', signal, onChange });
//     room.leave();
//
// What the report means is said by probe-verdict.js and probe-headline.js.

import { gather } from './probe-gather.js';
import { loopback } from './probe-loopback.js';
import { Signaling, SignalingError } from './signaling.js';

/**
 * @import { Gathered } from './probe-gather.js'
 * @import { Loopback } from './probe-loopback.js'
 * @import { Server, ServerUrl } from './probe-servers.js'
 *
 * @typedef {{ok: boolean, ms: number, code: string, message: string}} SignalingResult  code: why not, "" if ok
 * @typedef {{result: SignalingResult, iceServers: RTCIceServer[], leave: () => void}} TestRoom
 * @typedef {{
 *   state: 'running' | 'done' | 'aborted', startedAt: string, ms: number, unsupported: boolean,
 *   policy: RTCIceTransportPolicy, signaling: SignalingResult | null,
 *   servers: ServerUrl[] | null, gathered: Gathered[], loopback: Loopback | null,
 * }} Report
 *   It holds no credential. servers: null until they are known. gathered: one for
 *   each server; one without a server where there are none. ms: how long it took.
 */

const joinWithinMs = 8_000;
const gatherWithinMs = 10_000;

/** newReport is a report of nothing yet. */
export function newReport() {
  /** @type {Report} */
  const report = {
    state: 'running', startedAt: new Date().toISOString(), ms: 0, unsupported: typeof RTCPeerConnection === 'undefined',
    policy: 'all', signaling: null, servers: null, gathered: [], loopback: null,
  };
  return report;
}

/**
 * joinTestRoom joins a room that nobody else can guess, for the sake of the ICE
 * servers that its members get. Stay in it while they are in use: leaving ends the
 * member's relays.
 *
 * @param {{signal: AbortSignal, url?: string | URL, WebSocket?: typeof globalThis.WebSocket}} options
 * @returns {Promise<TestRoom>}
 */
export async function joinTestRoom({ signal, url = serverUrl(), WebSocket }) {
  const started = performance.now();
  const within = AbortSignal.any([signal, AbortSignal.timeout(joinWithinMs)]);
  const signaling = new Signaling({ url, room: testRoom(), WebSocket });
  const leave = () => signaling.leave();
  within.addEventListener('abort', leave, { once: true });
  signal.addEventListener('abort', leave, { once: true });
  let last = new SignalingError('unreachable', '');
  signaling.addEventListener('interrupted', ({ detail }) => void (last = new SignalingError(detail.code, detail.message)));
  try {
    const { ice } = await signaling.connect();
    return { result: { ok: true, ms: performance.now() - started, code: '', message: '' }, iceServers: ice.servers, leave };
  } catch (error) {
    const told = error instanceof SignalingError && error.code !== 'aborted' ? error : last;
    return { result: { ok: false, ms: performance.now() - started, code: told.code, message: told.message }, iceServers: [], leave };
  } finally {
    within.removeEventListener('abort', leave);
  }
}

/**
 * probe asks every server at once, then sends data through the best relay that
 * answered. It fills in report, and calls onChange whenever there is news.
 *
 * @param {Report} report
 * @param {{servers: Server[], policy: RTCIceTransportPolicy, signal: AbortSignal, onChange: () => void}} options
 */
export async function probe(report, { servers, policy, signal, onChange }) {
  const epoch = performance.now();
  report.policy = policy;
  report.servers = servers.map(({ url, scheme, host, port, transport }) => ({ url, scheme, host, port, transport }));
  if (!report.unsupported) {
    report.gathered = (servers.length ? report.servers : [null]).map((server) => ({ server, state: 'running', ms: 0, candidates: [], errors: [], refusal: '' }));
    onChange();
    await Promise.all(
      (servers.length ? servers : [null]).map(async (server, i) => {
        const update = (/** @type {Gathered} */ gathered) => {
          report.gathered[i] = gathered;
          onChange();
        };
        update(await gather(server, { policy, deadlineMs: gatherWithinMs, signal, onChange: update, epoch }));
      }),
    );
    const relay = bestRelay(servers, report.gathered);
    if (relay && !signal.aborted) report.loopback = await loopback(relay, signal);
  }
  report.state = signal.aborted ? 'aborted' : 'done';
  report.ms = Date.now() - Date.parse(report.startedAt);
  onChange();
}

/**
 * What a call would take: UDP before TCP before TLS.
 *
 * @param {Server[]} servers
 * @param {Gathered[]} gathered
 */
function bestRelay(servers, gathered) {
  const order = ['udp', 'dtls', 'tcp', 'tls'];
  return servers
    .filter((_, i) => gathered[i]?.candidates.some(({ type }) => type === 'relay'))
    .sort((a, b) => order.indexOf(a.transport) - order.indexOf(b.transport))[0];
}

/** 96 random bits. */
function testRoom() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return `test-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}

/** The server that this module came from. */
function serverUrl() {
  const url = new URL('/v1/ws', import.meta.url);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return url;
}
