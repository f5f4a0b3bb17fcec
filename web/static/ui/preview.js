// Your own picture and sound before the call.

import { startChoices } from './choices.js';
import { byId, press, setText } from './dom.js';
import { onLanguage, t } from './i18n.js';
import { startMeter } from './meter.js';

/**
 * @import { Media } from './media.js'
 * @import { Speaker } from './speaker.js'
 */

/**
 * startPreview keeps the start page's picture, buttons and lists up to date.
 *
 * @param {Media} media
 * @param {Speaker} speaker
 */
export function startPreview(media, speaker) {
  const video = byId('preview-video', HTMLVideoElement);
  const enable = byId('preview-enable', HTMLButtonElement);
  const mic = byId('preview-mic', HTMLButtonElement);
  const camera = byId('preview-camera', HTMLButtonElement);
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
  };

  enable.addEventListener('click', () => void media.open());
  // A muted microphone stays open, so that speaking on begins at once; a camera that is off is let go.
  mic.addEventListener('click', async () => {
    await media.setMic(!media.wanted.mic);
    if (media.wanted.mic) await media.open();
  });
  camera.addEventListener('click', async () => {
    if (media.wanted.camera) return media.release('video');
    await media.setCamera(true);
    await media.open();
  });
  media.addEventListener('track', ({ detail: { kind, track } }) => {
    if (kind !== 'audio') return;
    meter.abort();
    meter = new AbortController();
    if (track) startMeter(track, byId('preview-level', HTMLElement), meter.signal);
  });
  media.addEventListener('change', render);
  onLanguage(render);
  render();
  startChoices({ media, speaker, tell: (text) => {
    byId('home-said', HTMLElement).hidden = false;
    setText(byId('home-said', HTMLElement), text);
  } });
  media.addEventListener('track', () => void speaker.follow()); // with a device come the names of all
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
