// Signaling against a WebSocket server that this test scripts.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Signaling, SignalingError } from '../static/sdk/signaling.js';
import { client, entry, info, joined, next, server, Socket } from './scripted.js';

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
