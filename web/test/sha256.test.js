import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { Sha256 } from '../static/sdk/sha256.js';

test('the digest is that of another implementation, whatever the length and the pieces', () => {
  const bytes = randomBytes(4000);
  for (let length = 0; length < 300; length++) {
    const hash = new Sha256();
    hash.update(bytes.subarray(0, length));
    assert.equal(hash.digest(), createHash('sha256').update(bytes.subarray(0, length)).digest('hex'), `${length} bytes`);
  }
  for (const size of [1, 7, 63, 64, 65, 1000]) {
    const hash = new Sha256();
    for (let at = 0; at < bytes.length; at += size) hash.update(bytes.subarray(at, at + size));
    assert.equal(hash.digest(), createHash('sha256').update(bytes).digest('hex'), `in pieces of ${size}`);
  }
});
