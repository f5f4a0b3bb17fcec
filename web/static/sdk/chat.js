// Text between members over data channels, and whether their microphone and camera are on: one
// JSON object a message, {id, text, at}, {heard: id}, {typing},
// {mic, camera, screen} and {paused}: our picture does not come for want of bandwidth.
//
// A text is kept until each member who was there has said that it was heard, and goes again over
// the next channel to whoever has not: a channel may die with what it was given. Its id lets the
// other side pass over a second copy.

import { Emitter } from './events.js';

/**
 * @typedef {{id: string, text: string, at: number}} ChatMessage  at: milliseconds since 1970, the sender's clock
 * @typedef {{mic: boolean, camera: boolean, screen?: boolean}} Devices  screen: it is shown in place of the camera
 * @typedef {{channel: RTCDataChannel, from: string, given: Set<string>, life: AbortController}} Link
 *   given: ids of the texts that this channel took
 * @typedef {{message: ChatMessage, missing: Set<string>, heard: boolean}} Kept
 *   missing: the members who have not heard it. heard: somebody has.
 */

/** The most characters (UTF-16 code units) of one message. */
export const maxTextCharacters = 4000;

const maxFrameCharacters = 32_768;
const maxIdCharacters = 64;
/** How many messages wait for somebody to read them. */
const maxKept = 100;
/** How many ids are remembered against a second delivery. */
const maxSeen = 1000;

/**
 * @extends {Emitter<{
 *   message: ChatMessage & {from: string}, devices: Devices & {from: string}, typing: {from: string, typing: boolean},
 *   sent: {id: string}, paused: {from: string, paused: boolean},
 * }>}
 *   sent: somebody has heard it
 */
export class Chat extends Emitter {
  /** @type {Map<RTCDataChannel, Link>} */
  #links = new Map();
  /** @type {Set<string>} Members to whom there is, or was, a channel. */
  #members = new Set();
  /** @type {Map<string, Kept>} By id, the oldest first. */
  #kept = new Map();
  /** @type {Set<string>} */
  #seen = new Set();
  /** @type {Devices | null} */
  #devices = null;
  #typing = false;
  /** @type {Set<string>} Members to whom our picture does not go. */
  #paused = new Set();

  /**
   * attach makes a member's channel part of the conversation until it closes.
   *
   * @param {string} from  the member at its other end
   * @param {RTCDataChannel} channel
   */
  attach(from, channel) {
    const life = new AbortController();
    const { signal } = life;
    /** @type {Link} */
    const link = { channel, from, given: new Set(), life };
    this.#links.set(channel, link);
    this.#members.add(from);
    const open = () => {
      if (this.#devices) put(channel, this.#devices);
      if (this.#paused.has(from)) put(channel, { paused: true });
      this.#flush(link);
    };
    channel.addEventListener('open', open, { signal });
    channel.addEventListener('bufferedamountlow', () => this.#flush(link), { signal });
    channel.addEventListener('message', ({ data }) => this.#receive(link, data), { signal });
    channel.addEventListener('close', () => this.#detach(link), { signal });
    if (channel.readyState === 'open') open();
  }

  /**
   * forget takes a member out who has left. What nobody has heard waits for the first one who comes.
   *
   * @param {string} member
   */
  forget(member) {
    this.#members.delete(member);
    this.#paused.delete(member);
    for (const link of [...this.#links.values()]) if (link.from === member) this.#detach(link);
    for (const kept of [...this.#kept.values()]) {
      kept.missing.delete(member);
      this.#drop(kept);
    }
  }

  /**
   * send gives the text to everyone who is there, as soon as they can be reached, or else to the
   * first one who comes. It returns null for an empty text, and where 100 already wait.
   *
   * @param {string} text  cut at 4,000 characters
   * @returns {ChatMessage | null}
   */
  send(text) {
    const message = { id: newId(), text: text.trim().slice(0, maxTextCharacters), at: Date.now() };
    if (message.text === '' || !this.#makeRoom()) return null;
    this.#typing = false; // as a text says by itself
    this.#kept.set(message.id, { message, missing: new Set(this.#members), heard: false });
    for (const link of this.#links.values()) this.#flush(link);
    return message;
  }

  /**
   * setTyping tells everyone whether something is being written here.
   *
   * @param {boolean} typing
   */
  setTyping(typing) {
    if (this.#typing === typing) return;
    this.#typing = typing;
    for (const { channel } of this.#links.values()) put(channel, { typing });
  }

  /**
   * setDevices tells everyone, now and later, what is on here.
   *
   * @param {Devices} devices
   */
  setDevices(devices) {
    this.#devices = { mic: devices.mic, camera: devices.camera, screen: devices.screen === true };
    for (const { channel } of this.#links.values()) put(channel, this.#devices);
  }

  /**
   * setPaused tells a member whether our picture is left out for want of bandwidth.
   *
   * @param {string} member
   * @param {boolean} paused
   */
  setPaused(member, paused) {
    if (paused) this.#paused.add(member);
    else this.#paused.delete(member);
    for (const { channel, from } of this.#links.values()) if (from === member) put(channel, { paused });
  }

  /** close forgets every channel and what still waits. */
  close() {
    for (const link of [...this.#links.values()]) this.#detach(link);
    this.#members.clear();
    this.#kept.clear();
  }

  /** @param {Link} link */
  #detach({ channel, life }) {
    life.abort();
    this.#links.delete(channel);
  }

  /** The oldest that somebody has heard makes room; what nobody has heard does not. */
  #makeRoom() {
    if (this.#kept.size < maxKept) return true;
    const oldest = [...this.#kept.values()].find(({ heard }) => heard);
    return oldest !== undefined && this.#kept.delete(oldest.message.id);
  }

  /**
   * Gives a channel, in order, what its member has not heard.
   *
   * @param {Link} link
   */
  #flush({ channel, from, given }) {
    for (const { message, missing, heard } of this.#kept.values()) {
      if (missing.size === 0 && !heard) missing.add(from); // the first one who came
      if (!missing.has(from) || given.has(message.id)) continue;
      if (!put(channel, message)) return; // the rest when its buffer is empty, or over the next channel
      given.add(message.id);
    }
  }

  /** @param {Kept} kept */
  #drop({ message, missing, heard }) {
    if (missing.size === 0 && heard) this.#kept.delete(message.id);
  }

  /**
   * @param {Link} link
   * @param {unknown} data
   */
  #receive({ channel, from, given }, data) {
    const read = decodeChat(data);
    if (!read) return;
    if ('mic' in read) return this.emit('devices', { ...read, from });
    if ('paused' in read) return this.emit('paused', { ...read, from });
    if ('typing' in read) return this.emit('typing', { ...read, from });
    if ('heard' in read) {
      given.delete(read.heard);
      return this.#heard(read.heard, from);
    }
    put(channel, { heard: read.id });
    if (this.#seen.has(read.id)) return;
    this.#seen.add(read.id);
    if (this.#seen.size > maxSeen) this.#seen.delete(/** @type {string} */ (this.#seen.values().next().value));
    this.emit('message', { ...read, from });
  }

  /**
   * @param {string} id
   * @param {string} from
   */
  #heard(id, from) {
    const kept = this.#kept.get(id);
    if (!kept?.missing.delete(from)) return;
    const first = !kept.heard;
    kept.heard = true;
    this.#drop(kept);
    if (first) this.emit('sent', { id });
  }
}

/**
 * decodeChat reads what a peer sent, whoever wrote its client; null if it is not ours.
 *
 * @param {unknown} data
 * @returns {ChatMessage | Devices | {heard: string} | {typing: boolean} | {paused: boolean} | null}
 */
export function decodeChat(data) {
  if (typeof data !== 'string' || data.length > maxFrameCharacters) return null;
  let parsed;
  try {
    parsed = JSON.parse(data);
  } catch {
    return null;
  }
  const { id, text, at, heard, typing, mic, camera, screen, paused } = parsed ?? {};
  if (typeof mic === 'boolean' && typeof camera === 'boolean') return { mic, camera, screen: screen === true };
  if (typeof typing === 'boolean') return { typing };
  if (typeof paused === 'boolean') return { paused };
  if (isId(heard)) return { heard };
  if (!isId(id) || typeof text !== 'string') return null;
  if (text.trim() === '' || text.length > maxTextCharacters || !Number.isFinite(at)) return null;
  return { id, text, at };
}

/**
 * @param {unknown} value
 * @returns {value is string}
 */
const isId = (value) => typeof value === 'string' && value !== '' && value.length <= maxIdCharacters;

/**
 * @param {RTCDataChannel} channel
 * @param {NonNullable<ReturnType<typeof decodeChat>>} message
 * @returns {boolean} whether the channel took it
 */
function put(channel, message) {
  if (channel.readyState !== 'open') return false;
  try {
    channel.send(JSON.stringify(message));
    return true;
  } catch {
    return false; // its buffer is full, or it closed this moment
  }
}

/** 96 random bits: ids are told apart, never guessed at. */
function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
