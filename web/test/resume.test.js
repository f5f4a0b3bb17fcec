// A session across the sockets of a server that this test scripts.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { client, entry, info, next, server } from './scripted.js';

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

const endings = /** @type {[string, string, number, string][]} */ ([
  ['somebody put us out', '{"type":"goaway","reason":"kicked"}', 4460, 'kicked'],
  ['the room was ended', '{"type":"goaway","reason":"ended"}', 4404, 'ended'],
  ['another page has the seat', '', 4409, 'replaced'],
  ['somebody put us out, and the close frame was lost', '{"type":"goaway","reason":"kicked"}', 0, 'kicked'],
]);
for (const [name, frame, close, code] of endings) {
  test(`nobody comes back where ${name}`, async (t) => {
    const { port, sockets } = await server(t, (socket, message) => {
      if (message.type === 'join') socket.send(entry({ type: 'joined', seq: 1, session: info('first') }));
    });
    const signaling = client(t, port);
    await signaling.connect();
    const ended = next(signaling, 'ended');
    if (frame) sockets[0]?.send(frame, () => close === 0 && sockets[0]?.terminate());
    if (close) sockets[0]?.close(close);
    const error = await ended;
    assert.deepEqual([error.code, error.action], [code, 'stop']);
    signaling.retryNow();
    await new Promise((resolve) => setTimeout(resolve, 30));
    assert.equal(sockets.length, 1);
  });
}

test('the session that `room` brings is the one that is resumed, and told to those who remember it', async (t) => {
  /** @type {string[]} */
  const asked = [];
  const { port, sockets } = await server(t, (socket, message) => {
    if (message.type === 'join') socket.send(entry({ type: 'joined', seq: 1, session: info('first') }));
    if (message.type !== 'resume') return;
    asked.push(/** @type {{key: string}} */ (/** @type {unknown} */ (message)).key);
    socket.send(entry({ type: 'resumed', seq: 2, lost: false, heard: 0, session: info('third') }));
  });
  const signaling = client(t, port);
  /** @type {string[]} */
  const told = [];
  signaling.addEventListener('session', ({ detail }) => told.push(detail.key));
  await signaling.connect();
  const room = next(signaling, 'room');
  sockets[0]?.send(entry({ type: 'room', seq: 2, room: { name: 'tea', capacity: 2, locked: true }, session: info('second') }));
  assert.equal((await room).room.locked, true);
  sockets[0]?.terminate();
  await next(signaling, 'resumed');
  assert.deepEqual(asked, ['second']);
  assert.deepEqual(told, ['first', 'second', 'third']);
});
