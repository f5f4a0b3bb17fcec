// Text between members over data channels, and whether their microphone and
// camera are on: {id, text, at} and {mic, camera, screen}, one JSON object a message.

import { Emitter } from './events.js';

/**
 * @typedef {{id: string, text: string, at: number}} ChatMessage  at: milliseconds since 1970, the sender's clock
 * @typedef {{mic: boolean, camera: boolean, screen?: boolean}} Devices  screen: it is shown in place of the camera
 */

/** The most characters (UTF-16 code units) of one message. */
export const maxTextCharacters = 4000;

const maxFrameCharacters = 32_768;
/** How many messages wait for somebody to read them. */
const maxPending = 100;
/** How many ids are remembered against a second delivery. */
const maxSeen = 1000;

/**
 * @extends {Emitter<{
 *   message: ChatMessage & {from: string}, devices: Devices & {from: string}, sent: {id: string},
 * }>}
 */
export class Chat extends Emitter {
  /** @type {Map<RTCDataChannel, {from: string, life: AbortController}>} */
  #channels = new Map();
  /** @type {ChatMessage[]} Written while nobody could read. */
  #pending = [];
  /** @type {Set<string>} */
  #seen = new Set();
  /** @type {Devices | null} */
  #devices = null;

  /**
   * attach makes a member's channel part of the conversation until it closes.
   *
   * @param {string} from  the member at its other end
   * @param {RTCDataChannel} channel
   */
  attach(from, channel) {
    const life = new AbortController();
    const { signal } = life;
    this.#channels.set(channel, { from, life });
    channel.addEventListener('open', () => this.#flush(channel), { signal });
    channel.addEventListener('message', ({ data }) => this.#receive(from, data), { signal });
    channel.addEventListener('close', () => this.detach(channel), { signal });
    if (channel.readyState === 'open') this.#flush(channel);
  }

  /** @param {RTCDataChannel} channel */
  detach(channel) {
    this.#channels.get(channel)?.life.abort();
    this.#channels.delete(channel);
  }

  /**
   * send gives the text to everyone whose channel is open, else keeps it for the
   * first one who comes. It returns null for an empty text, and where 100 already
   * wait.
   *
   * @param {string} text  cut at 4,000 characters
   * @returns {(ChatMessage & {sent: boolean}) | null}
   */
  send(text) {
    const message = { id: newId(), text: text.trim().slice(0, maxTextCharacters), at: Date.now() };
    if (message.text === '') return null;
    const sent = this.#broadcast(message);
    if (!sent && this.#pending.push(message) > maxPending) {
      this.#pending.pop();
      return null;
    }
    return { ...message, sent };
  }

  /**
   * setDevices tells everyone, now and later, what is on here.
   *
   * @param {Devices} devices
   */
  setDevices(devices) {
    this.#devices = { mic: devices.mic, camera: devices.camera, screen: devices.screen === true };
    this.#broadcast(this.#devices);
  }

  /** close forgets every channel and what still waits. */
  close() {
    for (const channel of [...this.#channels.keys()]) this.detach(channel);
    this.#pending = [];
  }

  /** @param {RTCDataChannel} channel */
  #flush(channel) {
    if (this.#devices) put(channel, this.#devices);
    const pending = this.#pending;
    this.#pending = pending.filter((message) => !put(channel, message));
    for (const message of pending) if (!this.#pending.includes(message)) this.emit('sent', { id: message.id });
  }

  /**
   * @param {ChatMessage | Devices} message
   * @returns {boolean} whether anyone got it
   */
  #broadcast(message) {
    return [...this.#channels.keys()].filter((channel) => put(channel, message)).length > 0;
  }

  /**
   * @param {string} from
   * @param {unknown} data
   */
  #receive(from, data) {
    const read = decodeChat(data);
    if (!read) return;
    if ('mic' in read) return this.emit('devices', { ...read, from });
    if (this.#seen.has(read.id)) return;
    this.#seen.add(read.id);
    if (this.#seen.size > maxSeen) this.#seen.delete(/** @type {string} */ (this.#seen.values().next().value));
    this.emit('message', { ...read, from });
  }
}

/**
 * decodeChat reads what a peer sent, whoever wrote its client; null if it is not ours.
 *
 * @param {unknown} data
 * @returns {ChatMessage | Devices | null}
 */
export function decodeChat(data) {
  if (typeof data !== 'string' || data.length > maxFrameCharacters) return null;
  let parsed;
  try {
    parsed = JSON.parse(data);
  } catch {
    return null;
  }
  const { id, text, at, mic, camera, screen } = parsed ?? {};
  if (typeof mic === 'boolean' && typeof camera === 'boolean') return { mic, camera, screen: screen === true };
  if (typeof id !== 'string' || id === '' || id.length > 64 || typeof text !== 'string') return null;
  if (text.trim() === '' || text.length > maxTextCharacters || !Number.isFinite(at)) return null;
  return { id, text, at };
}

/**
 * @param {RTCDataChannel} channel
 * @param {ChatMessage | Devices} message
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
