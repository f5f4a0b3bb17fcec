// Why there is no camera or microphone, for people. Pure.

/**
 * @typedef {'refused' | 'refused.system' | 'missing' | 'busy' | 'insecure' | 'unknown'} Reason
 * @typedef {{reason: Reason, detail: string}} Problem
 */

/**
 * problemOf reads what getUserMedia rejected with. Browsers differ: a refusal by
 * the system shows in Chromium's message only.
 *
 * @param {unknown} error
 * @returns {Problem}
 */
export function problemOf(error) {
  const { name = '', message = '' } = error instanceof Error || error instanceof DOMException ? error : {};
  const detail = message || name || String(error);
  switch (name) {
    case 'NotAllowedError':
    case 'PermissionDeniedError':
      return { reason: /system/i.test(message) ? 'refused.system' : 'refused', detail };
    case 'SecurityError':
      return { reason: 'refused', detail };
    case 'NotFoundError':
    case 'DevicesNotFoundError':
    case 'OverconstrainedError':
      return { reason: 'missing', detail };
    case 'NotReadableError':
    case 'TrackStartError':
    case 'AbortError':
      return { reason: 'busy', detail };
    default:
      return { reason: 'unknown', detail };
  }
}

/** The page is not in a secure context. */
export const insecure = /** @type {Problem} */ ({ reason: 'insecure', detail: '' });
