// Camera, microphone and speaker in a call: the lists in the menu, and words for what is unplugged or does not start.

import { startChoices } from './choices.js';
import { byId, setText } from './dom.js';
import { onLanguage, t } from './i18n.js';
import { toast } from './live.js';
import { wordsOf } from './notice.js';

/**
 * @import { Media } from './media.js'
 * @import { Speaker } from './speaker.js'
 */

/**
 * startCallDevices wires the lists and tells what happens, until the signal aborts.
 *
 * @param {Media} media
 * @param {Speaker} speaker
 * @param {AbortSignal} signal
 */
export function startCallDevices(media, speaker, signal) {
  const owned = { signal };
  const problem = byId('call-media', HTMLElement);
  const render = () => {
    const words = wordsOf(media);
    problem.hidden = words === null;
    setText(problem, words ? `${words.title} ${words.text}` : '');
  };
  startChoices({ media, speaker, tell: toast, prefix: 'call-', signal });
  media.addEventListener('change', render, owned);
  onLanguage(render, signal);
  render();

  media.addEventListener(
    'gone',
    ({ detail: { kind, label, instead } }) => {
      const missed = media.wanted[kind === 'audio' ? 'mic' : 'camera'];
      if (instead) toast(t('media.gone.instead', { device: label, instead }));
      else toast(t(missed ? `media.gone.${kind}` : 'media.gone', { device: label }));
    },
    owned,
  );
  media.addEventListener('found', ({ detail: { label } }) => toast(t('media.found', { device: label })), owned);
  if (media.problem && media.track('audio')) toast(t('media.nocamera'));
  else if (media.problem && media.track('video')) toast(t('media.nomicrophone'));
}
