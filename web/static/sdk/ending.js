// Why a socket ended, and what follows from it.

/** @import { Action, Failure, Goaway } from './message.js' */

/** Why signaling ended, or a join was refused. */
export class SignalingError extends Error {
  /**
   * @param {string} code  of the server's `error`, or "kicked", "ended", "replaced", "unreachable", "aborted"
   * @param {string} message
   * @param {{action?: Action, close?: number}} [more]  close is the WebSocket's code, 0 without one
   */
  constructor(code, message, { action = 'stop', close = 0 } = {}) {
    super(message);
    this.name = 'SignalingError';
    this.code = code;
    this.action = action;
    this.close = close;
  }
}

/** Close codes after which nobody comes back by itself. @type {Record<number, string>} */
const endings = { 4404: 'ended', 4409: 'replaced', 4460: 'kicked' };

/**
 * whyClosed says why a socket ended, in the server's words if it gave any.
 *
 * @param {number} close  the close code, 0 where we gave the socket up
 * @param {Failure | null} failure  the last `error` that ends a socket
 * @param {Goaway | null} goaway
 * @returns {SignalingError}
 */
export function whyClosed(close, failure, goaway) {
  if (failure) return new SignalingError(failure.code, failure.message, { action: failure.action, close });
  // The frame that says it may come where the close frame does not.
  const ending = endings[close] ?? Object.values(endings).find((code) => code === goaway?.reason);
  if (ending) return new SignalingError(ending, '', { close });
  return new SignalingError(close === 1012 ? 'unavailable' : 'unreachable', '', { action: close === 1000 ? 'stop' : 'rejoin', close });
}
