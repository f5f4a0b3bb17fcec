// This side's camera and microphone: asked for once, muted by track.enabled, kept
// from the start page into the call, stopped when the call is over.

import { Emitter } from '../sdk/events.js';
import { insecure, problemOf } from './problem.js';
import { recall, remember } from './remembered.js';

/**
 * @import { Kind } from '../sdk/peer.js'
 * @import { Problem } from './problem.js'
 *
 * @typedef {{mic: boolean, camera: boolean}} Wanted
 */

/**
 * Constraints of a kind; the remembered device is a wish, a chosen one a must.
 *
 * @param {Kind} kind
 * @param {string} [chosen]
 * @returns {MediaTrackConstraints}
 */
function constraints(kind, chosen) {
  const wished = recall(kind === 'audio' ? 'microphone' : 'camera');
  const deviceId = chosen ? { exact: chosen } : wished ? { ideal: wished } : undefined;
  return kind === 'audio'
    ? { deviceId, echoCancellation: true, noiseSuppression: true, autoGainControl: true }
    : { deviceId, width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30, max: 30 } };
}

/** @extends {Emitter<{change: null, track: {kind: Kind, track: MediaStreamTrack | null}, gone: {label: string}}>} */
export class Media extends Emitter {
  /** @type {Record<Kind, MediaStreamTrack | null>} */
  #tracks = { audio: null, video: null };
  /** @type {Wanted} */
  #wanted = { mic: true, camera: true };
  /** @type {Problem | null} */
  #problem = null;
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
    try {
      const names = /** @type {PermissionName[]} */ (['camera', 'microphone']);
      const all = await Promise.all(names.map((name) => navigator.permissions.query({ name })));
      return all.every(({ state }) => state === 'granted');
    } catch {
      return false; // a browser without these names asks when it must
    }
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
    if (missing.length === 0) return;
    this.#problem = null;
    if (!navigator.mediaDevices?.getUserMedia) {
      this.#problem = insecure;
      return;
    }
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
      // One missing or busy device must not cost the other.
      if (kinds.length === 1 || problemOf(error).reason === 'refused') return problemOf(error);
      const results = await Promise.allSettled(kinds.map((kind) => this.#request([kind])));
      const failed = results.find((result) => result.status === 'rejected');
      return failed ? problemOf(failed.reason) : null;
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
   * choose switches to a device. Phones open one camera at a time, so the old
   * track ends first.
   *
   * @param {Kind} kind
   * @param {string} deviceId
   */
  async choose(kind, deviceId) {
    remember(kind === 'audio' ? 'microphone' : 'camera', deviceId);
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
    this.#problem = null;
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
    const stream = await navigator.mediaDevices.getUserMedia(
      Object.fromEntries(kinds.map((kind) => [kind, constraints(kind, deviceId)])),
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
      track.addEventListener('ended', () => this.#unplugged(kind, track), { once: true }); // not by our stop()
    }
    if (old !== track) this.emit('track', { kind, track });
  }

  /**
   * @param {Kind} kind
   * @param {MediaStreamTrack} track
   */
  #unplugged(kind, track) {
    if (this.#tracks[kind] !== track) return;
    this.#put(kind, null);
    this.emit('gone', { label: track.label });
    this.emit('change', null);
  }
}
