// Signaling against a WebSocket server that this test scripts, so that it can
// break in every way; time is real where sockets are, mocked where delays are.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mock, test } from 'node:test';
import { WebSocket, WebSocketServer } from 'ws';
import { reconnectDelays, Signaling, SignalingError } from '../static/sdk/signaling.js';

/** @typedef {import('node:test').TestContext} TestContext */
/** @typedef {{port: number, sockets: import('ws').WebSocket[], received: string[]}} Scripted */

const Socket = /** @type {typeof globalThis.WebSocket} */ (/** @type {unknown} */ (WebSocket));

/** @param {string} id */
const joined = (id) =>
  JSON.stringify({
    type: 'joined', seq: 1, self: { id, name: 'Ann' }, room: { name: 'tea', capacity: 2 }, members: [], ice: { servers: [] },
  });

/**
 * @param {TestContext} t
 * @param {(socket: import('ws').WebSocket, message: {type: string}, nth: number) => void} [answer]  nth socket, from 1
 * @returns {Promise<Scripted>}
 */
async function server(t, answer = (socket, { type }, nth) => void (type === 'join' && socket.send(joined(`m_${nth}`)))) {
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
 */
function client(t, port) {
  const signaling = new Signaling({ url: `ws://127.0.0.1:${port}/v1/ws`, room: 'tea', name: 'Ann', WebSocket: Socket, random: () => 0.5 });
  t.after(() => signaling.leave());
  return signaling;
}

/**
 * @template {'joined' | 'resumed' | 'resync' | 'interrupted' | 'ended' | 'signal' | 'member' | 'ice'} K
 * @param {Signaling} signaling
 * @param {K} type
 */
const next = (signaling, type) =>
  /** @type {Promise<Parameters<Parameters<typeof signaling.addEventListener<K>>[1]>[0]['detail']>} */ (
    new Promise((resolve) => signaling.addEventListener(type, ({ detail }) => resolve(detail), { once: true }))
  );

test('connect joins the room', async (t) => {
  const { port, received } = await server(t);
  const answer = await client(t, port).connect();
  assert.equal(answer.self.id, 'm_1');
  assert.deepEqual(received, ['{"type":"join","room":"tea","name":"Ann"}']);
});

test('a token is sent with a join, and not with a resume', async (t) => {
  const { port, sockets, received } = await server(t, (socket, { type }) => {
    if (type === 'join') socket.send(entry({ type: 'joined', seq: 1, session: info('first') }));
    if (type === 'resume') socket.send(entry({ type: 'resumed', seq: 1, lost: false, session: info('second') }));
  });
  const signaling = new Signaling({ url: `ws://127.0.0.1:${port}/v1/ws`, room: 'tea', token: 'a.b.c', WebSocket: Socket });
  t.after(() => signaling.leave());
  await signaling.connect();
  const resumed = next(signaling, 'resumed');
  sockets[0]?.terminate();
  await resumed;
  assert.equal(received[0], '{"type":"join","room":"tea","name":"","token":"a.b.c"}');
  assert.ok(received.slice(1).every((frame) => !frame.includes('a.b.c')), String(received));
});

test('who is not let in for the token does not try again', async (t) => {
  const { port, sockets } = await server(t, (socket) => {
    socket.send('{"type":"error","code":"unauthenticated","message":"No.","action":"stop"}');
    socket.close(4401);
  });
  await assert.rejects(client(t, port).connect(), { code: 'unauthenticated', action: 'stop', close: 4401 });
  assert.equal(sockets.length, 1);
});

test('a lost socket comes back at once, as a new member', async (t) => {
  const { port, sockets } = await server(t);
  const signaling = client(t, port);
  await signaling.connect();
  const interrupted = next(signaling, 'interrupted');
  const again = next(signaling, 'joined');
  sockets[0]?.terminate();
  assert.equal((await interrupted).delayMs, 0);
  assert.equal((await again).self.id, 'm_2');
});

test('nothing is sent to a room that we are not in', async (t) => {
  const { port, sockets, received } = await server(t);
  const signaling = client(t, port);
  assert.equal(signaling.send({ type: 'ice' }), false);
  await signaling.connect();
  const interrupted = next(signaling, 'interrupted');
  sockets[0]?.terminate();
  await interrupted;
  assert.equal(signaling.send({ type: 'signal', to: 'm', candidates: [null] }), false);
  assert.ok(received.every((message) => message.includes('join')));
});

/** @param {Record<string, unknown>} fields */
const entry = (fields) =>
  JSON.stringify({ self: { id: 'm_1', name: 'Ann' }, room: { name: 'tea', capacity: 2 }, members: [], ice: { servers: [] }, ...fields });
/** @param {string} key */
const info = (key) => ({ id: 'm_1', key, grace: 45 });

test('a lost socket is resumed: nothing is seen twice, and what was not heard is sent again', async (t) => {
  const { port, sockets, received } = await server(t, (socket, message, nth) => {
    if (message.type === 'join') socket.send(entry({ type: 'joined', seq: 1, session: info('first') }));
    if (message.type !== 'resume') return;
    assert.equal(nth, 2);
    socket.send(entry({ type: 'resumed', seq: 2, lost: false, heard: 1, session: info('second') }));
    for (const seq of [2, 3]) socket.send(JSON.stringify({ type: 'signal', seq, from: 'm_2', candidates: [{ candidate: String(seq) }] }));
  });
  const signaling = client(t, port);
  /** @type {unknown[]} */
  const seen = [];
  signaling.addEventListener('signal', ({ detail }) => seen.push(detail.seq));
  signaling.addEventListener('joined', () => seen.push('joined'));
  await signaling.connect();
  sockets[0]?.send('{"type":"signal","seq":2,"from":"m_2","candidates":[null]}');
  await next(signaling, 'signal');
  for (const candidate of ['a', 'b']) signaling.send({ type: 'signal', to: 'm_2', candidates: [{ candidate }] });
  const interrupted = next(signaling, 'interrupted');
  sockets[0]?.terminate();
  await interrupted;
  assert.equal(signaling.send({ type: 'signal', to: 'm_2', candidates: [{ candidate: 'c' }] }), true, 'it waits');
  assert.equal(signaling.send({ type: 'ice' }), false, 'a question does not');
  const missed = next(signaling, 'signal');
  const resumed = await next(signaling, 'resumed');
  assert.equal(resumed.lost, false);
  await missed;
  assert.deepEqual(seen, ['joined', 2, 3]);

  const asked = JSON.parse(received.find((frame) => frame.includes('resume')) ?? '{}');
  assert.deepEqual([asked.session, asked.key, asked.seq], ['m_1', 'first', 2]);
  const sent = () => received.slice(received.findIndex((frame) => frame.includes('resume')) + 1).filter((frame) => frame.includes('signal'));
  while (sent().length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepEqual(sent().map((frame) => JSON.parse(frame).candidates[0].candidate), ['b', 'c']);
});

test('the same resume is tried again with the same attempt, the next with another', async (t) => {
  /** @type {{key: string, attempt: string}[]} */
  const asked = [];
  const { port, sockets } = await server(t, (socket, message, nth) => {
    if (message.type === 'join') socket.send(entry({ type: 'joined', seq: 1, session: info('first') }));
    if (message.type !== 'resume') return;
    asked.push(/** @type {any} */ (message));
    if (nth === 2) return socket.terminate(); // its answer is lost
    socket.send(entry({ type: 'resumed', seq: 1, lost: false, heard: 0, session: info(`key ${nth}`) }));
  });
  const signaling = client(t, port);
  await signaling.connect();
  sockets[0]?.terminate();
  await next(signaling, 'resumed');
  sockets[2]?.terminate();
  await next(signaling, 'resumed');
  assert.deepEqual(asked.map(({ key }) => key), ['first', 'first', 'key 3']);
  assert.equal(asked[0]?.attempt, asked[1]?.attempt);
  assert.notEqual(asked[1]?.attempt, asked[2]?.attempt);
});

test('where the session is over, we join again, and what was meant for it is forgotten', async (t) => {
  const { port, sockets, received } = await server(t, (socket, message, nth) => {
    if (message.type === 'join') return socket.send(entry({ type: 'joined', seq: 1, session: info(`of ${nth}`), self: { id: `m_${nth}`, name: '' } }));
    if (message.type !== 'resume') return;
    socket.send('{"type":"error","code":"session_expired","message":"over","action":"rejoin"}');
    socket.close(4410);
  });
  const signaling = client(t, port);
  await signaling.connect();
  sockets[0]?.terminate();
  await next(signaling, 'interrupted');
  signaling.send({ type: 'signal', to: 'm_2', candidates: [null] });
  assert.equal((await next(signaling, 'joined')).self.id, 'm_3');
  assert.equal(received.filter((frame) => frame.includes('signal')).length, 0);
});

test('a server that ends or is full keeps our session for later', async (t) => {
  const { port, sockets } = await server(t, (socket, message, nth) => {
    if (message.type === 'join') return socket.send(entry({ type: 'joined', seq: 1, session: info('first') }));
    if (message.type !== 'resume') return;
    if (nth === 2) {
      socket.send('{"type":"error","code":"unavailable","message":"restarting","action":"rejoin"}');
      return socket.close(1012);
    }
    socket.send(entry({ type: 'resumed', seq: 7, lost: true, restored: true, session: info('second') }));
  });
  const signaling = client(t, port);
  await signaling.connect();
  sockets[0]?.terminate();
  const { restored, heard } = await next(signaling, 'resumed');
  assert.deepEqual([restored, heard], [true, undefined]);
  sockets.at(-1)?.send('{"type":"resync","seq":8,"with":"m_2","offerer":"m_1"}');
  assert.equal((await next(signaling, 'resync')).with, 'm_2');
});

test('"stop" stops: a full room is not asked again', async (t) => {
  const { port, sockets } = await server(t, (socket) => {
    socket.send('{"type":"error","code":"room_full","message":"full","action":"stop"}');
    socket.close(4403);
  });
  await assert.rejects(client(t, port).connect(), (error) => {
    assert.ok(error instanceof SignalingError);
    assert.deepEqual([error.code, error.action, error.close, error.message], ['room_full', 'stop', 4403, 'full']);
    return true;
  });
  assert.equal(sockets.length, 1);
});

test('goaway says when to come back', async (t) => {
  const { port, sockets } = await server(t);
  const signaling = client(t, port);
  await signaling.connect();
  const interrupted = next(signaling, 'interrupted');
  const again = next(signaling, 'joined');
  sockets[0]?.send('{"type":"goaway","reason":"drain","reconnect_in_ms":40}');
  sockets[0]?.close(1012);
  const { delayMs, code } = await interrupted;
  assert.deepEqual([delayMs, code], [40, 'unavailable']);
  assert.equal((await again).self.id, 'm_2');
});

test('retry_after_ms holds the next attempt back', async (t) => {
  const { port } = await server(t, (socket, _message, nth) => {
    if (nth > 1) return socket.send(joined('m_2'));
    socket.send('{"type":"error","code":"capacity","message":"full","action":"rejoin","retry_after_ms":60}');
    socket.close(1013);
  });
  const signaling = client(t, port);
  const interrupted = next(signaling, 'interrupted');
  const answer = signaling.connect();
  const { delayMs, code } = await interrupted;
  assert.deepEqual([delayMs, code], [60, 'capacity']);
  assert.equal((await answer).self.id, 'm_2');
});

test('an error with action retry leaves the socket', async (t) => {
  const { port, sockets } = await server(t);
  const signaling = client(t, port);
  await signaling.connect();
  sockets[0]?.send('{"type":"error","code":"member_not_found","message":"gone","action":"retry"}');
  sockets[0]?.send('{"type":"ice","seq":2,"ice":{"servers":[{"urls":["stun:x"]}]}}');
  assert.equal((await next(signaling, 'ice')).servers.length, 1);
  assert.equal(sockets.length, 1);
});

test('requestIce asks and gets fresh servers', async (t) => {
  const { port } = await server(t, (socket, { type }) => {
    if (type === 'join') socket.send(joined('m_1'));
    if (type === 'ice') socket.send('{"type":"ice","seq":2,"ice":{"servers":[{"urls":["turn:fresh"]}]}}');
  });
  const signaling = client(t, port);
  assert.equal(await signaling.requestIce(), null, 'not before joining');
  await signaling.connect();
  assert.deepEqual((await signaling.requestIce())?.servers, [{ urls: ['turn:fresh'] }]);
});

test('a ping is answered, unknown and broken messages are passed over', async (t) => {
  const { port, sockets, received } = await server(t);
  const signaling = client(t, port);
  await signaling.connect();
  for (const frame of ['{"type":"knock"}', 'nonsense', '{"type":"ping"}', '{"type":"ice","ice":{"servers":[]}}']) sockets[0]?.send(frame);
  await next(signaling, 'ice');
  const pong = () => received.includes('{"type":"pong"}');
  while (!pong()) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(sockets.length, 1);
});

test('leave says so, and nothing comes back', async (t) => {
  const { port, sockets, received } = await server(t);
  const signaling = client(t, port);
  await signaling.connect();
  const closed = once(/** @type {import('ws').WebSocket} */ (sockets[0]), 'close');
  const ended = next(signaling, 'ended');
  signaling.leave();
  assert.equal((await ended).code, 'aborted');
  await closed;
  assert.equal(received.at(-1), '{"type":"leave"}');
  signaling.retryNow();
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert.equal(sockets.length, 1);
});

test('an AbortSignal leaves', async (t) => {
  const { port } = await server(t);
  const life = new AbortController();
  const signaling = new Signaling({ url: `ws://127.0.0.1:${port}/`, room: 'tea', WebSocket: Socket, signal: life.signal });
  await signaling.connect();
  const ended = next(signaling, 'ended');
  life.abort();
  await ended;
});

// A socket that only a test moves, for what is about time alone.
class FakeSocket extends EventTarget {
  /** @type {FakeSocket[]} */
  static made = [];
  readyState = 0;
  /** @type {string[]} */
  sent = [];
  constructor() {
    super();
    FakeSocket.made.push(this);
  }
  /** @param {string} frame */
  send(frame) {
    this.sent.push(frame);
  }
  close() {
    this.readyState = 3;
  }
  join() {
    this.readyState = 1;
    this.dispatchEvent(new Event('open'));
    this.dispatchEvent(Object.assign(new Event('message'), { data: joined('m_1') }));
  }
  fail() {
    this.readyState = 3;
    this.dispatchEvent(Object.assign(new Event('close'), { code: 1006 }));
  }
}

/**
 * @param {TestContext} t
 * @param {() => number} [random]
 */
function fakes(t, random = () => 0.5) {
  FakeSocket.made = [];
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  t.after(() => mock.timers.reset());
  return new Signaling({
    url: 'ws://nowhere/', room: 'tea', random,
    WebSocket: /** @type {typeof globalThis.WebSocket} */ (/** @type {unknown} */ (FakeSocket)),
  });
}

const latest = () => /** @type {FakeSocket} */ (FakeSocket.made.at(-1));

test('attempts follow the table, then connect rejects', async (t) => {
  const signaling = fakes(t);
  /** @type {number[]} */
  const delays = [];
  signaling.addEventListener('interrupted', ({ detail }) => delays.push(detail.delayMs));
  const refused = assert.rejects(signaling.connect(), { code: 'unreachable' });
  for (const delay of reconnectDelays) {
    latest().fail();
    const count = FakeSocket.made.length;
    if (delay > 0) {
      mock.timers.tick(delay - 1);
      assert.equal(FakeSocket.made.length, count, `too early: ${delay} ms`);
      mock.timers.tick(1);
    } else mock.timers.tick(0);
    assert.equal(FakeSocket.made.length, count + 1, `${delay} ms`);
  }
  latest().fail();
  await refused;
  assert.deepEqual(delays, reconnectDelays);
});

test('delays are spread a quarter each way', (t) => {
  for (const [random, factor] of [[0, 0.75], [0.9999, 1.25]]) {
    const spread = fakes(t, () => Number(random));
    /** @type {number[]} */
    const delays = [];
    spread.addEventListener('interrupted', ({ detail }) => delays.push(Math.round(detail.delayMs)));
    void spread.connect().catch(() => {});
    latest().fail();
    mock.timers.tick(0);
    latest().fail();
    assert.deepEqual(delays, [0, 300 * Number(factor)]);
    spread.leave();
    mock.timers.reset();
  }
});

test('who was in the room goes on trying for five minutes', async (t) => {
  const signaling = fakes(t);
  void signaling.connect();
  latest().join();
  let ended = false;
  signaling.addEventListener('ended', () => (ended = true));
  for (let waited = 0; waited < 5 * 60_000; waited += 7_000) {
    latest().fail();
    assert.equal(ended, false, `after ${waited} ms`);
    mock.timers.tick(7_000);
  }
  latest().fail();
  mock.timers.tick(7_000);
  latest().fail();
  assert.equal(ended, true);
});

test('after coming back the delays begin anew', async (t) => {
  const signaling = fakes(t);
  /** @type {number[]} */
  const delays = [];
  signaling.addEventListener('interrupted', ({ detail }) => delays.push(detail.delayMs));
  void signaling.connect();
  latest().join();
  latest().fail();
  mock.timers.tick(0);
  latest().fail();
  mock.timers.tick(300);
  latest().join();
  latest().fail();
  assert.deepEqual(delays, [0, 300, 0]);
  signaling.leave();
});

test('15 s of silence are asked about, 10 s without an answer are the end of the socket', (t) => {
  const signaling = fakes(t);
  let interruptions = 0;
  signaling.addEventListener('interrupted', () => interruptions++);
  void signaling.connect();
  const socket = latest();
  socket.join();
  mock.timers.tick(15_000);
  assert.equal(socket.sent.at(-1), '{"type":"ping"}');
  socket.dispatchEvent(Object.assign(new Event('message'), { data: '{"type":"pong"}' }));
  mock.timers.tick(14_999);
  assert.equal(socket.sent.filter((frame) => frame.includes('ping')).length, 1);
  mock.timers.tick(1);
  assert.equal(socket.sent.filter((frame) => frame.includes('ping')).length, 2);
  mock.timers.tick(10_000);
  assert.equal(interruptions, 1);
  assert.equal(socket.readyState, 3, 'the dead socket is closed, its close event not waited for');
  signaling.leave();
});

test('a socket that never opens is given up', (t) => {
  const signaling = fakes(t);
  let interruptions = 0;
  signaling.addEventListener('interrupted', () => interruptions++);
  void signaling.connect().catch(() => {});
  mock.timers.tick(10_000);
  assert.equal(interruptions, 1);
  signaling.leave();
});

test('when the network has changed, a socket has 3 s to prove that it lives', (t) => {
  const signaling = fakes(t);
  let interruptions = 0;
  signaling.addEventListener('interrupted', () => interruptions++);
  void signaling.connect();
  const socket = latest();
  socket.join();
  signaling.retryNow();
  assert.equal(socket.sent.at(-1), '{"type":"ping"}');
  mock.timers.tick(2_999);
  assert.equal(interruptions, 0);
  mock.timers.tick(1);
  assert.equal(interruptions, 1);
  signaling.leave();
});

test('retryNow does not wait', (t) => {
  const signaling = fakes(t);
  void signaling.connect().catch(() => {});
  latest().fail();
  mock.timers.tick(0);
  latest().fail();
  const count = FakeSocket.made.length;
  signaling.retryNow();
  assert.equal(FakeSocket.made.length, count + 1);
  mock.timers.tick(300);
  assert.equal(FakeSocket.made.length, count + 1, 'the wait that it replaced is over too');
  signaling.leave();
});
