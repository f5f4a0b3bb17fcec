// What a page knows of the seat that the page before it had.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seatIn } from '../static/ui/seat.js';

const now = 1_790_000_000_000;
const seat = { room: 'tea', key: '', name: 'Ann', session: { id: 'm_1', key: 'k', grace: 45 }, at: now, on: { mic: false, camera: true } };

test('a page that was loaded again knows its seat', () => {
  assert.deepEqual(seatIn(JSON.stringify(seat), 'tea', now + 44_999), seat);
});

const rows = /** @type {[string, string | null, string, number][]} */ ([
  ['there was none', null, 'tea', now],
  ['it was in another room', JSON.stringify(seat), 'milk', now],
  ['the page shows no room', JSON.stringify(seat), '', now],
  ['the server has given it away by now', JSON.stringify(seat), 'tea', now + 45_000],
  ['it has no session', JSON.stringify({ ...seat, session: undefined }), 'tea', now],
  ['it has no key', JSON.stringify({ ...seat, session: { id: 'm_1' } }), 'tea', now],
  ['it is null', 'null', 'tea', now],
]);
for (const [name, text, room, when] of rows) {
  test(`there is no seat to come back to where ${name}`, () => assert.equal(seatIn(text, room, when), null));
}
