// The code of docs/webhooks.md does what it says: it takes what Duet signs
// (webhook/testdata/signed.json, which the Go tests hold as well) and nothing else.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

const read = (/** @type {string} */ path) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const code = /```js\n([^]*?)```/.exec(read('docs/webhooks.md'))?.[1] ?? '';
/** @type {{secret: string, id: string, timestamp: string, body: string, signature: string}[]} */
const signed = JSON.parse(read('webhook/testdata/signed.json'));

test('the receiver of docs/webhooks.md knows what is from Duet', async () => {
  /** @type {{isFromDuet: (secret: string, headers: Record<string, string>, body: string | Buffer, now?: number) => boolean}} */
  const { isFromDuet } = await import(`data:text/javascript,${encodeURIComponent(code)}`);
  assert.equal(signed.length, 2);
  for (const { secret, id, timestamp, body, signature } of signed) {
    const headers = { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signature };
    const now = Number(timestamp);
    assert.equal(isFromDuet(secret, headers, body, now), true);
    assert.equal(isFromDuet(secret, headers, Buffer.from(body), now + 299), true);
    assert.equal(isFromDuet(secret, { ...headers, 'webhook-signature': `v1,AAAA ${signature}` }, body, now), true);
    assert.equal(isFromDuet(secret, headers, body, now + 301), false, 'too old');
    assert.equal(isFromDuet(secret, headers, `${body} `, now), false, 'another body');
    assert.equal(isFromDuet(`${secret.slice(0, -4)}AAAA`, headers, body, now), false, 'another secret');
    assert.equal(isFromDuet(secret, { ...headers, 'webhook-id': 'msg_2' }, body, now), false, 'another id');
    assert.equal(isFromDuet(secret, { ...headers, 'webhook-timestamp': String(now + 1) }, body, now), false, 'another time');
    assert.equal(isFromDuet(secret, { ...headers, 'webhook-timestamp': 'now' }, body, now), false, 'no time');
    assert.equal(isFromDuet(secret, { ...headers, 'webhook-signature': signature.replace('v1', 'v2') }, body, now), false, 'another version');
    assert.equal(isFromDuet(secret, { 'webhook-id': id, 'webhook-timestamp': timestamp }, body, now), false, 'no signature');
  }
});
