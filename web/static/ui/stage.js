// The pictures of the others: one fills the stage, more share a grid.

import { byId, h, setText } from './dom.js';
import { onLanguage, t } from './i18n.js';
import { say } from './live.js';

/**
 * @import { Devices } from '../sdk/chat.js'
 * @import { Member } from '../sdk/message.js'
 * @import { Speaker } from './speaker.js'
 *
 * @typedef {{
 *   member: Member, stream: MediaStream, box: HTMLElement, video: HTMLVideoElement,
 *   devices: Devices | null, weak: boolean, paused: boolean, render: () => void,
 * }} Tile
 */

/** Stage owns the tiles of one call. Tiles belong to streams: a member who comes back brings a new one. */
export class Stage {
  #root = byId('tiles', HTMLElement);
  /** @type {Map<MediaStream, Tile>} */
  #tiles = new Map();
  #speaker;
  #signal;
  #onSilent;

  /**
   * @param {Speaker} speaker  where the others are heard
   * @param {AbortSignal} signal  ends the call
   * @param {() => void} onSilent  the browser wants a gesture before it plays sound
   */
  constructor(speaker, signal, onSilent) {
    this.#speaker = speaker;
    this.#signal = signal;
    this.#onSilent = onSilent;
    signal.addEventListener('abort', () => {
      for (const stream of [...this.#tiles.keys()]) this.remove(stream);
    });
    onLanguage(() => this.#renderAll(), signal);
    document.addEventListener('pointerdown', () => this.#playAll(), { signal });
  }

  /**
   * @param {Member} member
   * @param {MediaStream} stream
   */
  add(member, stream) {
    if (this.#tiles.has(stream)) return;
    const video = h('video', { autoplay: true, playsinline: true });
    const initial = h('span', { class: 'initial', 'aria-hidden': 'true' });
    const facts = h('div', { class: 'facts' });
    const box = h('div', { class: 'tile' }, initial, video, facts);
    /** @type {Tile} */
    const tile = { member, stream, box, video, devices: null, weak: false, paused: false, render: () => {} };
    tile.render = () => {
      const name = tile.member.name || t('call.someone.short');
      const shared = tile.devices?.screen === true;
      const picture = !tile.paused && (shared || tile.devices?.camera !== false) && stream.getVideoTracks().some((track) => !track.muted);
      box.classList.toggle('no-picture', !picture);
      box.classList.toggle('screen', shared);
      video.setAttribute('aria-label', name);
      setText(initial, [...name][0]?.toLocaleUpperCase() ?? '');
      const host = tile.member.host ? t('remote.host') : '';
      const muted = tile.devices?.mic === false ? t('remote.muted', { name }) : '';
      const off = tile.devices?.camera === false && !shared ? t('remote.camera.off') : '';
      const screen = shared ? t('remote.screen', { name }) : '';
      const weak = tile.weak ? t('quality.weak', { name }) : '';
      const paused = tile.paused ? t('quality.theirs.paused', { name }) : '';
      facts.replaceChildren(
        h('span', { class: 'fact who' }, name),
        ...[weak, paused, host, screen, muted, off].filter(Boolean).map((text) => h('span', { class: 'fact' }, text)),
      );
    };
    this.#tiles.set(stream, tile);
    this.#speaker.add(video);
    video.srcObject = stream;
    for (const track of stream.getTracks()) this.watch(stream, track);
    this.#root.append(box);
    this.#renderAll();
    this.#play(tile);
  }

  /**
   * watch redraws when a track starts or stops to carry anything.
   *
   * @param {MediaStream} stream
   * @param {MediaStreamTrack} track
   */
  watch(stream, track) {
    const render = () => this.#tiles.get(stream)?.render();
    track.addEventListener('mute', render, { signal: this.#signal });
    track.addEventListener('unmute', render, { signal: this.#signal });
    render();
  }

  /** @param {MediaStream} stream */
  remove(stream) {
    const tile = this.#tiles.get(stream);
    if (!tile) return;
    this.#tiles.delete(stream);
    this.#speaker.remove(tile.video);
    tile.video.srcObject = null;
    tile.box.remove();
    this.#renderAll();
  }

  /** @param {Member} member  as the server describes it now */
  update(member) {
    for (const tile of this.#tiles.values()) {
      if (tile.member.id !== member.id) continue;
      tile.member = member;
      tile.render();
    }
  }

  /**
   * @param {Member} member
   * @param {Devices} devices
   */
  setDevices(member, devices) {
    for (const tile of this.#tiles.values()) {
      if (tile.member.id !== member.id) continue;
      tile.devices = devices;
      tile.render();
    }
  }

  /**
   * setWeak says that little or nothing comes from a member, in place of a picture that just stands.
   *
   * @param {Member} member
   * @param {boolean} weak
   */
  setWeak(member, weak) {
    for (const tile of this.#tiles.values()) {
      if (tile.member.id !== member.id || tile.weak === weak) continue;
      tile.weak = weak;
      tile.box.classList.toggle('weak', weak);
      tile.render();
      if (weak) say(t('quality.weak', { name: member.name || t('call.someone.short') }));
    }
  }

  /**
   * setPaused says that a member's picture is left out for want of bandwidth.
   *
   * @param {Member} member
   * @param {boolean} paused
   */
  setPaused(member, paused) {
    for (const tile of this.#tiles.values()) {
      if (tile.member.id !== member.id) continue;
      tile.paused = paused;
      tile.render();
    }
  }

  #renderAll() {
    this.#root.dataset.count = String(Math.min(this.#tiles.size, 5));
    [...this.#tiles.values()].forEach((tile, i) => {
      if (i === 0) tile.video.id = 'remote-video';
      else tile.video.removeAttribute('id');
      tile.render();
    });
  }

  #playAll() {
    for (const tile of this.#tiles.values()) if (tile.video.paused) this.#play(tile);
  }

  /** @param {Tile} tile */
  #play(tile) {
    tile.video.play().catch((error) => {
      if (error instanceof DOMException && error.name === 'NotAllowedError') this.#onSilent();
    });
  }
}
