// Your own picture and sound before the call, and the choice of devices.

import { byId, h, press, setText } from './dom.js';
import { onLanguage, t } from './i18n.js';
import { startMeter } from './meter.js';

/**
 * @import { Kind } from '../sdk/peer.js'
 * @import { Media } from './media.js'
 */

/**
 * startPreview keeps the start page's picture, buttons and lists up to date.
 *
 * @param {Media} media
 */
export function startPreview(media) {
  const video = byId('preview-video', HTMLVideoElement);
  const enable = byId('preview-enable', HTMLButtonElement);
  const mic = byId('preview-mic', HTMLButtonElement);
  const camera = byId('preview-camera', HTMLButtonElement);
  const choices = {
    audio: byId('microphone-choice', HTMLSelectElement),
    video: byId('camera-choice', HTMLSelectElement),
  };
  let meter = new AbortController();

  const render = () => {
    const { wanted, on } = media;
    const any = media.track('audio') ?? media.track('video');
    video.hidden = !on.camera;
    // An element that waits for the tracks of an empty stream holds up the page's load.
    const picture = on.camera ? media.stream : null;
    if (video.srcObject !== picture) video.srcObject = picture;
    enable.hidden = any !== null || media.asking || media.problem !== null || (!wanted.mic && !wanted.camera);
    setText(byId('preview-text', HTMLElement), previewText(media));
    toggle(mic, wanted.mic, wanted.mic ? t('preview.mute') : t('preview.unmute'));
    toggle(camera, wanted.camera, wanted.camera ? t('preview.camera.off') : t('preview.camera.on'));
    void fillChoices(media, choices);
  };

  enable.addEventListener('click', () => void media.open());
  mic.addEventListener('click', () => void media.setMic(!media.wanted.mic));
  camera.addEventListener('click', () => {
    const had = media.track('audio') ?? media.track('video');
    void media.setCamera(!media.wanted.camera).then(() => had && media.open());
  });
  for (const kind of /** @type {Kind[]} */ (['audio', 'video'])) {
    choices[kind].addEventListener('change', () => void media.choose(kind, choices[kind].value));
  }
  media.addEventListener('track', ({ detail: { kind, track } }) => {
    if (kind !== 'audio') return;
    meter.abort();
    meter = new AbortController();
    if (track) startMeter(track, byId('preview-level', HTMLElement), meter.signal);
  });
  media.addEventListener('change', render);
  onLanguage(render);
  render();
}

/**
 * toggle shows a button's state: pressed means switched off.
 *
 * @param {HTMLButtonElement} button
 * @param {boolean} on
 * @param {string} label  what pressing it does
 */
export function toggle(button, on, label) {
  press(button, !on, label);
}

/** @param {Media} media */
function previewText(media) {
  if (media.asking) return t('preview.asking');
  if (media.on.camera) return '';
  if (!media.track('audio') && !media.track('video') && media.wanted.camera) return media.problem ? t('preview.none') : t('preview.hint');
  return media.wanted.camera ? t('preview.none') : t('preview.off');
}

/**
 * @param {Media} media
 * @param {Record<Kind, HTMLSelectElement>} choices
 */
async function fillChoices(media, choices) {
  const devices = await media.devices();
  for (const kind of /** @type {Kind[]} */ (['audio', 'video'])) {
    const found = devices.filter((device) => device.kind === `${kind}input`);
    // Before permission browsers list devices without names.
    const known = found.filter(({ deviceId }) => deviceId !== '');
    const current = media.track(kind)?.getSettings().deviceId ?? '';
    const name = kind === 'audio' ? 'media.device.microphone' : 'media.device.camera';
    const options = known.map((device, i) => {
      const label = device.label || t(name, { number: i + 1 });
      return h('option', { value: device.deviceId, selected: device.deviceId === current }, label);
    });
    const none = h('option', { value: '' }, found.length > 0 ? t('media.device.unknown') : t('media.device.none'));
    const select = choices[kind];
    const next = options.length > 0 ? options : [none];
    const same = [...select.options].map(({ value, text }) => value + text).join() === next.map(({ value, text }) => value + text).join();
    if (!same) select.replaceChildren(...next);
    if (current) select.value = current;
    select.disabled = options.length === 0;
  }
}
