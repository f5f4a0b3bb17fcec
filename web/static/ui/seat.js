// The seat of this tab in a call, for the page that comes after a reload or a crash: it takes
// the seat back. What is remembered ends with the tab.

/**
 * @import { SessionInfo } from '../sdk/message.js'
 *
 * @typedef {{
 *   room: string, key: string, name: string, session: SessionInfo, at: number,
 *   on: {mic: boolean, camera: boolean},
 * }} Seat
 *   at: when the call was last known to go on, in milliseconds since 1970.
 */

const stored = 'duet.seat';

/** @param {Seat} seat */
export function keepSeat(seat) {
  try {
    sessionStorage.setItem(stored, JSON.stringify(seat));
  } catch {
    // Where storage is forbidden a page that is loaded again is somebody new.
  }
}

/** dropSeat forgets the seat: it is given up, or lost. */
export function dropSeat() {
  try {
    sessionStorage.removeItem(stored);
  } catch {
    // There is none.
  }
}

/**
 * recallSeat is the seat that this tab had a moment ago, null once the server has given it away:
 * nobody is put into a call, camera on, because a tab of last week is opened again.
 *
 * @param {string} room
 * @param {number} [now]
 * @returns {Seat | null}
 */
export function recallSeat(room, now = Date.now()) {
  try {
    return seatIn(sessionStorage.getItem(stored), room, now);
  } catch {
    return null;
  }
}

/**
 * seatIn reads a seat.
 *
 * @param {string | null} text
 * @param {string} room
 * @param {number} now
 * @returns {Seat | null}
 */
export function seatIn(text, room, now) {
  /** @type {Seat | null} */
  const seat = text ? JSON.parse(text) : null;
  if (seat?.room !== room || typeof seat.session?.id !== 'string' || typeof seat.session.key !== 'string') return null;
  const left = seat.at + seat.session.grace * 1000 - now;
  return left > 0 ? seat : null;
}
