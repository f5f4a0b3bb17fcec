import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inviteLink, keyOfFragment, keyOfInput, newRoomName, roomOfFragment, roomOfInput, roomProblem, tokenOfFragment, tokenOfInput } from '../static/ui/room.js';

test('a new room has at least 96 random bits in characters that read well', () => {
  const names = Array.from({ length: 2000 }, newRoomName);
  assert.equal(new Set(names).size, names.length);
  const pattern = /^[a-hjkmnp-tv-z0-9]{5}(-[a-hjkmnp-tv-z0-9]{5}){3}$/; // without i, l, o, u
  for (const name of names) assert.match(name, pattern);
  const counts = new Map();
  for (const character of names.join('').replaceAll('-', '')) counts.set(character, (counts.get(character) ?? 0) + 1);
  assert.equal(counts.size, 32);
  const bits = 20 * Math.log2(counts.size);
  assert.ok(bits >= 96, `${bits} bits`);
  // Each character comes up 1,250 times in 40,000; 6 standard deviations are 209.
  for (const [character, count] of counts) assert.ok(Math.abs(count - 1250) < 209, `${character}: ${count}`);
});

const rooms = ['tea', 'k7q2m-x9d4t-aaaaa-bbbbb', '茶 室', 'a/b?c#d&e', '100%', 'Ünïcode', "it's"];
for (const room of rooms) {
  test(`an invite link brings people to ${JSON.stringify(room)}`, () => {
    const link = inviteLink('https://call.example', room);
    const url = new URL(link);
    assert.equal(url.pathname + url.search, '/', 'the name is in the fragment only');
    assert.equal(roomOfFragment(url.hash), room);
    assert.equal(roomOfInput(` ${link} `), room);
    assert.equal(tokenOfInput(link), null);
  });
  test(`a link with a token brings people to ${JSON.stringify(room)}, and the token beside it`, () => {
    const link = `${inviteLink('https://call.example', room)}&token=eyJ.eyJ_-.x-_`;
    const { hash } = new URL(link);
    assert.equal(roomOfFragment(hash), room);
    assert.equal(tokenOfFragment(hash), 'eyJ.eyJ_-.x-_');
    assert.equal(roomOfInput(link), room);
    assert.equal(tokenOfInput(` ${link} `), 'eyJ.eyJ_-.x-_');
  });
}

for (const key of ['sesame', 'a b&c=d#e', '芝麻开门', '100%']) {
  test(`an invite link carries the key ${JSON.stringify(key)}`, () => {
    const link = inviteLink('https://call.example', 'a/b?c#d&e', key);
    const url = new URL(link);
    assert.equal(url.pathname + url.search, '/', 'the key is in the fragment only');
    assert.deepEqual([roomOfFragment(url.hash), keyOfFragment(url.hash)], ['a/b?c#d&e', key]);
    assert.deepEqual([roomOfInput(link), keyOfInput(link)], ['a/b?c#d&e', key]);
  });
}

test('a link may carry a key and a token', () => {
  const hash = '#tea&key=sesame&token=a.b.c';
  assert.deepEqual([roomOfFragment(hash), keyOfFragment(hash), tokenOfFragment(hash)], ['tea', 'sesame', 'a.b.c']);
});

test('a room without a key has none', () => {
  for (const hash of ['', '#', '#tea', '#tea&key=', '#key']) assert.equal(keyOfFragment(hash), '', hash);
  assert.equal(keyOfInput('tea&key=sesame'), '', 'a name is no link');
});

const inputs = /** @type {[string, string][]} */ ([
  ['tea', 'tea'],
  ['  tea  ', 'tea'],
  ['call.example/#tea', 'tea'],
  ['call.example:8080/#tea', 'tea'],
  ['HTTPS://call.example/?policy=relay#tea', 'tea'],
  ['https://call.example/', ''],
  ['#tea', '#tea'],
  ['', ''],
]);
for (const [input, room] of inputs) {
  test(`${JSON.stringify(input)} means the room ${JSON.stringify(room)}`, () => assert.equal(roomOfInput(input), room));
}

const codes = ['k7q2m-x9d4t-a0a1a-bbbbb', ' K7Q2M-X9D4T-A0A1A-BBBBB ', 'k7q2m x9d4t a0a1a bbbbb', 'K7Q2MX9D4TA0A1ABBBBB', 'k7q2m – x9d4t — aoaia ‐ bbbbb', 'K7Q2M X9D4T AOALA BBBBB'];
for (const code of codes) {
  test(`${JSON.stringify(code)} is the code of a room, however it was written down`, () => assert.equal(roomOfInput(code), 'k7q2m-x9d4t-a0a1a-bbbbb'));
}

test('what people call a room themselves is no code', () => {
  for (const name of ['Hello there World peace', 'Tea at 5 o’clock', 'Room-12345', 'k7q2m-x9d4t-a0a1a', 'K7Q2M/X9D4T/A0A1A/BBBBB']) assert.equal(roomOfInput(name), name);
  assert.equal(roomOfInput('https://call.example/#K7Q2M%20X9D4T%20AOALA%20BBBBB'), 'K7Q2M X9D4T AOALA BBBBB', 'nor is what stands in a link');
});

test('every new room has a code that may be read out in capitals', () => {
  for (const name of Array.from({ length: 200 }, newRoomName)) {
    if (/\d/.test(name)) assert.equal(roomOfInput(name.toUpperCase().replaceAll('-', ' ')), name);
  }
});

test('a fragment that is not encoded is taken as it is', () => {
  assert.equal(roomOfFragment('#100%'), '100%');
  assert.equal(roomOfFragment(''), '');
  assert.equal(roomOfFragment('#'), '');
});

test('a room has 1 to 64 characters, counted as people do', () => {
  assert.equal(roomProblem(''), 'home.room.missing');
  assert.equal(roomProblem('😀'.repeat(64)), null);
  assert.equal(roomProblem('x'.repeat(65)), 'home.room.long');
});

test('a token alone is for whatever room is chosen, and one that was cut off is in no room\'s name', () => {
  assert.equal(roomOfFragment('#token=a.b.c'), '');
  assert.equal(tokenOfFragment('#token=a.b.c'), 'a.b.c');
  assert.equal(roomOfFragment('#tea&token='), 'tea');
  assert.equal(tokenOfFragment('#tea&token='), '');
  assert.equal(tokenOfFragment('#tea'), null);
  assert.equal(tokenOfFragment('#mytoken=x'), null);
  assert.equal(roomOfFragment('#token%3Da.b.c'), 'token=a.b.c');
  assert.equal(tokenOfInput('tea&token=a'), null);
});
