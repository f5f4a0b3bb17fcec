// Keys, knocks and hosts, against a WebSocket server that this test scripts.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { client, entry, info, next, server } from './scripted.js';

const joins = /** @type {[string, object, object][]} */ ([
  ['a key', { key: 'sesame' }, { key: 'sesame' }],
  ['the key that a new room gets', { key: 'sesame', create: true }, { key: 'sesame', create: true }],
  ['no key, whatever create says', { key: '', create: true }, {}],
  ['a knock', { knock: true }, { knock: true }],
  ['the seat of the page before', { previous: info('old') }, { old_session: 'm_1', old_key: 'old' }],
]);
for (const [name, options, fields] of joins) {
  test(`join says ${name}`, async (t) => {
    const { port, received } = await server(t);
    await client(t, port, options).connect();
    assert.deepEqual(JSON.parse(received[0] ?? ''), { type: 'join', room: 'tea', name: 'Ann', ...fields });
  });
}

test('the seat of the page before is taken over once: later this page has its own', async (t) => {
  const { port, sockets, received } = await server(t);
  const signaling = client(t, port, { previous: info('old'), key: 'sesame' });
  await signaling.connect();
  const again = next(signaling, 'joined');
  sockets[0]?.terminate();
  await again;
  const join = received.filter((frame) => frame.includes('"join"'))[1];
  assert.deepEqual(JSON.parse(join ?? ''), { type: 'join', room: 'tea', name: 'Ann', key: 'sesame' });
});

for (const [code, close] of /** @type {const} */ ([['bad_key', 4403], ['room_locked', 4403], ['forbidden', 4403]])) {
  test(`${code} is not asked again`, async (t) => {
    const { port, sockets } = await server(t, (socket) => {
      socket.send(JSON.stringify({ type: 'error', code, message: 'no', action: 'stop' }));
      socket.close(close);
    });
    await assert.rejects(client(t, port, { key: 'x' }).connect(), { code, close });
    assert.equal(sockets.length, 1);
  });
}

test('one who knocks waits, and is in when admitted', async (t) => {
  const { port, sockets, received } = await server(t, (socket, { type }) => void (type === 'join' && socket.send('{"type":"knocking"}')));
  const signaling = client(t, port, { knock: true });
  const knocking = next(signaling, 'knocking');
  const joined = signaling.connect();
  await knocking;
  assert.equal(signaling.send({ type: 'ice' }), false, 'nothing is for us yet');
  sockets[0]?.send(entry({ type: 'joined', seq: 1, session: info('first') }));
  assert.equal((await joined).self.id, 'm_1');
  assert.equal(received.length, 1);
});

test('one who knocks can go away', async (t) => {
  const { port, received } = await server(t, (socket, { type }) => void (type === 'join' && socket.send('{"type":"knocking"}')));
  const signaling = client(t, port, { knock: true });
  const knocking = next(signaling, 'knocking');
  const refused = assert.rejects(signaling.connect(), { code: 'aborted' });
  await knocking;
  signaling.leave();
  await refused;
  while (!received.includes('{"type":"leave"}')) await new Promise((resolve) => setTimeout(resolve, 5));
});

test('one who knocks and loses the socket knocks again', async (t) => {
  const { port, sockets, received } = await server(t, (socket, { type }) => void (type === 'join' && socket.send('{"type":"knocking"}')));
  const signaling = client(t, port, { knock: true });
  const knocking = next(signaling, 'knocking');
  void signaling.connect().catch(() => {});
  await knocking;
  const again = next(signaling, 'knocking');
  sockets[0]?.terminate();
  await again;
  assert.deepEqual(received.map((frame) => JSON.parse(frame).knock), [true, true]);
});

test('knocks and hosts are told', async (t) => {
  const { port, sockets } = await server(t);
  const signaling = client(t, port);
  await signaling.connect();
  const knock = next(signaling, 'knock');
  sockets[0]?.send('{"type":"knock","seq":2,"event":"asked","knock":{"id":"m_cy","name":"Cy"}}');
  const { event, knock: who } = await knock;
  assert.deepEqual([event, who], ['asked', { id: 'm_cy', name: 'Cy' }]);
  const member = next(signaling, 'member');
  sockets[0]?.send('{"type":"member","seq":3,"event":"host","member":{"id":"m_2","name":"Bo","polite":true,"host":true}}');
  assert.equal((await member).member.host, true);
});

test('what may not be is said, and the socket stays', async (t) => {
  const { port, sockets, received } = await server(t, (socket, { type }) => {
    if (type === 'join') socket.send(entry({ type: 'joined', seq: 1, session: info('first') }));
    if (type === 'admit') socket.send('{"type":"error","seq":2,"code":"room_full","message":"full","action":"retry"}');
  });
  const signaling = client(t, port);
  await signaling.connect();
  const failure = next(signaling, 'failure');
  signaling.send({ type: 'admit', id: 'm_cy' });
  assert.equal((await failure).code, 'room_full');
  for (const message of /** @type {import('../static/sdk/message.js').Outgoing[]} */ ([{ type: 'lock', locked: true }, { type: 'kick', to: 'm_2' }, { type: 'refuse', id: 'm_cy' }, { type: 'end' }])) {
    assert.equal(signaling.send(message), true);
  }
  while (received.length < 6) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepEqual(received.slice(2), ['{"type":"lock","locked":true}', '{"type":"kick","to":"m_2"}', '{"type":"refuse","id":"m_cy"}', '{"type":"end"}']);
  assert.equal(sockets.length, 1);
});
