// Signaling against the real server.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { WebSocket } from 'ws';
import { Signaling } from '../static/sdk/signaling.js';
import { buildDuet, freePort, startDuet } from './binary.js';

/** @type {Awaited<ReturnType<typeof buildDuet>>} */
let binary;
/** @type {Awaited<ReturnType<typeof startDuet>>} */
let server;
let port = 0;

before(async () => {
  binary = await buildDuet();
  port = await freePort();
  server = await startDuet(binary.path, port);
});
after(async () => {
  await server?.stop();
  await binary?.remove();
});

/**
 * @param {import('node:test').TestContext} t
 * @param {string} room
 * @param {string} name
 */
function member(t, room, name) {
  const signaling = new Signaling({
    url: `ws://127.0.0.1:${port}/v1/ws`, room, name,
    WebSocket: /** @type {typeof globalThis.WebSocket} */ (/** @type {unknown} */ (WebSocket)),
  });
  t.after(() => signaling.leave());
  return signaling;
}

/**
 * @template {'joined' | 'member' | 'signal' | 'ice'} K
 * @param {Signaling} signaling
 * @param {K} type
 */
const next = (signaling, type) =>
  /** @type {Promise<Parameters<Parameters<typeof signaling.addEventListener<K>>[1]>[0]['detail']>} */ (
    new Promise((resolve) => signaling.addEventListener(type, ({ detail }) => resolve(detail), { once: true }))
  );

test('two meet, with opposite roles, and signal each other', async (t) => {
  const ann = member(t, 'tea', 'Ann');
  const bo = member(t, 'tea', 'Bo');
  const first = await ann.connect();
  assert.deepEqual([first.self.name, first.members, first.room], ['Ann', [], { name: 'tea', capacity: 2 }]);
  const arrives = next(ann, 'member');
  const second = await bo.connect();
  const { event, member: seen } = await arrives;
  assert.deepEqual([event, seen.name, seen.polite], ['joined', 'Bo', true]);
  assert.deepEqual(second.members, [{ id: first.self.id, name: 'Ann', polite: false }]);

  const heard = next(bo, 'signal');
  ann.send({ type: 'signal', to: seen.id, description: { type: 'offer', sdp: 'v=0\r\n' } });
  const { from, description } = await heard;
  assert.deepEqual([from, description], [first.self.id, { type: 'offer', sdp: 'v=0\r\n' }]);

  const ends = next(ann, 'signal');
  bo.send({ type: 'signal', to: first.self.id, candidates: [null] });
  assert.deepEqual((await ends).candidates, [null]);

  const leaves = next(ann, 'member');
  bo.leave();
  const left = await leaves;
  assert.deepEqual([left.event, left.reason, left.member.id], ['left', 'left', seen.id]);
});

test('a third is told that the room is full', async (t) => {
  await member(t, 'full', 'Ann').connect();
  await member(t, 'full', 'Bo').connect();
  await assert.rejects(member(t, 'full', 'Cy').connect(), { code: 'room_full', action: 'stop', close: 4403 });
});

test('fresh ICE servers come when asked for', async (t) => {
  const ann = member(t, 'ice', 'Ann');
  await ann.connect();
  assert.deepEqual((await ann.requestIce())?.servers, []);
});

test('members come back to a server that restarts', async (t) => {
  const ann = member(t, 'drain', 'Ann');
  const earlier = await ann.connect();
  const again = next(ann, 'joined');
  await server.stop();
  server = await startDuet(binary.path, port);
  const later = await again;
  assert.notEqual(later.self.id, earlier.self.id);
  assert.equal(later.room.name, 'drain');
});
