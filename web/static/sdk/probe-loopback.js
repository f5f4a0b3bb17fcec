// A call with oneself through the relay: two connections in this page that may use
// nothing else, and messages that go out by the one and come back by the other.

import { decodeMessage, encodeMessage, summarize } from './probe-echo.js';
import { iceServer } from './probe-servers.js';
import { describePath } from './stats.js';

/**
 * @import { EchoSummary, Sample } from './probe-echo.js'
 * @import { Server, Transport } from './probe-servers.js'
 *
 * @typedef {'works' | 'no-relay' | 'no-path' | 'not-relayed' | 'silent' | 'refused' | 'aborted'} LoopbackState
 *   no-relay: no relayed address this time. no-path: there were, but no packet passed between them.
 *   not-relayed: connected past the relay. silent: connected, and nothing came back.
 * @typedef {{
 *   state: LoopbackState, url: string, transport: Transport, connectMs: number,
 *   types: string[], errorCode: number, refusal: string, echo: EchoSummary, samples: Sample[],
 * }} Loopback
 *   types: of the local candidate on either side. errorCode: the last icecandidateerror, 0 without one.
 */

const connectWithinMs = 10_000;
const sendForMs = 2_000;
const sendEveryMs = 50;
/** How long the last messages may take to come back. */
const drainMs = 1_000;

/**
 * loopback tries the relay that server names. Both connections are closed when it returns.
 *
 * @param {Server} server
 * @param {AbortSignal} signal
 * @returns {Promise<Loopback>}
 */
export async function loopback(server, signal) {
  /** @type {Loopback} */
  const result = {
    state: 'no-path', url: server.url, transport: server.transport, connectMs: 0,
    types: [], errorCode: 0, refusal: '', echo: summarize([], 0), samples: [],
  };
  const life = new AbortController();
  const started = performance.now();
  /** @type {RTCPeerConnection[]} */
  const pair = [];
  try {
    for (let i = 0; i < 2; i++) pair.push(new RTCPeerConnection({ iceServers: [iceServer(server)], iceTransportPolicy: 'relay' }));
    const [near, far] = /** @type {[RTCPeerConnection, RTCPeerConnection]} */ (pair);
    const relayless = new AbortController();
    watchCandidates(near, far, { result, relayless, signal: life.signal });
    const channels = await connect(near, far, AbortSignal.any([signal, relayless.signal]));
    result.connectMs = performance.now() - started;
    if (!channels) {
      result.state = signal.aborted ? 'aborted' : relayless.signal.aborted ? 'no-relay' : 'no-path';
      return result;
    }
    result.types = (await Promise.all([near.getStats(), far.getStats()])).map((report) => describePath(report)?.localType ?? '');
    const { samples, damaged } = await exchange(channels, signal);
    result.samples = samples;
    result.echo = summarize(samples, damaged);
    if (signal.aborted) result.state = 'aborted';
    else if (result.types.some((type) => type !== 'relay')) result.state = 'not-relayed';
    else result.state = result.echo.received || damaged ? 'works' : 'silent';
  } catch (error) {
    result.state = signal.aborted ? 'aborted' : 'refused';
    result.refusal = error instanceof Error ? error.message : String(error);
  } finally {
    life.abort();
    for (const connection of pair) connection.close();
  }
  return result;
}

/**
 * Passes each side's candidates to the other; relayless is aborted when a side has none.
 *
 * @param {RTCPeerConnection} near
 * @param {RTCPeerConnection} far
 * @param {{result: Loopback, relayless: AbortController, signal: AbortSignal}} options
 */
function watchCandidates(near, far, { result, relayless, signal }) {
  for (const [from, to] of /** @type {const} */ ([[near, far], [far, near]])) {
    let relays = 0;
    from.addEventListener(
      'icecandidate',
      ({ candidate }) => {
        if (candidate?.candidate) relays++;
        else if (candidate === null && relays === 0) relayless.abort();
        to.addIceCandidate(candidate ?? undefined).catch(() => {}); // one that does not fit is as good as none
      },
      { signal },
    );
    from.addEventListener('icecandidateerror', (event) => void (result.errorCode = event.errorCode), { signal });
  }
}

/** @typedef {{near: RTCDataChannel, far: RTCDataChannel}} Channels */

/**
 * @param {RTCPeerConnection} near
 * @param {RTCPeerConnection} far
 * @param {AbortSignal} signal
 * @returns {Promise<Channels | null>} null where no path was found in time
 */
async function connect(near, far, signal) {
  // Negotiated: both ends exist from the start, and there is nobody to wait for.
  const options = { negotiated: true, id: 1, ordered: false, maxRetransmits: 0 };
  const channels = { near: near.createDataChannel('probe', options), far: far.createDataChannel('probe', options) };
  channels.near.binaryType = channels.far.binaryType = 'arraybuffer';
  const opened = until(AbortSignal.any([signal, AbortSignal.timeout(connectWithinMs)]), (done, life) => {
    const look = () => channels.near.readyState === 'open' && channels.far.readyState === 'open' && done(true);
    for (const channel of [channels.near, channels.far]) channel.addEventListener('open', look, { signal: life });
    for (const connection of [near, far]) {
      connection.addEventListener('connectionstatechange', () => connection.connectionState === 'failed' && done(false), { signal: life });
    }
  });
  const offer = await near.createOffer();
  // The far side knows the offer before the near side gathers, so that no candidate comes too early.
  await far.setRemoteDescription(offer);
  await near.setLocalDescription(offer);
  const answer = await far.createAnswer();
  await near.setRemoteDescription(answer);
  await far.setLocalDescription(answer);
  return (await opened) ? channels : null;
}

/**
 * Sends from near for two seconds; far returns every message as it came.
 *
 * @param {Channels} channels
 * @param {AbortSignal} signal
 * @returns {Promise<{samples: Sample[], damaged: number}>}
 */
async function exchange({ near, far }, signal) {
  /** @type {Sample[]} */
  const samples = [];
  let damaged = 0;
  let back = 0;
  const started = performance.now();
  const since = () => performance.now() - started;
  await until(AbortSignal.any([signal, AbortSignal.timeout(sendForMs + drainMs)]), (done, life) => {
    far.addEventListener(
      'message',
      ({ data }) => {
        const sample = samples[decodeMessage(data)];
        if (sample) sample.thereMs ??= since() - sample.atMs;
        if (far.readyState === 'open') far.send(data);
      },
      { signal: life },
    );
    near.addEventListener(
      'message',
      ({ data }) => {
        const sample = samples[decodeMessage(data)];
        if (!sample) damaged++;
        else if (sample.rttMs === null) {
          sample.rttMs = since() - sample.atMs;
          back++;
        }
        if (back === samples.length && since() >= sendForMs) done(true);
      },
      { signal: life },
    );
    near.addEventListener('close', () => done(false), { signal: life });
    const send = () => {
      if (near.readyState !== 'open') return done(false);
      if (since() >= sendForMs) return back === samples.length && done(true);
      const message = encodeMessage(samples.length);
      samples.push({ atMs: since(), thereMs: null, rttMs: null });
      near.send(message);
    };
    const timer = setInterval(send, sendEveryMs);
    life.addEventListener('abort', () => clearInterval(timer));
    send();
  });
  return { samples, damaged };
}

/**
 * until waits for done, or answers false when signal is aborted; life ends with the wait.
 *
 * @param {AbortSignal} signal
 * @param {(done: (value: boolean) => void, life: AbortSignal) => void} start
 * @returns {Promise<boolean>}
 */
function until(signal, start) {
  const life = new AbortController();
  return new Promise((resolve) => {
    const done = (/** @type {boolean} */ value) => {
      life.abort();
      resolve(value);
    };
    signal.addEventListener('abort', () => done(false), { signal: life.signal });
    if (signal.aborted) return done(false);
    start(done, life.signal);
  });
}
