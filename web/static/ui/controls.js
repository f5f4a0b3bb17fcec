// The buttons and keys of a call.

import { byId } from './dom.js';
import { onLanguage, t } from './i18n.js';
import { say } from './live.js';
import { toggle } from './preview.js';

/**
 * @import { Media } from './media.js'
 */

/**
 * startControls wires the buttons and m v c l ?, until the signal aborts.
 *
 * @param {{media: Media, leave: () => void, toggleChat: () => void, signal: AbortSignal}} options
 */
export function startControls({ media, leave, toggleChat, signal }) {
  const mic = byId('mic', HTMLButtonElement);
  const camera = byId('camera', HTMLButtonElement);
  const keys = byId('keys', HTMLDialogElement);
  const self = byId('self', HTMLElement);
  const selfVideo = byId('self-video', HTMLVideoElement);
  selfVideo.srcObject = media.stream;

  const render = () => {
    const { on } = media;
    toggle(mic, on.mic, t(on.mic ? 'control.mute' : 'control.unmute'));
    toggle(camera, on.camera, t(on.camera ? 'control.camera.off' : 'control.camera.on'));
    self.classList.toggle('no-picture', !on.camera);
    byId('self-muted', HTMLElement).hidden = on.mic;
  };

  // A device that was skipped or refused is asked for again; one that is there is only switched.
  const toggleMic = async () => {
    await media.setMic(!media.on.mic);
    if (media.wanted.mic) await media.open();
    say(t(media.on.mic ? 'say.unmuted' : 'say.muted'));
  };
  const toggleCamera = async () => {
    await media.setCamera(!media.on.camera);
    if (media.wanted.camera) await media.open();
    say(t(media.on.camera ? 'say.camera.on' : 'say.camera.off'));
  };

  /** @type {Record<string, () => void>} */
  const actions = {
    m: () => void toggleMic(),
    v: () => void toggleCamera(),
    c: toggleChat,
    l: leave,
    '?': () => keys.showModal(),
  };
  mic.addEventListener('click', () => void toggleMic(), { signal });
  camera.addEventListener('click', () => void toggleCamera(), { signal });
  byId('leave', HTMLButtonElement).addEventListener('click', leave, { signal });
  byId('help', HTMLButtonElement).addEventListener('click', () => keys.showModal(), { signal });
  document.addEventListener(
    'keydown',
    (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.isComposing || keys.open) return;
      if (event.target instanceof Element && event.target.closest('input, textarea, select')) return;
      const action = actions[event.key.toLowerCase()];
      if (!action) return;
      event.preventDefault();
      action();
    },
    { signal },
  );
  media.addEventListener('change', render, { signal });
  onLanguage(render, signal);
  render();
  signal.addEventListener('abort', () => {
    keys.close();
    selfVideo.srcObject = null;
  });
}
