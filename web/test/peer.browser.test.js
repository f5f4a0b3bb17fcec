// Peer in a real Chromium: two of them in one page, joined by a channel that
// holds back, reorders and counts what they send each other.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openPage, skip } from './browser.js';

/** @typedef {import('../static/sdk/peer.js').Peer} Peer */
/** @typedef {import('../static/sdk/message.js').SignalContent} SignalContent */
/**
 * @typedef {{
 *   a: Peer, b: Peer, log: string[], ices: number[], needed: number, errors: string[],
 *   connections: RTCPeerConnection[], hold: {a: boolean, b: boolean},
 *   release: (side: 'a' | 'b', order?: (one: SignalContent, two: SignalContent) => number) => void,
 *   until: (what: string, condition: () => boolean | Promise<boolean>) => Promise<void>, tracks: {a: string[], b: string[]},
 *   channels: RTCDataChannel[], media: MediaStream,
 * }} Pair
 *   a came first: impolite, it calls. log: "a offer", "b answer", "a candidates 3".
 */

/** @type {import('puppeteer-core').Page} */
let page;
/** @type {() => Promise<void>} */
let close = async () => {};

before(async () => {
  if (skip) return;
  ({ page, close } = await openPage());
  // What every test builds on runs in the page, as a function of its own.
  await page.evaluate(() => {
    const Native = RTCPeerConnection;
    Object.assign(globalThis, {
      /** @returns {Promise<Pair>} */
      async makePair() {
        const path = '/sdk/peer.js';
        const { Peer } = await import(path);
        /** @type {Pair['connections']} */
        const connections = [];
        const pair = /** @type {Pair} */ (/** @type {unknown} */ ({
          log: [], ices: [], needed: 0, errors: [], connections, hold: { a: false, b: false }, tracks: { a: [], b: [] }, channels: [],
        }));
        globalThis.RTCPeerConnection = class extends Native {
          /** @param {RTCConfiguration} [configuration] */
          constructor(configuration) {
            super(configuration);
            connections.push(this);
            this.addEventListener('negotiationneeded', () => pair.needed++);
          }
        };
        /** @type {{a: SignalContent[], b: SignalContent[]}} */
        const held = { a: [], b: [] };
        pair.release = (side, order) => {
          pair.hold[side] = false;
          const contents = held[side].splice(0);
          if (order) contents.sort(order);
          for (const content of contents) deliver(side, content);
        };
        pair.until = async (what, condition) => {
          const end = performance.now() + 20_000;
          while (!(await condition())) {
            if (performance.now() > end) throw new Error(`${what} did not come: ${JSON.stringify([pair.log, pair.errors])}`);
            await new Promise((resolve) => setTimeout(resolve, 20));
          }
        };
        const deliver = (/** @type {'a' | 'b'} */ side, /** @type {SignalContent} */ content) =>
          // As the server does: a copy, later, in order.
          setTimeout((copy) => (side === 'a' ? pair.b : pair.a).receive(copy), 5, structuredClone(content));
        const send = (/** @type {'a' | 'b'} */ side) => (/** @type {SignalContent} */ content) => {
          pair.log.push(`${side} ${content.description?.type ?? `candidates ${content.candidates?.length}`}`);
          if (pair.hold[side]) held[side].push(content);
          else deliver(side, content);
        };
        pair.media = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
        const tracks = { audio: pair.media.getAudioTracks()[0], video: pair.media.getVideoTracks()[0] };
        const make = (/** @type {'a' | 'b'} */ side) => {
          /** @type {Peer} */
          const peer = new Peer({
            member: { id: side, name: side, polite: side === 'a' }, iceServers: [], tracks, send: send(side),
            freshIceServers: async () => {
              pair.ices.push(performance.now());
              return [];
            },
          });
          peer.addEventListener('error', ({ detail }) => pair.errors.push(`${side} ${detail}`));
          peer.addEventListener('track', ({ detail }) => pair.tracks[side].push(detail.kind));
          peer.addEventListener('channel', ({ detail }) => pair.channels.push(detail));
          return peer;
        };
        pair.a = make('a');
        pair.b = make('b');
        return pair;
      },
    });
  });
});
after(() => close());

/**
 * inPage runs a test's body in the page with a fresh pair, and closes it.
 *
 * @template T
 * @param {(pair: Pair) => Promise<T>} body
 * @returns {Promise<T>}
 */
async function inPage(body) {
  const source = `(async () => {
    const pair = await makePair();
    try { return await (${body})(pair); }
    finally { pair.a.close(); pair.b.close(); pair.media.getTracks().forEach((track) => track.stop()); }
  })()`;
  return /** @type {Promise<T>} */ (page.evaluate(source));
}

test('one offer and one answer connect both, with media each way and channels for chat and files', { skip }, async () => {
  const result = await inPage(async (pair) => {
    pair.b.start(); // the polite side waits
    pair.a.start();
    await pair.until('connection', () => pair.a.state === 'connected' && pair.b.state === 'connected');
    await pair.until('channel', () => pair.channels.length === 4 && pair.channels.every((channel) => channel.readyState === 'open'));
    const flows = async (/** @type {Peer} */ peer) => [...((await peer.getStats()) ?? new Map()).values()].filter((entry) => entry.type === 'inbound-rtp' && entry.packetsReceived > 0).length === 2;
    await pair.until('media', async () => (await flows(pair.a)) && (await flows(pair.b)));
    const directions = pair.connections.map((connection) => connection.getTransceivers().map((transceiver) => transceiver.currentDirection));
    return { log: pair.log, errors: pair.errors, tracks: pair.tracks, directions, ids: pair.channels.map(({ id, label }) => `${label} ${id}`) };
  });
  assert.deepEqual(result.log.filter((line) => !line.includes('candidates')), ['a offer', 'b answer']);
  assert.deepEqual(result.errors, []);
  assert.deepEqual(result.tracks, { a: ['audio', 'video'], b: ['audio', 'video'] });
  assert.deepEqual(result.directions, [['sendrecv', 'sendrecv'], ['sendrecv', 'sendrecv']]);
  assert.deepEqual(result.ids.sort(), ['chat 0', 'chat 0', 'files 1', 'files 1']);
});

test('candidates of one tick share a signal, and their end is told', { skip }, async () => {
  const { log, ends } = await inPage(async (pair) => {
    let last = 0;
    const receive = pair.b.receive.bind(pair.b);
    pair.b.receive = (content) => {
      if (content.candidates?.includes(null)) last++;
      receive(content);
    };
    pair.a.start();
    await pair.until('connection', () => pair.b.state === 'connected');
    await pair.until('the end of candidates', () => last === 1);
    pair.log.length = 0;
    const candidate = new RTCIceCandidate({ candidate: 'candidate:1 1 udp 1 192.0.2.1 9 typ host', sdpMid: '0' });
    for (let i = 0; i < 3; i++) pair.connections[0]?.dispatchEvent(new RTCPeerConnectionIceEvent('icecandidate', { candidate }));
    await pair.until('what was said in one tick', () => pair.log.length > 0);
    return { log: pair.log, ends: last };
  });
  assert.equal(ends, 1);
  assert.deepEqual(log, ['a candidates 3']);
});

test('candidates that overtake their description wait for it', { skip }, async () => {
  const errors = await inPage(async (pair) => {
    pair.hold.a = true;
    pair.a.start();
    await pair.until('all of a', () => pair.log.some((line) => line.startsWith('a candidates')) && pair.connections[0]?.iceGatheringState === 'complete');
    await new Promise((resolve) => setTimeout(resolve, 100));
    pair.release('a', (one, two) => Number(Boolean(one.description)) - Number(Boolean(two.description)));
    await pair.until('connection', () => pair.a.state === 'connected' && pair.b.state === 'connected');
    return pair.errors;
  });
  assert.deepEqual(errors, []);
});

test('when both offer at once the polite side gives way and the call goes on', { skip }, async () => {
  const { errors, log, states } = await inPage(async (pair) => {
    pair.a.start();
    await pair.until('connection', () => pair.a.state === 'connected' && pair.b.state === 'connected');
    for (let round = 0; round < 3; round++) {
      pair.log.length = 0;
      pair.hold = { a: true, b: true };
      pair.a.restart();
      pair.b.restart();
      await pair.until('two offers', () => pair.log.includes('a offer') && pair.log.includes('b offer'));
      pair.release('b');
      pair.release('a');
      await pair.until('the answer', () => pair.log.includes('b answer') && pair.connections.every((connection) => connection.signalingState === 'stable'));
    }
    await pair.until('connection again', () => pair.connections.every(({ connectionState, iceConnectionState }) => connectionState === 'connected' && /connected|completed/.test(iceConnectionState)));
    return { errors: pair.errors, log: pair.log, states: [pair.a.state, pair.b.state] };
  });
  assert.deepEqual(errors, []);
  assert.deepEqual(states, ['connected', 'connected']);
  assert.ok(log.includes('b answer'));
});

test('a restart asks for fresh servers and gathers anew, in the same call', { skip }, async () => {
  const result = await inPage(async (pair) => {
    pair.a.start();
    await pair.until('connection', () => pair.a.state === 'connected' && pair.b.state === 'connected');
    const ufrag = () => /a=ice-ufrag:(\S+)/.exec(pair.connections[0]?.localDescription?.sdp ?? '')?.[1];
    const first = ufrag();
    pair.a.restart();
    await pair.until('a new ufrag', () => ufrag() !== first && pair.connections[0]?.signalingState === 'stable');
    await pair.until('connection', () => pair.connections.every((connection) => connection.connectionState === 'connected'));
    return { asked: pair.ices.length, channel: pair.channels.map(({ readyState }) => readyState), errors: pair.errors, connections: pair.connections.length };
  });
  assert.deepEqual(result, { asked: 1, channel: ['open', 'open', 'open', 'open'], errors: [], connections: 2 });
});

test('the impolite side restarts what failed; the polite one waits for it', { skip }, async () => {
  const { asked, states } = await inPage(async (pair) => {
    pair.a.start();
    await pair.until('connection', () => pair.a.state === 'connected' && pair.b.state === 'connected');
    // A failure takes Chromium 15 s to see; the event is what Peer acts on.
    for (const connection of pair.connections) {
      Object.defineProperty(connection, 'connectionState', { get: () => 'failed', configurable: true });
      connection.dispatchEvent(new Event('connectionstatechange'));
    }
    const interrupted = [pair.a.state, pair.b.state];
    for (const connection of pair.connections) Reflect.deleteProperty(connection, 'connectionState');
    await pair.until('a restart', () => pair.ices.length > 0);
    await new Promise((resolve) => setTimeout(resolve, 300));
    return { asked: pair.ices.length, states: interrupted };
  });
  assert.deepEqual(states, ['interrupted', 'interrupted']);
  assert.equal(asked, 1);
});

test('muting, removing and changing tracks never negotiates', { skip }, async () => {
  const { needed, descriptions, errors } = await inPage(async (pair) => {
    pair.a.start();
    await pair.until('connection', () => pair.a.state === 'connected' && pair.b.state === 'connected');
    const start = { needed: pair.needed, log: pair.log.filter((line) => !line.includes('candidates')).length };
    const [video] = pair.media.getVideoTracks();
    if (!video) throw new Error('no camera');
    video.enabled = false;
    pair.a.setTrack('video', null);
    pair.b.setTrack('audio', null);
    pair.a.setTrack('video', video.clone());
    pair.b.setTrack('audio', pair.media.getAudioTracks()[0] ?? null);
    await new Promise((resolve) => setTimeout(resolve, 500));
    const senders = pair.connections[0]?.getSenders().map((sender) => sender.track?.kind ?? 'none');
    if (senders?.join() !== 'audio,video') throw new Error(`senders: ${senders}`);
    return { needed: pair.needed - start.needed, descriptions: pair.log.filter((line) => !line.includes('candidates')).length - start.log, errors: pair.errors };
  });
  assert.deepEqual({ needed, descriptions, errors }, { needed: 0, descriptions: 0, errors: [] });
});

test('a smaller and cheaper picture is sent without negotiating, and a screen is never made smaller', { skip }, async () => {
  const { needed, errors, sent } = await inPage(async (pair) => {
    pair.a.limitVideo({ scale: 2, maxBitrate: 200_000 });
    pair.a.start();
    await pair.until('connection', () => pair.a.state === 'connected' && pair.b.state === 'connected');
    const start = pair.needed;
    const encoding = () => pair.connections[0]?.getSenders().find(({ track }) => track?.kind === 'video')?.getParameters().encodings[0];
    const now = () => [encoding()?.scaleResolutionDownBy ?? 1, encoding()?.maxBitrate ?? 0].join();
    await pair.until('the limit', () => now() === '2,200000');
    const screen = pair.media.getVideoTracks()[0]?.clone() ?? null;
    if (screen) screen.contentHint = 'detail';
    pair.a.setTrack('video', screen);
    await pair.until('the screen', () => now() === '1,200000');
    pair.a.setTrack('video', pair.media.getVideoTracks()[0] ?? null);
    await pair.until('the camera', () => now() === '2,200000');
    pair.a.limitVideo({ scale: 1, maxBitrate: 0 });
    await pair.until('no limit', () => now() === '1,0');
    screen?.stop();
    return { needed: pair.needed - start, errors: pair.errors, sent: now() };
  });
  assert.deepEqual({ needed, errors, sent }, { needed: 0, errors: [], sent: '1,0' });
});

test('without any device both kinds are negotiated, so that a track can come later', { skip }, async () => {
  const { directions, needed } = await inPage(async (pair) => {
    for (const peer of [pair.a, pair.b]) for (const kind of /** @type {const} */ (['audio', 'video'])) peer.setTrack(kind, null);
    pair.a.start();
    await pair.until('connection', () => pair.a.state === 'connected' && pair.b.state === 'connected');
    const start = pair.needed;
    pair.b.setTrack('video', pair.media.getVideoTracks()[0] ?? null);
    await pair.until('the late camera', async () => [...((await pair.a.getStats()) ?? new Map()).values()].some((entry) => entry.type === 'inbound-rtp' && entry.kind === 'video' && entry.packetsReceived > 0));
    return { directions: pair.connections.map((connection) => connection.getTransceivers().map((transceiver) => transceiver.currentDirection)), needed: pair.needed - start };
  });
  assert.deepEqual(directions, [['sendrecv', 'sendrecv'], ['sendrecv', 'sendrecv']]);
  assert.equal(needed, 0);
});

test('close stops everything, in every state, and twice', { skip }, async () => {
  const { states, sentAfter, stats, errors, channels } = await inPage(async (pair) => {
    pair.a.start();
    pair.b.close(); // before the offer comes
    await pair.until('the offer', () => pair.log.includes('a offer'));
    pair.a.restart();
    pair.a.close(); // in the middle of a restart
    pair.a.close();
    const sent = pair.log.length;
    pair.a.receive({ description: { type: 'answer', sdp: 'nonsense' }, candidates: [null] });
    pair.a.setTrack('video', null);
    pair.a.restart();
    pair.a.start();
    await new Promise((resolve) => setTimeout(resolve, 300));
    return {
      states: [pair.a.state, pair.b.state, ...pair.connections.map((connection) => connection.connectionState)],
      sentAfter: pair.log.length - sent, stats: await pair.a.getStats(), errors: pair.errors, channels: pair.channels.map(({ readyState }) => readyState),
    };
  });
  assert.deepEqual(states, ['closed', 'closed', 'closed', 'closed']);
  assert.deepEqual({ sentAfter, stats, errors, channels }, { sentAfter: 0, stats: null, errors: [], channels: ['closed', 'closed'] });
});

test('nonsense from the other side is an error event, not the end of the queue', { skip }, async () => {
  const { errors } = await inPage(async (pair) => {
    pair.b.receive({ description: { type: 'offer', sdp: 'nonsense' } });
    pair.b.receive({ description: { type: 'answer', sdp: 'nonsense' } }); // to no offer: passed over
    await pair.until('the error', () => pair.errors.length > 0);
    pair.a.start();
    await pair.until('connection', () => pair.a.state === 'connected' && pair.b.state === 'connected');
    pair.b.receive({ candidates: [{ candidate: 'nonsense', sdpMid: '0' }] });
    await pair.until('the second error', () => pair.errors.length > 1);
    return { errors: pair.errors };
  });
  assert.equal(errors.length, 2);
});
