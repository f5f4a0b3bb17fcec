// What pages of others show a call with.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { report } from '../static/embed/report.js';
import { words } from '../static/embed/words.js';
import { Emitter } from '../static/sdk/events.js';

const read = (/** @type {string} */ path) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

test('the element says everything in both languages', () => {
  assert.deepEqual(Object.keys(words.zh).sort(), Object.keys(words.en).sort());
  for (const text of [...Object.values(words.en), ...Object.values(words.zh)]) assert.notEqual(text.trim(), '');
  for (const table of [words.en, words.zh]) assert.match(table.failed, /\{message\}/);
});

test('docs/embedding.md shows both examples as they are, and names every attribute', () => {
  const docs = read('docs/embedding.md');
  for (const name of ['frame', 'element']) assert.ok(docs.includes(`\`\`\`html\n${read(`docs/examples/${name}.html`)}\`\`\``), name);
  const attributes = [...read('web/static/embed/duet-call.js').matchAll(/(?:get|has)Attribute\('([a-z]+)'\)/g)].map(([, name]) => name ?? '');
  assert.ok(attributes.includes('autojoin') && attributes.includes('server'), attributes.join());
  for (const name of attributes.filter((one) => one !== 'role')) assert.match(docs, new RegExp(`\`${name}\\b`), name);
});

/** A call that does what the test says. */
function follow() {
  const call = Object.assign(new Emitter(), { state: 'new', members: [{ id: 'm_1', name: 'Bo' }] });
  /** @type {unknown[]} */
  const told = [];
  report(/** @type {never} */ (call), 'tea', (type, detail) => told.push([type, detail]));
  const become = (/** @type {string} */ state) => {
    call.state = state;
    call.emit('state', { state });
  };
  return { call, told, become };
}

test('joined is told once, with who was there before, and left at the end', () => {
  const { call, told, become } = follow();
  for (const state of ['joining', 'knocking']) become(state);
  assert.deepEqual(told, []);
  for (const state of ['connecting', 'connected', 'reconnecting', 'connected']) become(state);
  call.emit('ended', { reason: 'left', error: null });
  assert.deepEqual(told, [
    ['joined', { room: 'tea' }],
    ['member', { event: 'present', id: 'm_1', name: 'Bo' }],
    ['left', { reason: 'left' }],
  ]);
});

test('who did not get in has not left', () => {
  const { call, told, become } = follow();
  become('joining');
  call.emit('ended', { reason: 'error', error: { code: 'room_full', message: 'The room is full.' } });
  assert.deepEqual(told, [['error', { code: 'room_full', message: 'The room is full.' }]]);
});

test('who is put out is told why, and of the members nothing but their name and what they did', () => {
  const { call, told, become } = follow();
  become('waiting');
  told.length = 0;
  call.emit('member', { type: 'member', seq: 3, event: 'left', member: { id: 'm_1', name: 'Bo', polite: true }, reason: 'kicked' });
  call.emit('ended', { reason: 'error', error: { code: 'kicked', message: 'Out.' } });
  assert.deepEqual(told, [
    ['member', { event: 'left', id: 'm_1', name: 'Bo' }],
    ['error', { code: 'kicked', message: 'Out.' }],
    ['left', { reason: 'kicked' }],
  ]);
});
