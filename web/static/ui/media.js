// This side's camera and microphone: asked for once, muted by track.enabled, kept
// from the start page into the call, stopped when the call is over.

import { Emitter } from '../sdk/events.js';
import { constraints, permitted } from './devices.js';
import { insecure, isRefusal, problemOf, stopped } from './problem.js';
import { remember } from './remembered.js';

/**
 * @import { Kind } from '../sdk/peer.js'
 * @import { Problem } from './problem.js'
 *
 * @typedef {{mic: boolean, camera: boolean}} Wanted
 * @typedef {{kind: Kind, label: string, instead: string}} Gone
 *   What was unplugged, and the device that has taken its place; "" where none has.
 */

/** Without a secure context there is nothing to ask. */
const atFirst = navigator.mediaDevices ? null : insecure;

/** @extends {Emitter<{change: null, track: {kind: Kind, track: MediaStreamTrack | null}, gone: Gone, found: {label: string}}>} */
export class Media extends Emitter {
  /** @type {Record<Kind, MediaStreamTrack | null>} */
  #tracks = { audio: null, video: null };
  /** @type {Wanted} */
  #wanted = { mic: true, camera: true };
  /** @type {Problem | null} */
  #problem = atFirst;
  /** @type {Promise<void> | null} */
  #opening = null;
  /** Counts stop(), so that a camera granted after it is let go at once. */
  #round = 0;
  /** Counts requests: of two choices the later one counts. @type {Record<Kind, number>} */
  #turn = { audio: 0, video: 0 };

  /** The stream that previews show; its tracks come and go. */
  stream = new MediaStream();

  constructor() {
    super();
    navigator.mediaDevices?.addEventListener('devicechange', () => void this.#changed());
  }

  get problem() {
    return this.#problem;
  }

  /** The browser is asking the person. */
  get asking() {
    return this.#opening !== null;
  }

  /** @param {Kind} kind */
  track(kind) {
    return this.#tracks[kind];
  }

  /** What is wanted on; before the first permission, what will be asked for. */
  get wanted() {
    return { ...this.#wanted };
  }

  /** What really is on. */
  get on() {
    return { mic: this.#wanted.mic && this.#tracks.audio !== null, camera: this.#wanted.camera && this.#tracks.video !== null };
  }

  /** granted tells whether opening will not ask. @returns {Promise<boolean>} */
  async granted() {
    return (await permitted(['audio', 'video'])).length === 2;
  }

  /**
   * open starts what is wanted and not there yet. A problem of one kind leaves the
   * other. Who calls while the browser is asking waits for the same answer.
   *
   * @returns {Promise<void>}
   */
  open() {
    if (this.#opening) return this.#opening;
    const opening = this.#open().finally(() => {
      if (this.#opening === opening) this.#opening = null;
      this.emit('change', null);
    });
    this.#opening = opening;
    this.emit('change', null);
    return opening;
  }

  async #open() {
    const missing = this.#missing();
    this.#problem = atFirst;
    if (missing.length === 0 || this.#problem) return;
    const round = this.#round;
    const problem = await this.#requestAll(missing);
    if (round === this.#round) this.#problem = problem;
  }

  /** @returns {Kind[]} what is wanted and not there */
  #missing() {
    return [...(this.#wanted.mic && !this.#tracks.audio ? [/** @type {Kind} */ ('audio')] : []), ...(this.#wanted.camera && !this.#tracks.video ? [/** @type {Kind} */ ('video')] : [])];
  }

  /**
   * @param {Kind[]} kinds
   * @returns {Promise<Problem | null>}
   */
  async #requestAll(kinds) {
    try {
      await this.#request(kinds);
      return null;
    } catch (error) {
      const problem = problemOf(error);
      if (kinds.length === 1) return problem;
      // One device that is missing, busy or blocked must not cost the other; but nobody is asked twice.
      const each = isRefusal(problem) ? await permitted(kinds) : kinds;
      const results = await Promise.allSettled(each.map((kind) => this.#request([kind])));
      const failed = results.find((result) => result.status === 'rejected');
      if (failed) return problemOf(failed.reason);
      return each.length < kinds.length ? problem : null;
    }
  }

  /** @param {boolean} on */
  async setMic(on) {
    await this.#want('audio', { mic: on });
  }

  /** @param {boolean} on */
  async setCamera(on) {
    await this.#want('video', { camera: on });
  }

  /**
   * release switches a kind off and lets its device go: the camera's light goes out.
   *
   * @param {Kind} kind
   */
  release(kind) {
    this.#wanted[kind === 'audio' ? 'mic' : 'camera'] = false;
    this.#put(kind, null);
    this.emit('change', null);
  }

  /**
   * choose switches to a device. Phones open one camera at a time, so the old
   * track ends first. One that is off stays so. Where the device does not start,
   * the one before comes back.
   *
   * @param {Kind} kind
   * @param {string} deviceId
   * @returns {Promise<Problem | null>} why it did not start
   */
  async choose(kind, deviceId) {
    const note = () => remember(kind === 'audio' ? 'microphone' : 'camera', deviceId);
    const before = this.#tracks[kind]?.getSettings().deviceId;
    if (!this.#tracks[kind] && !this.#wanted[kind === 'audio' ? 'mic' : 'camera']) {
      note();
      return null;
    }
    this.#put(kind, null);
    this.#problem = null;
    try {
      await this.#request([kind], deviceId);
      note();
      return null;
    } catch (error) {
      const problem = problemOf(error);
      await this.#request([kind], before).catch(() => (this.#problem = problem));
      return problem;
    } finally {
      this.emit('change', null);
    }
  }

  /** @returns {Promise<MediaDeviceInfo[]>} */
  async devices() {
    try {
      return (await navigator.mediaDevices?.enumerateDevices()) ?? [];
    } catch {
      return [];
    }
  }

  /** stop ends every track; open starts again. */
  stop() {
    this.#round++;
    this.#opening = null;
    this.#put('audio', null);
    this.#put('video', null);
    this.#wanted = { mic: true, camera: true };
    this.#problem = atFirst;
    this.emit('change', null);
  }

  /**
   * @param {Kind} kind
   * @param {Partial<Wanted>} change
   */
  async #want(kind, change) {
    Object.assign(this.#wanted, change);
    const track = this.#tracks[kind];
    if (track) track.enabled = kind === 'audio' ? this.#wanted.mic : this.#wanted.camera;
    this.emit('change', null);
  }

  /**
   * @param {Kind[]} kinds
   * @param {string} [deviceId]
   */
  async #request(kinds, deviceId) {
    const round = this.#round;
    const turns = new Map(kinds.map((kind) => [kind, ++this.#turn[kind]]));
    const there = await this.devices();
    const stream = await navigator.mediaDevices.getUserMedia(
      Object.fromEntries(kinds.map((kind) => [kind, constraints(kind, there, deviceId)])),
    );
    for (const track of stream.getTracks()) {
      const kind = track.kind === 'audio' ? 'audio' : 'video';
      if (round === this.#round && turns.get(kind) === this.#turn[kind]) this.#put(kind, track);
      else track.stop();
    }
  }

  /**
   * @param {Kind} kind
   * @param {MediaStreamTrack | null} track
   */
  #put(kind, track) {
    const old = this.#tracks[kind];
    if (old) {
      old.stop();
      this.stream.removeTrack(old);
    }
    this.#tracks[kind] = track;
    if (track) {
      track.enabled = kind === 'audio' ? this.#wanted.mic : this.#wanted.camera;
      this.stream.addTrack(track);
      track.addEventListener('ended', () => void this.#unplugged(kind, track), { once: true }); // not by our stop()
    }
    if (old !== track) this.emit('track', { kind, track });
  }

  /**
   * #unplugged: the device is gone, or was taken from the page.
   *
   * @param {Kind} kind
   * @param {MediaStreamTrack} track
   */
  async #unplugged(kind, track) {
    if (this.#tracks[kind] !== track) return;
    this.#put(kind, null);
    this.#problem = stopped;
    this.emit('change', null);
    await this.#replace();
    this.emit('gone', { kind, label: track.label, instead: this.#tracks[kind]?.label ?? '' });
  }

  /** #changed: a device was plugged in or out. What is new takes the place of what is missing. */
  async #changed() {
    this.emit('change', null);
    if (this.#problem?.reason !== 'missing') return;
    for (const kind of await this.#replace()) this.emit('found', { label: this.#tracks[kind]?.label ?? '' });
  }

  /**
   * #replace opens what is missing, unless that needs a question in the middle of a call.
   *
   * @returns {Promise<Kind[]>} what is there now
   */
  async #replace() {
    const round = this.#round;
    const missing = this.#missing();
    const free = await permitted(missing);
    if (free.length < missing.length || round !== this.#round) return [];
    await this.open();
    return missing.filter((kind) => this.#tracks[kind]);
  }
}
