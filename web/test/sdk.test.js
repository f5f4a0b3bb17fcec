// What the SDK promises to those who embed it.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

const root = new URL('../static/', import.meta.url);
/** @param {string} folder */
const modules = (folder) =>
  readdirSync(new URL(folder, root))
    .filter((name) => name.endsWith('.js'))
    .map((name) => ({ name: folder + name, text: readFileSync(new URL(folder + name, root), 'utf8') }));
/** @param {string} text */
const withoutComments = (text) => text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '$1');

test('the SDK touches no page', () => {
  for (const { name, text } of modules('sdk/')) {
    const found = withoutComments(text).match(/\b(document|window|localStorage|sessionStorage|HTML\w*Element)\b/);
    assert.equal(found, null, `${name}: ${found?.[0]}`);
  }
});

test('the SDK imports nothing but itself', () => {
  for (const { name, text } of modules('sdk/')) {
    for (const match of withoutComments(text).matchAll(/\bfrom '([^']+)'/g)) assert.match(match[1] ?? '', /^\.\/[\w-]+\.js$/, name);
  }
});

test('the SDK loads outside a browser', async () => {
  const sdk = await import('../static/sdk/duet.js');
  for (const name of ['Call', 'Chat', 'Emitter', 'Peer', 'Signaling', 'SignalingError', 'describePath']) assert.ok(name in sdk, name);
});

test('no module writes markup', () => {
  for (const { name, text } of [...modules('sdk/'), ...modules('ui/')]) {
    const found = withoutComments(text).match(/\b(innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval|new Function)\b/);
    assert.equal(found, null, `${name}: ${found?.[0]}`);
  }
});
