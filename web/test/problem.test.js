import assert from 'node:assert/strict';
import { test } from 'node:test';
import en from '../static/i18n/en.js';
import { isRefusal, problemOf } from '../static/ui/problem.js';

const rejections = /** @type {[string, string, string, boolean][]} */ ([
  ['NotAllowedError', 'Permission denied', 'refused', true],
  ['NotAllowedError', 'Permission denied by system', 'refused.system', true],
  ['NotAllowedError', 'Permission dismissed', 'dismissed', true],
  ['NotAllowedError', 'The request is not allowed by the user agent or the platform in the current context.', 'refused', true],
  ['SecurityError', '', 'refused', true],
  ['NotFoundError', 'Requested device not found', 'missing', false],
  ['OverconstrainedError', '', 'missing', false],
  ['NotReadableError', 'Could not start video source', 'busy', false],
  ['AbortError', 'Starting videoinput failed', 'busy', false],
  ['TypeError', 'what?', 'unknown', false],
]);
for (const [name, message, reason, refusal] of rejections) {
  test(`${name}: ${message || 'without words'} is told as ${reason}, of one device and of both`, () => {
    const problem = problemOf(new DOMException(message, name));
    assert.deepEqual(problem, { reason, detail: message || name });
    assert.equal(isRefusal(problem), refusal);
    for (const part of ['title', 'text', 'one']) assert.ok(`media.${reason}.${part}` in en, part);
  });
}
