// docs/sdk.md says what is.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import * as sdk from '../static/sdk/duet.js';

const read = (/** @type {string} */ path) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const docs = read('docs/sdk.md');

test('docs/sdk.md shows docs/examples/call.html as it is', () => {
  assert.equal(/```html\n([^]*?)```/.exec(docs)?.[1], read('docs/examples/call.html'));
});

test('docs/sdk.md names everything that the SDK exports, and every event, option and method of Call', () => {
  const source = read('web/static/sdk/duet.js');
  const events = /@extends \{Emitter<\{([^]*?)\}>\}/.exec(source)?.[1] ?? '';
  const options = /@typedef \{Pick<SignalingOptions, ([^>]*)> & \{([^]*?)\}\} CallOptions/.exec(source);
  const names = [
    ...Object.keys(sdk),
    ...[...events.matchAll(/^ \* {3}(\w+):/gm)].map(([, name]) => name),
    ...[...(options?.[1] ?? '').matchAll(/'(\w+)'/g)].map(([, name]) => name).filter((name) => name !== 'WebSocket'),
    ...[...(options?.[2] ?? '').matchAll(/^ \* {3}(\w+)\?:/gm)].map(([, name]) => name),
    ...Object.getOwnPropertyNames(sdk.Call.prototype).filter((name) => name !== 'constructor'),
  ];
  assert.ok(names.includes('ended') && names.includes('previous') && names.includes('policy') && names.includes('setTrack'), names.join());
  for (const name of names) assert.match(docs, new RegExp(`\`${name}\\b|\\W${name}\\(|, ${name}\``), `${name} is not in docs/sdk.md`);
});
