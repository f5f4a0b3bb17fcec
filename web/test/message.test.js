// The messages of the protocol, as the server's own tests write them down.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { decode, encode } from '../static/sdk/message.js';

const folder = new URL('../../signaling/testdata/message/', import.meta.url);

/** @param {string} name */
const example = (name) => readFileSync(new URL(`${name}.json`, folder), 'utf8').trim();

const fromClient = [
  'join', 'join-token', 'join-key', 'join-knock', 'join-again', 'ice-request', 'leave', 'leave-for-reload', 'ping', 'pong', 'resume',
  'signal-candidates', 'signal-description', 'signal-end-of-candidates', 'lock', 'kick', 'end', 'admit', 'refuse',
];

test('every example that a server sends is understood', () => {
  const names = readdirSync(folder).map((file) => file.replace(/\.json$/, ''));
  const sent = names.filter((name) => !fromClient.includes(name));
  assert.ok(sent.length >= 8, 'the examples are there');
  for (const name of sent) {
    const message = decode(example(name));
    assert.ok(message, name);
    assert.equal(message.type, JSON.parse(example(name)).type, name);
  }
});

test('what the client writes is what the examples say', () => {
  const to = 'm_QzK1d8tUw4E';
  const candidate = { candidate: 'candidate:1 1 udp 2130706431 192.0.2.1 50000 typ host', sdpMid: '0', sdpMLineIndex: 0, usernameFragment: 'abcd' };
  assert.equal(encode({ type: 'join', room: 'tea', name: 'Ann' }), example('join'));
  const token = 'eyJhbGciOiJIUzI1NiJ9.eyJyb29tIjoidGVhIn0.c2lnbmVk';
  assert.equal(encode({ type: 'join', room: 'tea', name: 'Ann', token }), example('join-token'));
  assert.equal(encode({ type: 'join', room: 'tea', name: 'Ann', key: 'sesame', create: true }), example('join-key'));
  assert.equal(encode({ type: 'join', room: 'tea', name: 'Cy', knock: true }), example('join-knock'));
  assert.equal(encode({ type: 'join', room: 'tea', name: 'Ann', old_session: 'm_5cVn0yJ3Zt0', old_key: 'c2VhbGVk' }), example('join-again'));
  assert.equal(encode({ type: 'lock', locked: true }), example('lock'));
  assert.equal(encode({ type: 'kick', to }), example('kick'));
  assert.equal(encode({ type: 'end' }), example('end'));
  for (const type of /** @type {const} */ (['admit', 'refuse'])) assert.equal(encode({ type, id: 'm_8JqLr2vXc0A' }), example(type));
  assert.equal(encode({ type: 'leave', return_ms: 6000 }), example('leave-for-reload'));
  assert.equal(encode({ type: 'ice' }), example('ice-request'));
  assert.equal(encode({ type: 'leave' }), example('leave'));
  assert.equal(encode({ type: 'ping' }), example('ping'));
  const attempt = '6f1c1c52-5d4f-4f0e-9c0f-7d1f1a0a9a11';
  assert.equal(encode({ type: 'resume', session: 'm_5cVn0yJ3Zt0', key: 'c2VhbGVk', seq: 12, attempt }), example('resume'));
  assert.equal(encode({ type: 'signal', to, description: { type: 'offer', sdp: 'v=0\r\n' } }), example('signal-description'));
  assert.equal(encode({ type: 'signal', to, candidates: [candidate] }), example('signal-candidates'));
  assert.equal(encode({ type: 'signal', to, candidates: [null] }), example('signal-end-of-candidates'));
});

test('joined carries the room, the others and the ICE servers', () => {
  const joined = decode(example('joined'));
  assert.equal(joined?.type, 'joined');
  if (joined?.type !== 'joined') return;
  assert.deepEqual(joined.self, { id: 'm_5cVn0yJ3Zt0', name: 'Ann' });
  assert.deepEqual(joined.room, { name: 'tea', capacity: 2 });
  assert.deepEqual(joined.members, [{ id: 'm_QzK1d8tUw4E', name: 'Bo', polite: false }]);
  assert.deepEqual(joined.ice.servers[0]?.urls, ['turn:203.0.113.10:3478?transport=udp']);
  assert.equal(joined.ice.expires, '2026-11-23T14:00:00Z');
});

test('resumed says what was missed, and what was heard', () => {
  const resumed = decode(example('resumed'));
  assert.ok(resumed?.type === 'resumed');
  assert.deepEqual([resumed.seq, resumed.lost, resumed.restored, resumed.heard, resumed.session?.key], [12, false, false, 7, 'bmV4dA']);
  assert.equal(resumed.members[0]?.away, true);
  const restored = decode(example('resumed-restored'));
  assert.ok(restored?.type === 'resumed');
  assert.deepEqual([restored.lost, restored.restored, restored.heard], [true, true, undefined]);
});

test('what the room is now, who hosts it and who knocks', () => {
  const room = decode(example('room'));
  assert.ok(room?.type === 'room');
  assert.deepEqual(room.self, { id: 'm_5cVn0yJ3Zt0', name: 'Ann', host: true });
  assert.deepEqual(room.room, { name: 'tea', capacity: 2, locked: true, knocks: [{ id: 'm_8JqLr2vXc0A', name: 'Cy' }] });
  assert.equal(room.session?.key, 'bG9ja2Vk');
  const knock = decode(example('knock-asked'));
  assert.ok(knock?.type === 'knock');
  assert.deepEqual([knock.seq, knock.event, knock.knock], [6, 'asked', { id: 'm_8JqLr2vXc0A', name: 'Cy' }]);
  const host = decode(example('member-host'));
  assert.ok(host?.type === 'member' && host.member.host === true);
});

test('an end of candidates stays among the candidates', () => {
  const message = decode(example('signal-from-candidates'));
  assert.ok(message?.type === 'signal');
  assert.equal(message.candidates?.length, 2);
  assert.equal(message.candidates?.[1], null);
});

const wrong = {
  'not text': new Uint8Array(3),
  'not JSON': '{"type":',
  'not an object': '[1]',
  null: 'null',
  'no type': '{}',
  'an unknown type': '{"type":"whistle"}',
  'a knock of nobody': '{"type":"knock","event":"asked"}',
  'a knock without an event': '{"type":"knock","knock":{"id":"a","name":"Cy"}}',
  'a room without self': '{"type":"room","room":{"name":"tea","capacity":2}}',
  'resumed without a session': '{"type":"resumed","self":{"id":"a"},"room":{},"members":[],"ice":{"servers":[]}}',
  'joined without self': '{"type":"joined","room":{},"members":[],"ice":{"servers":[]}}',
  'joined without ice': '{"type":"joined","self":{"id":"a"},"room":{},"members":[]}',
  'a member without a role': '{"type":"member","event":"joined","member":{"id":"a"}}',
  'an unknown event': '{"type":"member","event":"asleep","member":{"id":"a","polite":true}}',
  'a signal from nobody': '{"type":"signal","candidates":[null]}',
  'a signal without content': '{"type":"signal","from":"a"}',
  'a description of another type': '{"type":"signal","from":"a","description":{"type":"pranswer","sdp":""}}',
  'a description without sdp': '{"type":"signal","from":"a","description":{"type":"offer"}}',
};
for (const [name, frame] of Object.entries(wrong)) {
  test(`decode refuses ${name}`, () => assert.equal(decode(frame), null));
}

test('wrong values become harmless ones', () => {
  assert.deepEqual(decode('{"type":"error","code":7,"action":"explode","retry_after_ms":-1}'), {
    type: 'error', code: '', message: '', action: 'retry', retryAfterMs: 0,
  });
  const joined = decode('{"type":"joined","self":{"id":"a"},"room":{"name":"r","capacity":2},"members":[{"id":1},{"id":"b","polite":true}],"ice":{"servers":[{},null,{"urls":["stun:x"]}]}}');
  assert.ok(joined?.type === 'joined');
  assert.deepEqual(joined.members.map(({ id }) => id), ['b']);
  assert.deepEqual(joined.ice.servers, [{ urls: ['stun:x'] }]);
});
