// The buttons and keys of a call.

import { byId, press } from './dom.js';
import { onLanguage, t } from './i18n.js';
import { say, toast } from './live.js';
import { wordsOf } from './notice.js';
import { toggle } from './preview.js';
import { qualityKeys } from './quality.js';
import { canShare } from './screen.js';
import { startSelf } from './self.js';
import { startWindow } from './window.js';

/**
 * @import { Key } from './i18n.js'
 * @import { Media } from './media.js'
 * @import { Screen } from './screen.js'
 */

/**
 * startControls wires the buttons and m v s c h x f p q l ?, until the signal aborts.
 *
 * @param {{media: Media, screen: Screen, leave: () => void, toggleChat: () => void, signal: AbortSignal}} options
 */
export function startControls({ media, screen, leave, toggleChat, signal }) {
  const mic = byId('mic', HTMLButtonElement);
  const camera = byId('camera', HTMLButtonElement);
  const share = byId('screen', HTMLButtonElement);
  const keys = byId('keys', HTMLDialogElement);
  const self = byId('self', HTMLElement);
  const selfVideo = byId('self-video', HTMLVideoElement);
  share.hidden = byId('screen-key', HTMLElement).hidden = !canShare;

  const render = () => {
    const { on } = media;
    toggle(mic, on.mic, t(on.mic ? 'control.mute' : 'control.unmute'));
    toggle(camera, on.camera, t(on.camera ? 'control.camera.off' : 'control.camera.on'));
    const shown = screen.stream ?? media.stream;
    if (selfVideo.srcObject !== shown) selfVideo.srcObject = shown;
    selfVideo.classList.toggle('mirror', !screen.on);
    press(share, screen.on, t(screen.on ? 'control.screen.stop' : 'control.screen'));
    self.classList.toggle('no-picture', !on.camera && !screen.on);
    byId('self-muted', HTMLElement).hidden = on.mic;
  };

  // A device that was skipped or refused is asked for again; one that is there is only switched.
  const toggleMic = async () => {
    await media.setMic(!media.on.mic);
    if (media.wanted.mic) await media.open();
    tell('mic', media.on.mic ? 'say.unmuted' : 'say.muted');
  };
  const toggleCamera = async () => {
    await media.setCamera(!media.on.camera);
    if (media.wanted.camera) await media.open();
    tell('camera', media.on.camera ? 'say.camera.on' : 'say.camera.off');
  };
  /**
   * @param {'mic' | 'camera'} what
   * @param {Key} words
   */
  const tell = (what, words) => {
    const failed = media.wanted[what] && !media.on[what] && wordsOf(media);
    if (failed) toast(`${failed.title} ${failed.text}`);
    else say(t(words));
  };

  const toggleScreen = async () => {
    if (screen.on) screen.stop();
    else await screen.start();
  };
  let shared = false;
  const tellScreen = () => {
    if (screen.on !== shared) say(t(screen.on ? 'say.screen.on' : 'say.screen.off'));
    shared = screen.on;
    render();
  };

  /** @type {Record<string, () => void>} */
  const actions = {
    m: () => void toggleMic(),
    v: () => void toggleCamera(),
    ...(canShare && { s: () => void toggleScreen() }),
    c: toggleChat,
    ...startSelf(signal),
    ...startWindow(signal),
    ...qualityKeys,
    l: leave,
    '?': () => keys.showModal(),
  };
  mic.addEventListener('click', () => void toggleMic(), { signal });
  camera.addEventListener('click', () => void toggleCamera(), { signal });
  share.addEventListener('click', () => void toggleScreen(), { signal });
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
  screen.addEventListener('change', tellScreen, { signal });
  onLanguage(render, signal);
  render();
  signal.addEventListener('abort', () => {
    keys.close();
    selfVideo.srcObject = null;
  });
}
