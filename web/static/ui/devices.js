// What is asked of the browser for a camera or a microphone, and whether asking shows a question.

import { recall } from './remembered.js';

/** @import { Kind } from '../sdk/peer.js' */

/** The names that permissions have. */
const permissions = /** @type {const} */ ({ audio: 'microphone', video: 'camera' });

/**
 * Constraints of a kind. A chosen device is a must, and so is the remembered one while it is there: Chromium takes
 * no notice of wishes.
 *
 * @param {Kind} kind
 * @param {MediaDeviceInfo[]} there
 * @param {string} [chosen]
 * @returns {MediaTrackConstraints}
 */
export function constraints(kind, there, chosen) {
  const remembered = recall(permissions[kind]);
  const must = chosen ?? there.find(({ deviceId }) => deviceId === remembered)?.deviceId;
  const deviceId = must ? { exact: must } : remembered ? { ideal: remembered } : undefined;
  return kind === 'audio'
    ? { deviceId, echoCancellation: true, noiseSuppression: true, autoGainControl: true }
    : { deviceId, width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30, max: 30 } };
}

/**
 * permitted are those of the kinds that the browser gives without asking the person.
 *
 * @param {Kind[]} kinds
 * @returns {Promise<Kind[]>}
 */
export async function permitted(kinds) {
  try {
    const all = await Promise.all(kinds.map((kind) => navigator.permissions.query({ name: /** @type {PermissionName} */ (permissions[kind]) })));
    return kinds.filter((_, i) => all[i]?.state === 'granted');
  } catch {
    return []; // a browser without these names asks when it must
  }
}
