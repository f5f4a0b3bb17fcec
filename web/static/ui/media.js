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
 */

/** Without a secure context there is nothing to ask. */
const atFirst = navigator.mediaDevices ? null : insecure;

/** @extends {Emitter<{change: null, track: {kind: Kind, track: MediaStreamTrack | null}, gone: {label: string}}>} */
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

  /** The stream that previews show; its tracks come and go. */
  stream = new MediaStream();

  constructor() {
    super();
    navigator.mediaDevices?.addEventListener('devicechange', () => this.emit('change', null));
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
    const missing = /** @type {Kind[]} */ ([
      ...(this.#wanted.mic && !this.#tracks.audio ? ['audio'] : []),
      ...(this.#wanted.camera && !this.#tracks.video ? ['video'] : []),
    ]);
    this.#problem = atFirst;
    if (missing.length === 0 || this.#problem) return;
    const round = this.#round;
    const problem = await this.#requestAll(missing);
    if (round === this.#round) this.#problem = problem;
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
   * track ends first. One that is off stays so.
   *
   * @param {Kind} kind
   * @param {string} deviceId
   */
  async choose(kind, deviceId) {
    remember(kind === 'audio' ? 'microphone' : 'camera', deviceId);
    if (!this.#tracks[kind] && !this.#wanted[kind === 'audio' ? 'mic' : 'camera']) return;
    this.#put(kind, null);
    try {
      await this.#request([kind], deviceId);
      this.#problem = null;
    } catch (error) {
      this.#problem = problemOf(error);
    }
    this.emit('change', null);
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
    const there = await this.devices();
    const stream = await navigator.mediaDevices.getUserMedia(
      Object.fromEntries(kinds.map((kind) => [kind, constraints(kind, there, deviceId)])),
    );
    for (const track of stream.getTracks()) {
      if (round === this.#round) this.#put(track.kind === 'audio' ? 'audio' : 'video', track);
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
    this.emit('gone', { label: track.label });
    this.emit('change', null);
    const round = this.#round;
    const [without] = await permitted([kind]);
    // Another device takes its place, unless that needs a question in the middle of a call.
    if (without && round === this.#round) await this.open();
  }
}
