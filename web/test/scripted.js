// A WebSocket server that a test scripts, so that it can break in every way.

import { once } from 'node:events';
import { WebSocket, WebSocketServer } from 'ws';
import { Signaling } from '../static/sdk/signaling.js';

/** @typedef {import('node:test').TestContext} TestContext */
/** @typedef {{port: number, sockets: import('ws').WebSocket[], received: string[]}} Scripted */

export const Socket = /** @type {typeof globalThis.WebSocket} */ (/** @type {unknown} */ (WebSocket));

/** @param {string} id */
export const joined = (id) =>
  JSON.stringify({
    type: 'joined', seq: 1, self: { id, name: 'Ann' }, room: { name: 'tea', capacity: 2 }, members: [], ice: { servers: [] },
  });

/**
 * @param {TestContext} t
 * @param {(socket: import('ws').WebSocket, message: {type: string}, nth: number) => void} [answer]  nth socket, from 1
 * @returns {Promise<Scripted>}
 */
export async function server(t, answer = (socket, { type }, nth) => void (type === 'join' && socket.send(joined(`m_${nth}`)))) {
  const wss = new WebSocketServer({ port: 0, host: '127.0.0.1', handleProtocols: (offered) => (offered.has('duet.v1') ? 'duet.v1' : false) });
  await once(wss, 'listening');
  /** @type {Scripted} */
  const scripted = { port: /** @type {import('node:net').AddressInfo} */ (wss.address()).port, sockets: [], received: [] };
  wss.on('connection', (socket) => {
    const nth = scripted.sockets.push(socket);
    socket.on('message', (data) => {
      scripted.received.push(String(data));
      answer(socket, JSON.parse(String(data)), nth);
    });
  });
  t.after(() => {
    for (const open of wss.clients) open.terminate();
    wss.close();
  });
  return scripted;
}

/**
 * @param {TestContext} t
 * @param {number} port
 * @param {Partial<import('../static/sdk/signaling.js').SignalingOptions>} [more]
 */
export function client(t, port, more = {}) {
  const signaling = new Signaling({ url: `ws://127.0.0.1:${port}/v1/ws`, room: 'tea', name: 'Ann', WebSocket: Socket, random: () => 0.5, ...more });
  t.after(() => signaling.leave());
  return signaling;
}

/**
 * @template {'joined' | 'resumed' | 'resync' | 'interrupted' | 'ended' | 'signal' | 'member' | 'ice' | 'room' | 'knock' | 'knocking' | 'session' | 'failure'} K
 * @param {Signaling} signaling
 * @param {K} type
 */
export const next = (signaling, type) =>
  /** @type {Promise<Parameters<Parameters<typeof signaling.addEventListener<K>>[1]>[0]['detail']>} */ (
    new Promise((resolve) => signaling.addEventListener(type, ({ detail }) => resolve(detail), { once: true }))
  );

/** @param {Record<string, unknown>} fields */
export const entry = (fields) =>
  JSON.stringify({ self: { id: 'm_1', name: 'Ann' }, room: { name: 'tea', capacity: 2 }, members: [], ice: { servers: [] }, ...fields });
/** @param {string} key */
export const info = (key) => ({ id: 'm_1', key, grace: 45 });
