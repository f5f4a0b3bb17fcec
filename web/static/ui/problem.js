// Why there is no camera or microphone, for people. Pure.

/**
 * @typedef {'refused' | 'refused.system' | 'dismissed' | 'missing' | 'busy' | 'stopped' | 'insecure' | 'unknown'} Reason
 * @typedef {{reason: Reason, detail: string}} Problem
 */

/**
 * problemOf reads what getUserMedia rejected with. Browsers differ: a refusal by
 * the system, or a question that was closed, shows in Chromium's message only.
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
      if (/dismissed/i.test(message)) return { reason: 'dismissed', detail };
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

/** @param {Problem} problem */
export const isRefusal = ({ reason }) => reason === 'dismissed' || reason.startsWith('refused');

/** What worked was unplugged, or taken away. */
export const stopped = /** @type {Problem} */ ({ reason: 'stopped', detail: '' });

/** The page is not in a secure context. */
export const insecure = /** @type {Problem} */ ({ reason: 'insecure', detail: '' });
