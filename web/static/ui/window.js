// Where the call is seen: in the page, over the whole screen, or in a little window of its own.

import { byId, press } from './dom.js';
import { onLanguage, t } from './i18n.js';

/**
 * startWindow wires the two buttons, and a double click on the picture, until the signal aborts. It returns what the keys f
 * and p do, where the browser can.
 *
 * @param {AbortSignal} signal
 * @returns {Record<string, () => void>}
 */
export function startWindow(signal) {
  const stage = byId('call', HTMLElement);
  const full = byId('full', HTMLButtonElement);
  const little = byId('little', HTMLButtonElement);
  full.hidden = byId('full-key', HTMLElement).hidden = !document.fullscreenEnabled;
  little.hidden = byId('little-key', HTMLElement).hidden = !document.pictureInPictureEnabled;

  const render = () => {
    const isFull = document.fullscreenElement !== null;
    const isLittle = document.pictureInPictureElement !== null;
    press(full, isFull, t(isFull ? 'control.full.end' : 'control.full'));
    press(little, isLittle, t(isLittle ? 'control.little.end' : 'control.little'));
  };
  const toggleFull = () => void quietly(document.fullscreenElement ? document.exitFullscreen() : stage.requestFullscreen());
  const toggleLittle = () => {
    const video = document.getElementById('remote-video');
    if (document.pictureInPictureElement) void quietly(document.exitPictureInPicture());
    else if (video instanceof HTMLVideoElement && video.readyState > 0) void quietly(video.requestPictureInPicture());
  };
  const owned = { signal };
  full.addEventListener('click', toggleFull, owned);
  little.addEventListener('click', toggleLittle, owned);
  byId('tiles', HTMLElement).addEventListener('dblclick', () => document.fullscreenEnabled && toggleFull(), owned);
  document.addEventListener('fullscreenchange', render, owned);
  // These come to the video, and bubble.
  document.addEventListener('enterpictureinpicture', render, owned);
  document.addEventListener('leavepictureinpicture', render, owned);
  onLanguage(render, signal);
  render();
  signal.addEventListener('abort', () => {
    if (document.fullscreenElement) void quietly(document.exitFullscreen());
    if (document.pictureInPictureElement) void quietly(document.exitPictureInPicture());
  });
  return { ...(!full.hidden && { f: toggleFull }), ...(!little.hidden && { p: toggleLittle }) };
}

/** The person or the browser may not want it: then all stays as it is. @param {Promise<unknown>} wish */
const quietly = (wish) => wish.catch(() => {});
