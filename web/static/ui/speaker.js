// Where the others are heard: the chosen speaker as long as it is there, else the system's own.

import { Emitter } from '../sdk/events.js';
import { recall, remember } from './remembered.js';

/** Phones choose by themselves. */
export const canChooseSpeaker = 'setSinkId' in HTMLMediaElement.prototype;

/** The two notes of the sound that tells whether one hears anything, in hertz. */
const notes = [523.25, 659.25];
const noteSeconds = 0.35;

/** @extends {Emitter<{change: null}>} */
export class Speaker extends Emitter {
  /** @type {Set<HTMLMediaElement>} Elements that play the others. */
  #players = new Set();
  #chosen = recall('speaker');
  /** Of the speaker in use; "" is the system's own. */
  #current = '';
  /** @type {Promise<void> | null} */
  #testing = null;

  constructor() {
    super();
    navigator.mediaDevices?.addEventListener('devicechange', () => void this.follow());
  }

  /** The id of the speaker in use; "" is the system's own. */
  get current() {
    return this.#current;
  }

  /** @returns {Promise<MediaDeviceInfo[]>} those that can be chosen: none before the browser tells their names */
  async devices() {
    if (!canChooseSpeaker) return [];
    try {
      const all = await navigator.mediaDevices.enumerateDevices();
      return all.filter(({ kind, deviceId }) => kind === 'audiooutput' && deviceId !== '');
    } catch {
      return [];
    }
  }

  /** @param {string} id  "" is the system's own */
  async choose(id) {
    remember('speaker', id);
    this.#chosen = id;
    await this.follow();
  }

  /** follow turns to the chosen speaker if it is there now. Browsers tell which are when they give a device. */
  async follow() {
    const found = await this.devices();
    this.#current = found.some(({ deviceId }) => deviceId === this.#chosen) ? this.#chosen : '';
    await Promise.all([...this.#players].map((player) => this.#turn(player)));
    this.emit('change', null);
  }

  /** @param {HTMLMediaElement} player  plays the others from now on */
  add(player) {
    this.#players.add(player);
    void this.#turn(player);
  }

  /** @param {HTMLMediaElement} player */
  remove(player) {
    this.#players.delete(player);
  }

  /**
   * test plays two notes there.
   *
   * @returns {Promise<void>} when they are over
   */
  test() {
    this.#testing ??= this.#test().finally(() => (this.#testing = null));
    return this.#testing;
  }

  async #test() {
    const context = new AudioContext();
    const sound = context.createMediaStreamDestination();
    const player = new Audio();
    player.srcObject = sound.stream;
    this.#players.add(player);
    try {
      await this.#turn(player);
      await player.play();
      await playNotes(context, sound);
    } finally {
      this.#players.delete(player);
      player.srcObject = null;
      await context.close();
    }
  }

  /** @param {HTMLMediaElement} player */
  async #turn(player) {
    if (!canChooseSpeaker || player.sinkId === this.#current) return;
    try {
      await player.setSinkId(this.#current);
    } catch {
      // It went this moment: "devicechange" follows.
    }
  }
}

/**
 * playNotes resolves when the last note has sounded.
 *
 * @param {AudioContext} context
 * @param {AudioNode} to
 * @returns {Promise<void>}
 */
function playNotes(context, to) {
  return new Promise((resolve) => {
    notes.forEach((hertz, i) => {
      const from = context.currentTime + i * noteSeconds;
      const volume = new GainNode(context, { gain: 0 });
      volume.gain.setTargetAtTime(0.25, from, 0.02); // a note that starts or stops at once clicks
      volume.gain.setTargetAtTime(0, from + noteSeconds - 0.1, 0.03);
      volume.connect(to);
      const note = new OscillatorNode(context, { frequency: hertz });
      note.connect(volume);
      note.start(from);
      note.stop(from + noteSeconds);
      if (i === notes.length - 1) note.addEventListener('ended', () => resolve(), { once: true });
    });
  });
}
