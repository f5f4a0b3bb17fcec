// The token of a link, which lets its bearer into a room. It leaves the address bar before
// anybody can copy, bookmark or photograph it, and stays with this tab: a page that is loaded
// again still has it.

import { fragmentOf, keyOfFragment, roomOfFragment, tokenOfFragment } from './room.js';

const key = 'duet.token';

/** @typedef {{room: string, token: string}} Held  room: the one that it came with; "" is any */

/** @type {Held} */
let held = { room: '', token: '' };

/** takeToken moves the token from the address bar to here, if there is one. */
export function takeToken() {
  const token = tokenOfFragment(location.hash);
  if (token === null) return;
  const room = roomOfFragment(location.hash);
  const fragment = room === '' ? '' : fragmentOf(room, keyOfFragment(location.hash));
  history.replaceState(null, '', location.pathname + location.search + fragment);
  holdToken(room, token);
}

/**
 * holdToken keeps a token for the room that it came with, in place of the one before.
 *
 * @param {string} room
 * @param {string | null} token
 */
export function holdToken(room, token) {
  if (!token) return;
  held = { room, token };
  try {
    sessionStorage.setItem(key, JSON.stringify(held));
  } catch {
    // Forgotten with the page, then.
  }
}

/**
 * tokenFor is what to join a room with; "" without one.
 *
 * @param {string} room
 */
export function tokenFor(room) {
  if (!held.token) held = stored();
  return held.room === '' || held.room === room ? held.token : '';
}

/** @returns {Held} */
function stored() {
  try {
    const { room, token } = JSON.parse(sessionStorage.getItem(key) ?? '{}');
    if (typeof room === 'string' && typeof token === 'string') return { room, token };
  } catch {
    // Where storage is forbidden there is nothing.
  }
  return { room: '', token: '' };
}
