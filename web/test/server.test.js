// Signaling against the real server.

import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
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
function member(t, room, name, Socket = WebSocket) {
  const signaling = new Signaling({
    url: `ws://127.0.0.1:${port}/v1/ws`, room, name,
    WebSocket: /** @type {typeof globalThis.WebSocket} */ (/** @type {unknown} */ (Socket)),
  });
  t.after(() => signaling.leave());
  return signaling;
}

/**
 * @template {'joined' | 'resumed' | 'interrupted' | 'member' | 'signal' | 'ice'} K
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
  assert.deepEqual(second.members, [{ id: first.self.id, name: 'Ann', polite: false, host: true }]);

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

test('a member whose network fails is away, then back, and nothing is lost or said twice', async (t) => {
  /** @type {WebSocket[]} */
  const sockets = [];
  class Watched extends WebSocket {
    /** @param {ConstructorParameters<typeof WebSocket>} args */
    constructor(...args) {
      super(...args);
      sockets.push(this);
    }
  }
  const ann = member(t, 'cut', 'Ann', /** @type {typeof WebSocket} */ (Watched));
  const bo = member(t, 'cut', 'Bo');
  const { self } = await ann.connect();
  const { self: other } = await bo.connect();
  /** @type {string[]} */
  const heard = [];
  /** @type {string[]} */
  const events = [];
  ann.addEventListener('signal', ({ detail }) => heard.push(detail.candidates?.[0]?.candidate ?? ''));
  bo.addEventListener('signal', ({ detail }) => events.push(detail.candidates?.[0]?.candidate ?? ''));
  bo.addEventListener('member', ({ detail }) => events.push(detail.event));
  for (let round = 0; round < 5; round++) {
    const interrupted = next(ann, 'interrupted');
    const resumed = next(ann, 'resumed');
    bo.send({ type: 'signal', to: self.id, candidates: [{ candidate: `before ${round}` }] });
    ann.send({ type: 'signal', to: other.id, candidates: [{ candidate: `mine ${round}` }] });
    sockets.at(-1)?.terminate();
    await interrupted;
    ann.send({ type: 'signal', to: other.id, candidates: [{ candidate: `away ${round}` }] });
    bo.send({ type: 'signal', to: self.id, candidates: [{ candidate: `during ${round}` }] });
    assert.equal((await resumed).lost, false);
  }
  const rounds = [0, 1, 2, 3, 4];
  const all = () => heard.length >= 10 && events.filter((event) => / \d/.test(event)).length >= 10;
  while (!all()) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepEqual(heard, rounds.flatMap((n) => [`before ${n}`, `during ${n}`]));
  assert.deepEqual(events.filter((event) => / \d/.test(event)), rounds.flatMap((n) => [`mine ${n}`, `away ${n}`]));
  assert.ok(!events.includes('left') && !events.includes('joined'), String(events));
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

test('members come back to a server that restarts, and are who they were', async (t) => {
  const ann = member(t, 'drain', 'Ann');
  const earlier = await ann.connect();
  const again = next(ann, 'resumed');
  await server.stop();
  server = await startDuet(binary.path, port);
  const later = await again;
  assert.deepEqual([later.self, later.room, later.restored], [earlier.self, earlier.room, true]);
});

test('where nobody knows them any more, they are somebody new', async (t) => {
  const ann = member(t, 'forgotten', 'Ann');
  const earlier = await ann.connect();
  const again = next(ann, 'joined');
  await server.stop('SIGKILL');
  await rm(join(dirname(binary.path), 'session.key'));
  server = await startDuet(binary.path, port);
  const later = await again;
  assert.notEqual(later.self.id, earlier.self.id);
  assert.equal(later.room.name, 'forgotten');
});
