// When Signaling tries again, and when it gives up: time is mocked, and so are the sockets.

import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { reconnectDelays, Signaling } from '../static/sdk/signaling.js';
import { entry, info, joined } from './scripted.js';

/** @typedef {import('node:test').TestContext} TestContext */

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

test('the attempts come closer together before the seat is given up', (t) => {
  const signaling = fakes(t);
  void signaling.connect();
  latest().readyState = 1;
  latest().dispatchEvent(Object.assign(new Event('message'), { data: entry({ type: 'joined', seq: 1, session: info('first') }) }));
  const began = Date.now();
  /** @type {number[]} */
  const at = [];
  for (let delay = 0; Date.now() - began < 50_000; ) {
    signaling.addEventListener('interrupted', ({ detail }) => (delay = detail.delayMs), { once: true });
    latest().fail();
    mock.timers.tick(delay);
    at.push(Date.now() - began);
  }
  const inTime = at.filter((ms) => ms < 45_000);
  assert.ok(inTime.filter((ms) => ms > 40_000).length >= 2, at.join());
  assert.ok(at.length < 20, `${at.length} attempts are too many`);
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

test('when the network has changed, a socket has 1.5 s to prove that it lives', (t) => {
  const signaling = fakes(t);
  let interruptions = 0;
  signaling.addEventListener('interrupted', () => interruptions++);
  void signaling.connect();
  const socket = latest();
  socket.join();
  signaling.retryNow();
  assert.equal(socket.sent.at(-1), '{"type":"ping"}');
  mock.timers.tick(1_499);
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

test('when the network has changed, a socket that does not open has 1.5 s, too', (t) => {
  const signaling = fakes(t);
  let interruptions = 0;
  signaling.addEventListener('interrupted', () => interruptions++);
  void signaling.connect().catch(() => {});
  mock.timers.tick(5_000);
  signaling.retryNow();
  mock.timers.tick(1_499);
  assert.equal(interruptions, 0);
  mock.timers.tick(1);
  assert.equal(interruptions, 1);
  signaling.leave();
});

test('who waits to be let in is not given up after 10 s, as a socket that says nothing is', (t) => {
  const signaling = fakes(t);
  let interruptions = 0;
  signaling.addEventListener('interrupted', () => interruptions++);
  void signaling.connect().catch(() => {});
  const socket = latest();
  socket.readyState = 1;
  socket.dispatchEvent(new Event('open'));
  const say = (/** @type {string} */ data) => socket.dispatchEvent(Object.assign(new Event('message'), { data }));
  say('{"type":"knocking"}');
  for (let seconds = 0; seconds < 90; seconds += 15) {
    mock.timers.tick(15_000);
    assert.equal(socket.sent.at(-1), '{"type":"ping"}');
    socket.sent.push('answered');
    say('{"type":"pong"}');
  }
  assert.equal(interruptions, 0);
  mock.timers.tick(15_000);
  mock.timers.tick(10_000);
  assert.equal(interruptions, 1, 'but a dead one is found');
  signaling.leave();
});
