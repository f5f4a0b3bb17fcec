// What is wrong with the camera and the microphone, on the start page: in words, with what to do.

import { byId, setText } from './dom.js';
import { onLanguage, t } from './i18n.js';

/** @import { Media } from './media.js' */

/**
 * startNotice keeps the notice up to date; it returns what shows the button that goes on without.
 *
 * @param {Media} media
 * @param {{retry: () => void, skip: () => void}} does  what its buttons do
 * @returns {(skippable: boolean) => void}
 */
export function startNotice(media, does) {
  const notice = byId('media-notice', HTMLElement);
  const retry = byId('media-retry', HTMLButtonElement);
  const skip = byId('media-skip', HTMLButtonElement);

  const render = () => {
    const { problem, wanted } = media;
    const noCamera = wanted.camera && media.track('video') === null;
    const noMic = wanted.mic && media.track('audio') === null;
    notice.hidden = problem === null || !(noCamera || noMic);
    if (!problem || notice.hidden) return;
    notice.dataset.problem = problem.reason;
    const { reason, detail } = problem;
    const one = noCamera !== noMic && reason !== 'insecure';
    retry.hidden = reason === 'insecure';
    setText(skip, t(one ? 'media.skip.one' : 'media.skip'));
    const which = noCamera ? 'media.camera.title' : 'media.microphone.title';
    setText(byId('media-title', HTMLElement), t(one ? which : `media.${reason}.title`));
    setText(byId('media-text', HTMLElement), t(one ? `media.${reason}.one` : `media.${reason}.text`, { detail }));
  };
  retry.addEventListener('click', does.retry);
  skip.addEventListener('click', does.skip);
  media.addEventListener('change', render);
  onLanguage(render);
  render();
  return (skippable) => (skip.hidden = !skippable);
}
