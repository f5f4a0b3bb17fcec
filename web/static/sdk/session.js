// What outlives a socket: the key to the seat, what was seen of the server's messages,
// and our signals that the server may not have heard.

/** @import { Outgoing, Resumed, SessionInfo } from './message.js' */

/** What may wait for the server, as much as it keeps for us. */
const maxSignals = 256;
const maxCharacters = 1 << 20;

export class Session {
  #info;
  #seq;
  /** Names this resume, so that asking again after a lost answer is no second use of the key. */
  #attempt = newAttempt();
  /** @type {string[]} */
  #unheard = [];
  #heard = 0;
  #characters = 0;

  /**
   * @param {SessionInfo} info
   * @param {number} seq  of `joined`
   */
  constructor(info, seq) {
    this.#info = info;
    this.#seq = seq;
  }

  /** What resumes the session, or takes its seat over. */
  get info() {
    return this.#info;
  }

  /** @returns {Outgoing} */
  get resume() {
    return { type: 'resume', session: this.#info.id, key: this.#info.key, seq: this.#seq, attempt: this.#attempt };
  }

  /**
   * sees returns false for a message that was seen before.
   *
   * @param {number} seq  0 for one that has none
   */
  sees(seq) {
    if (seq === 0) return true;
    if (seq <= this.#seq) return false;
    this.#seq = seq;
    return true;
  }

  /**
   * keep keeps a signal until it is heard. It returns false when too much waits.
   *
   * @param {string} frame
   */
  keep(frame) {
    if (this.#unheard.length >= maxSignals || this.#characters + frame.length > maxCharacters) return false;
    this.#unheard.push(frame);
    this.#characters += frame.length;
    return true;
  }

  /** @param {SessionInfo} info  in place of the one we have */
  renew(info) {
    this.#info = info;
  }

  /** How many signals wait to be heard. */
  get waiting() {
    return this.#unheard.length;
  }

  /**
   * hears forgets what the server has heard.
   *
   * @param {number | undefined} count  of this session's signals
   */
  hears(count = this.#heard) {
    for (const frame of this.#unheard.splice(0, Math.max(0, count - this.#heard))) this.#characters -= frame.length;
    this.#heard = Math.max(this.#heard, count);
  }

  /**
   * resumed takes the next key, and returns the signals to send again.
   *
   * @param {Resumed} message
   */
  resumed({ session, seq, heard, lost }) {
    if (session) this.#info = session;
    this.#attempt = newAttempt();
    if (lost) this.#seq = seq;
    if (heard === undefined) {
      // A new server: what the old one heard of these is not known, and they are told anew.
      this.#unheard = [];
      this.#characters = this.#heard = 0;
    }
    this.hears(heard);
    return this.#unheard;
  }
}

/** 128 random bits. Pages without https have no crypto.randomUUID. */
function newAttempt() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
