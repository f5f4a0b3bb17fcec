// What is wrong with the camera and the microphone, on the start page: in words, with what to do.

import { byId, setText } from './dom.js';
import { onLanguage, t } from './i18n.js';

/**
 * @import { Media } from './media.js'
 * @import { Problem, Reason } from './problem.js'
 */

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
    const words = wordsOf(media);
    notice.hidden = words === null;
    if (!words) return;
    const { reason, one, title, text } = words;
    notice.dataset.problem = reason;
    retry.hidden = reason === 'insecure';
    setText(skip, t(one ? 'media.skip.one' : 'media.skip'));
    setText(byId('media-title', HTMLElement), title);
    setText(byId('media-text', HTMLElement), text);
  };
  retry.addEventListener('click', does.retry);
  skip.addEventListener('click', does.skip);
  media.addEventListener('change', render);
  onLanguage(render);
  render();
  return (skippable) => (skip.hidden = !skippable);
}

/**
 * wordsOf tells why something that is wanted is not there; null if all is.
 *
 * @param {Media} media
 * @returns {{reason: Reason, one: boolean, title: string, text: string} | null}  one: of camera and microphone only one is missing
 */
export function wordsOf(media) {
  const { problem, wanted } = media;
  const noCamera = wanted.camera && media.track('video') === null;
  const noMic = wanted.mic && media.track('audio') === null;
  if (!problem || !(noCamera || noMic)) return null;
  const { reason, detail } = problem;
  const one = noCamera !== noMic && reason !== 'insecure';
  const which = noCamera ? 'media.camera.title' : 'media.microphone.title';
  return {
    reason,
    one,
    title: t(one ? which : `media.${reason}.title`),
    text: one ? textOf(problem) : t(`media.${reason}.text`, { detail }),
  };
}

/**
 * textOf says why one device did not start, and what to do.
 *
 * @param {Problem} problem
 */
export function textOf({ reason, detail }) {
  return reason === 'insecure' ? t('media.insecure.text') : t(`media.${reason}.one`, { detail });
}
