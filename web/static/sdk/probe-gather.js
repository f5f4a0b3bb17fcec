// Asks one ICE server, over a connection of its own, for what it gives.
//
// One connection per server, because only so does every browser tell which server
// failed: a joint one names the servers that answered and is silent about the rest.

import { readCandidate } from './probe-candidate.js';
import { iceServer } from './probe-servers.js';

/**
 * @import { Candidate } from './probe-candidate.js'
 * @import { Server, ServerUrl } from './probe-servers.js'
 *
 * @typedef {{url: string, code: number, text: string, atMs: number, count: number}} IceError
 *   An icecandidateerror; count: how often it came with the same words.
 * @typedef {'running' | 'complete' | 'settled' | 'deadline' | 'refused' | 'aborted'} GatherState
 *   complete: the browser was done. settled: what was asked for had come. refused:
 *   the browser did not take the server.
 * @typedef {{
 *   server: ServerUrl | null, state: GatherState, ms: number,
 *   candidates: Candidate[], errors: IceError[], refusal: string,
 * }} Gathered  server: null where none was asked. refusal: what the browser said.
 */

/** After what was asked for has come, other network interfaces get this long. */
const settleMs = 1_000;

/** 701 says that nothing answered; any other code is an answer. */
export const unreachableCode = 701;

/**
 * gather runs until the browser is done, what was asked for has come, the
 * deadline has passed, or signal is aborted. The connection is closed then.
 *
 * @param {Server | null} server
 * @param {{
 *   policy: RTCIceTransportPolicy, deadlineMs: number, signal: AbortSignal,
 *   onChange: (gathered: Gathered) => void, epoch?: number,
 * }} options  epoch: of atMs and ms, on performance.now()'s clock
 * @returns {Promise<Gathered>}
 */
export async function gather(server, { policy, deadlineMs, signal, onChange, epoch = performance.now() }) {
  const since = () => performance.now() - epoch;
  /** @type {Gathered} */
  const gathered = { server: publicPart(server), state: 'running', ms: 0, candidates: [], errors: [], refusal: '' };
  let connection;
  try {
    connection = new RTCPeerConnection({ iceServers: server ? [iceServer(server)] : [], iceTransportPolicy: policy });
  } catch (error) {
    return Object.assign(gathered, { state: 'refused', refusal: error instanceof Error ? error.message : String(error), ms: since() });
  }
  const life = new AbortController();
  try {
    gathered.state = await watch(connection, gathered, { life: life.signal, deadlineMs, signal, since, onChange });
  } catch (error) {
    gathered.state = 'refused';
    gathered.refusal = String(error);
  } finally {
    life.abort();
    connection.close();
    gathered.ms = since();
  }
  return gathered;
}

/**
 * @param {RTCPeerConnection} connection
 * @param {Gathered} gathered
 * @param {{
 *   life: AbortSignal, deadlineMs: number, signal: AbortSignal,
 *   since: () => number, onChange: (gathered: Gathered) => void,
 * }} options
 * @returns {Promise<GatherState>}
 */
function watch(connection, gathered, { life, deadlineMs, signal, since, onChange }) {
  const url = gathered.server?.url ?? '';
  return new Promise((resolve, reject) => {
    const deadline = setTimeout(() => resolve('deadline'), deadlineMs);
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let settle;
    const settled = () => void (settle ??= setTimeout(() => resolve('settled'), settleMs));
    life.addEventListener('abort', () => {
      clearTimeout(deadline);
      clearTimeout(settle);
    });
    signal.addEventListener('abort', () => resolve('aborted'), { signal: life });
    if (signal.aborted) resolve('aborted');

    connection.addEventListener(
      'icecandidate',
      (event) => {
        if (!event.candidate) return;
        // Chromium names the server in the candidate, Firefox nowhere; the one we asked is known.
        const candidate = readCandidate(event.candidate, { atMs: since(), url });
        if (!candidate) return;
        gathered.candidates.push(candidate);
        if (isWanted(candidate, gathered.server)) settled();
        onChange(gathered);
      },
      { signal: life },
    );
    connection.addEventListener(
      'icecandidateerror',
      (event) => {
        addError(gathered.errors, { url: event.url || url, code: event.errorCode, text: event.errorText, atMs: since(), count: 1 });
        if (event.errorCode !== unreachableCode) settled();
        onChange(gathered);
      },
      { signal: life },
    );
    connection.addEventListener(
      'icegatheringstatechange',
      () => connection.iceGatheringState === 'complete' && resolve('complete'),
      { signal: life },
    );
    connection.createDataChannel('probe'); // a description without media gathers nothing
    connection.setLocalDescription().catch(reject);
  });
}

/**
 * @param {Candidate} candidate
 * @param {ServerUrl | null} server
 */
const isWanted = (candidate, server) => server !== null && candidate.type === (server.scheme === 'stun' ? 'srflx' : 'relay');

/**
 * Browsers repeat an error for every network interface.
 *
 * @param {IceError[]} errors
 * @param {IceError} error
 */
function addError(errors, error) {
  const same = errors.find((other) => other.url === error.url && other.code === error.code && other.text === error.text);
  if (same) same.count++;
  else errors.push(error);
}

/**
 * @param {Server | null} server
 * @returns {ServerUrl | null}
 */
function publicPart(server) {
  if (!server) return null;
  const { url, scheme, host, port, transport } = server;
  return { url, scheme, host, port, transport };
}
