// One member's way to the server: a WebSocket that joins, pings and comes back.
//
// A lost socket is replaced by a new one, which resumes the session: nothing was missed,
// or `resumed` and `resync` say what to do about it. Where the session is over, the new
// socket joins, which makes a new member: `joined` is emitted again, with another id.
// Media does not pass here and goes on meanwhile.

import { SignalingError, whyClosed } from './ending.js';
import { Emitter } from './events.js';
import { decode, encode, protocol } from './message.js';
import { Session } from './session.js';

export { SignalingError } from './ending.js';

/**
 * @import { Failure, Goaway, Ice, Join, Joined, KnockMessage, MemberEvent, Outgoing, Resumed, Resync, RoomMessage, SessionInfo, Signal } from './message.js'
 *
 * @typedef {{
 *   url: string | URL, room: string, name?: string, token?: string, signal?: AbortSignal,
 *   key?: string, create?: boolean, knock?: boolean, previous?: Pick<SessionInfo, 'id' | 'key'> | null,
 *   WebSocket?: typeof globalThis.WebSocket, random?: () => number,
 * }} SignalingOptions
 *   token: lets us in where the server asks for one. It is sent with each join and nowhere else.
 *   key: of the room; create: which a new room is given. knock: wait to be let in where the
 *   room is locked. previous: the session of a page that was loaded again; its seat is taken over.
 * @typedef {{attempt: number, delayMs: number, code: string, message: string}} Interruption
 */

/** Milliseconds before each attempt to reconnect; the last one repeats. */
export const reconnectDelays = [0, 300, 1200, 2700, 4800, 7000];

const pingEveryMs = 15_000;
/** After so many signals we ask how many were heard. */
const askEvery = 64;
/** How long a socket may take to prove that it lives, or to open, when the network has changed. */
const proveWithinMs = 1_500;
const pongWithinMs = 10_000;
const openWithinMs = 10_000;
const iceWithinMs = 3_000;
/** What of the grace time is too short for one more attempt. */
const lastMomentMs = 1_000;
/** How long a member who was in the room goes on trying. */
const giveUpAfterMs = 5 * 60_000;

/**
 * @extends {Emitter<{
 *   joined: Joined, resumed: Resumed, resync: Resync, member: MemberEvent, signal: Signal, ice: Ice, failure: Failure,
 *   room: RoomMessage, knock: KnockMessage, knocking: null, session: SessionInfo,
 *   interrupted: Interruption, ended: SignalingError,
 * }>}
 */
export class Signaling extends Emitter {
  #options;
  #WebSocket;
  #random;
  /** @type {WebSocket | null} */
  #socket = null;
  /** Ends the current socket's listeners and timers. */
  #life = new AbortController();
  /** @type {PromiseWithResolvers | null} */
  #joining = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {Session | null} */
  #session = null;
  /** @type {Failure | null} */
  #failure = null;
  /** @type {Goaway | null} */
  #goaway = null;
  #attempt = 0;
  #everJoined = false;
  #joined = false;
  /** Somebody inside has to let us in. */
  #knocking = false;
  #interruptedAt = 0;
  #ended = false;

  /** @typedef {{promise: Promise<Joined>, resolve: (joined: Joined) => void, reject: (error: Error) => void}} PromiseWithResolvers */

  /** @param {SignalingOptions} options */
  constructor(options) {
    super();
    this.#options = options;
    this.#WebSocket = options.WebSocket ?? globalThis.WebSocket;
    this.#random = options.random ?? Math.random;
    options.signal?.addEventListener('abort', () => this.leave(), { once: true });
  }

  /**
   * connect opens the socket and joins. It tries as often as reconnectDelays is
   * long, and rejects with a SignalingError: at once where the server says stop.
   *
   * @returns {Promise<Joined>}
   */
  connect() {
    if (this.#joining) return this.#joining.promise;
    this.#joining = withResolvers();
    this.#joining.promise.catch(() => {}); // also told by "ended"
    if (this.#ended) this.#joining.reject(new SignalingError('aborted', 'left before joining'));
    else this.#open();
    return this.#joining.promise;
  }

  /**
   * send returns false when the message will not arrive: we are not in the room. A
   * signal waits while the socket is lost, and is sent again if it may have been lost
   * with it. What was meant for an old membership means nothing to the next.
   *
   * @param {Outgoing} message
   */
  send(message) {
    const frame = encode(message);
    const kept = message.type === 'signal' && this.#session?.keep(frame);
    if (message.type === 'signal' && this.#session && !kept) return false;
    const allowed = this.#joined || (this.#knocking && (message.type === 'ping' || message.type === 'leave'));
    if (!allowed || this.#socket?.readyState !== 1) return kept === true;
    this.#socket.send(frame);
    if (kept && (this.#session?.waiting ?? 0) % askEvery === 0) this.#socket.send(encode({ type: 'ping' }));
    return true;
  }

  /**
   * requestIce asks for fresh ICE servers; null if none came in 3 s.
   *
   * @returns {Promise<Ice | null>}
   */
  requestIce() {
    if (!this.send({ type: 'ice' })) return Promise.resolve(null);
    return new Promise((resolve) => {
      const done = new AbortController();
      const finish = (/** @type {Ice | null} */ ice) => {
        clearTimeout(timer);
        done.abort();
        resolve(ice);
      };
      const timer = setTimeout(() => finish(null), iceWithinMs);
      this.addEventListener('ice', (event) => finish(event.detail), { signal: done.signal });
      this.#life.signal.addEventListener('abort', () => finish(null), { signal: done.signal });
    });
  }

  /**
   * retryNow ends the wait before the next attempt: the network is back, or another one.
   * A socket that is open, or is about to be, has 1.5 s to prove that it lives.
   */
  retryNow() {
    if (this.#ended || !this.#joining) return;
    if (!this.#socket) return this.#open();
    this.#prove(proveWithinMs);
  }

  /**
   * leave ends the membership and everything that runs here.
   *
   * @param {{returnMs?: number}} [how]  for how long the seat is kept for `previous` of another page
   */
  leave({ returnMs = 0 } = {}) {
    this.send({ type: 'leave', ...(returnMs > 0 ? { return_ms: returnMs } : {}) });
    this.#end(new SignalingError('aborted', 'left'));
  }

  #open() {
    clearTimeout(this.#timer);
    this.#life = new AbortController();
    const { signal } = this.#life;
    this.#failure = null;
    this.#goaway = null;
    let socket;
    try {
      socket = new this.#WebSocket(this.#options.url, protocol);
    } catch (error) {
      return this.#end(new SignalingError('unreachable', String(error)));
    }
    this.#socket = socket;
    // Listeners are ended with the life; a socket that never closes is not waited for.
    const on = (/** @type {string} */ type, /** @type {(event: Event) => void} */ listener) =>
      socket.addEventListener(type, (event) => signal.aborted || listener(event));
    on('open', () => {
      socket.send(encode(this.#session?.resume ?? this.#join()));
    });
    on('message', (event) => this.#receive(/** @type {MessageEvent} */ (event).data));
    on('close', (event) => this.#lost(/** @type {CloseEvent} */ (event).code));
    on('error', () => {}); // `close` follows
    this.#timer = setTimeout(() => this.#lost(0), openWithinMs);
  }

  /** @returns {Join} */
  #join() {
    const { room, name = '', token, key, create, knock, previous } = this.#options;
    return {
      type: 'join',
      room,
      name,
      ...(token ? { token } : {}),
      ...(key ? { key } : {}),
      ...(key && create ? { create } : {}),
      ...(knock ? { knock } : {}),
      // Once in, the seat is another.
      ...(previous && !this.#everJoined ? { old_session: previous.id, old_key: previous.key } : {}),
    };
  }

  /** @param {unknown} frame */
  #receive(frame) {
    if (this.#joined || this.#knocking) this.#ping(); // any message proves that the socket lives
    const message = decode(frame);
    switch (message?.type) {
      case 'joined':
        this.#session = message.session ? new Session(message.session, message.seq) : null;
        this.#entered();
        this.#keepSession(message.session);
        this.emit('joined', message);
        return this.#joining?.resolve(message);
      case 'resumed':
        this.#entered();
        for (const unheard of this.#session?.resumed(message) ?? []) this.#socket?.send(unheard);
        this.#keepSession(message.session);
        return this.emit('resumed', message);
      case 'knocking':
        this.#knocking = true;
        this.#attempt = 0;
        this.#ping();
        return this.emit('knocking', null);
    }
    if (message && 'seq' in message && this.#session?.sees(message.seq) === false) return;
    switch (message?.type) {
      case 'resync':
        return this.emit('resync', message);
      case 'member':
        return this.emit('member', message);
      case 'room':
        this.#keepSession(message.session);
        return this.emit('room', message);
      case 'knock':
        return this.emit('knock', message);
      case 'signal':
        return this.emit('signal', message);
      case 'ice':
        return this.emit('ice', message.ice);
      case 'ping':
        return void this.send({ type: 'pong' });
      case 'pong':
        return this.#session?.hears(message.heard);
      case 'goaway':
        this.#goaway = message;
        return;
      case 'error':
        if (message.action !== 'retry' || !this.#joined) this.#failure = message;
        return this.emit('failure', message);
    }
  }

  /** @param {SessionInfo | undefined} info */
  #keepSession(info) {
    if (!info) return;
    this.#session?.renew(info);
    this.emit('session', info);
  }

  #entered() {
    this.#joined = this.#everJoined = true;
    this.#knocking = false;
    this.#attempt = 0;
    this.#interruptedAt = 0;
    this.#ping();
  }

  /** A ping after 15 s of silence; 10 s later the socket is given up. */
  #ping() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#prove(pongWithinMs), pingEveryMs);
  }

  /** @param {number} withinMs  until anything must have come, or the socket is given up */
  #prove(withinMs) {
    clearTimeout(this.#timer);
    this.send({ type: 'ping' });
    this.#timer = setTimeout(() => this.#lost(0), withinMs);
  }

  /** @param {number} close  the close code, 0 where we gave the socket up */
  #lost(close) {
    const failure = this.#failure;
    // A server that is full or about to end has not looked at our key.
    if (failure && failure.code !== 'unavailable' && failure.code !== 'capacity') this.#session = null;
    this.#drop();
    const error = whyClosed(close, failure, this.#goaway);
    const now = Date.now();
    this.#interruptedAt ||= now;
    const exhausted = this.#everJoined
      ? now - this.#interruptedAt > giveUpAfterMs
      : this.#attempt >= reconnectDelays.length;
    if (error.action === 'stop' || exhausted) return this.#end(error);

    const delayMs = this.#delay(failure);
    this.#timer = setTimeout(() => this.#open(), delayMs);
    this.#attempt++;
    this.emit('interrupted', { attempt: this.#attempt, delayMs, code: error.code, message: error.message });
  }

  /**
   * What the server asked for, else the table's entry, a quarter more or less so
   * that a room's members do not come all at once. While our seat is kept, nothing takes more
   * than half of the time that it still has.
   *
   * @param {Failure | null} failure
   */
  #delay(failure) {
    if (this.#goaway) return this.#goaway.reconnectInMs;
    const listed = reconnectDelays[Math.min(this.#attempt, reconnectDelays.length - 1)] ?? 0;
    const spread = listed * (0.75 + this.#random() / 2);
    const left = this.#session ? this.#session.info.grace * 1000 - (Date.now() - this.#interruptedAt) : 0;
    return Math.max(failure?.retryAfterMs ?? 0, left > lastMomentMs ? Math.min(spread, left / 2) : spread);
  }

  /** Ends the socket and its timers, whatever state it is in. */
  #drop() {
    clearTimeout(this.#timer);
    this.#life.abort();
    this.#joined = this.#knocking = false;
    const socket = this.#socket;
    this.#socket = null;
    if (socket && socket.readyState < 2) socket.close();
  }

  /** @param {SignalingError} error */
  #end(error) {
    if (this.#ended) return;
    this.#ended = true;
    this.#drop();
    this.#joining?.reject(error);
    this.emit('ended', error);
  }
}

/** @returns {{promise: Promise<Joined>, resolve: (joined: Joined) => void, reject: (error: Error) => void}} */
function withResolvers() {
  /** @type {(joined: Joined) => void} */
  let resolve = () => {};
  /** @type {(error: Error) => void} */
  let reject = () => {};
  const promise = new Promise((res, rej) => {
    resolve = res;
    reject = rej;
  });
  return { promise, resolve, reject };
}
