// What of this side's screen the others see, in place of the camera: another track on the same
// connection, so nothing is negotiated. Sound of the computer, where the browser offers it, goes
// with the voice.

import { Emitter } from '../sdk/events.js';

/**
 * @import { Kind } from '../sdk/peer.js'
 * @import { Media } from './media.js'
 */

/** Phones have no such thing. */
export const canShare = typeof navigator.mediaDevices?.getDisplayMedia === 'function';

/**
 * @extends {Emitter<{change: null, track: {kind: Kind, track: MediaStreamTrack | null}}>}
 *   track: what is to be sent of a kind, from the screen or from media.
 */
export class Screen extends Emitter {
  #media;
  #signal;
  /** @type {MediaStream | null} */
  #stream = null;
  /** @type {AudioContext | null} While the computer's sound is shared. */
  #mixer = null;
  #asking = false;

  /**
   * @param {Media} media
   * @param {AbortSignal} signal  ends the call, and the sharing
   */
  constructor(media, signal) {
    super();
    this.#media = media;
    this.#signal = signal;
    media.addEventListener('track', ({ detail: { kind, track } }) => this.#mediaChanged(kind, track), { signal });
    signal.addEventListener('abort', () => this.stop());
  }

  /** The screen is shared. */
  get on() {
    return this.#stream !== null;
  }

  /** What to show to the one who shares. */
  get stream() {
    return this.#stream;
  }

  /**
   * start has the person choose a screen, a window or a tab. It returns false where none was chosen.
   *
   * @returns {Promise<boolean>}
   */
  async start() {
    if (this.#asking || this.#stream) return this.on;
    this.#asking = true;
    try {
      const stream = await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { max: 30 } }, audio: true });
      const [video] = stream.getVideoTracks();
      if (this.#signal.aborted || !video) {
        end(stream);
        return false;
      }
      video.contentHint = 'detail'; // small letters matter more than movement
      video.addEventListener('ended', () => this.stop(), { once: true }); // the browser's own button
      this.#stream = stream;
      this.emit('track', { kind: 'video', track: video });
      if (stream.getAudioTracks().length > 0) this.#mix();
      this.emit('change', null);
      return true;
    } catch {
      return false; // not allowed, or thought better of
    } finally {
      this.#asking = false;
    }
  }

  /** stop shows the camera again. */
  stop() {
    if (!this.#stream) return;
    end(this.#stream);
    this.#stream = null;
    this.emit('track', { kind: 'video', track: this.#media.track('video') });
    if (this.#mixer) {
      void this.#mixer.close();
      this.#mixer = null;
      this.emit('track', { kind: 'audio', track: this.#media.track('audio') });
    }
    this.emit('change', null);
  }

  /**
   * @param {Kind} kind
   * @param {MediaStreamTrack | null} track
   */
  #mediaChanged(kind, track) {
    if (kind === 'video' && this.#stream) return;
    if (kind === 'audio' && this.#mixer) this.#mix();
    else this.emit('track', { kind, track });
  }

  /** The voice and the computer's sound in one track. Muting the voice mutes it in there. */
  #mix() {
    void this.#mixer?.close();
    const mixer = (this.#mixer = new AudioContext());
    const mixed = mixer.createMediaStreamDestination();
    for (const track of [this.#media.track('audio'), this.#stream?.getAudioTracks()[0]]) {
      if (track) mixer.createMediaStreamSource(new MediaStream([track])).connect(mixed);
    }
    this.emit('track', { kind: 'audio', track: mixed.stream.getAudioTracks()[0] ?? null });
  }
}

/** @param {MediaStream} stream */
function end(stream) {
  for (const track of stream.getTracks()) track.stop();
}
