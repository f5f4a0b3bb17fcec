// The lists of cameras, microphones and speakers, and the sound that tells whether one hears anything.

import { byId, h } from './dom.js';
import { onLanguage, t } from './i18n.js';
import { textOf } from './notice.js';
import { recall } from './remembered.js';
import { canChooseSpeaker } from './speaker.js';

/**
 * @import { Kind } from '../sdk/peer.js'
 * @import { Media } from './media.js'
 * @import { Speaker } from './speaker.js'
 */

/**
 * startChoices keeps the lists of a page up to date, until the signal aborts.
 *
 * @param {{media: Media, speaker: Speaker, tell: (text: string) => void, prefix?: string, signal?: AbortSignal}} options
 *   tell: says what went wrong. prefix: of the ids of the lists
 */
export function startChoices({ media, speaker, tell, prefix = '', signal }) {
  const camera = byId(`${prefix}camera-choice`, HTMLSelectElement);
  const microphone = byId(`${prefix}microphone-choice`, HTMLSelectElement);
  const output = byId(`${prefix}speaker-choice`, HTMLSelectElement);
  byId(`${prefix}speaker-row`, HTMLElement).hidden = !canChooseSpeaker || !navigator.mediaDevices;
  byId(`${prefix}device-row`, HTMLElement).hidden = !navigator.mediaDevices; // not a secure context: there is nothing to choose

  const render = async () => {
    const devices = await media.devices();
    /** @param {MediaDeviceKind} kind */
    const of = (kind) => devices.filter((device) => device.kind === kind);
    const used = (/** @type {'audio' | 'video'} */ kind) => media.track(kind)?.getSettings().deviceId;
    fill(camera, of('videoinput'), used('video') ?? recall('camera'), (number) => t('media.device.camera', { number }));
    fill(microphone, of('audioinput'), used('audio') ?? recall('microphone'), (number) => t('media.device.microphone', { number }));
    fill(output, withDefault(of('audiooutput')), speaker.current, (number) => t('media.device.speaker', { number }));
  };

  /**
   * @param {Kind} kind
   * @param {HTMLSelectElement} list
   */
  const choose = async (kind, list) => {
    const device = list.selectedOptions[0]?.text ?? '';
    const failed = await media.choose(kind, list.value);
    if (failed) tell(t('media.choice.failed', { device, reason: textOf(failed) }));
  };
  const owned = { signal };
  camera.addEventListener('change', () => void choose('video', camera), owned);
  microphone.addEventListener('change', () => void choose('audio', microphone), owned);
  output.addEventListener('change', () => void speaker.choose(output.value), owned);
  // Heard or not: that is the test.
  byId(`${prefix}speaker-test`, HTMLButtonElement).addEventListener('click', () => void speaker.test().catch(() => {}), owned);
  media.addEventListener('change', () => void render(), owned);
  speaker.addEventListener('change', () => void render(), owned);
  onLanguage(() => void render(), signal);
  void render();
}

/**
 * @typedef {{deviceId: string, label: string}} Choice
 *
 * @param {Choice[]} outputs
 * @returns {Choice[]} with the system's own speaker first, which only some browsers list
 */
function withDefault(outputs) {
  const known = outputs.some(({ deviceId }) => deviceId !== '');
  const own = { deviceId: '', label: t('media.device.default') };
  return known ? [own, ...outputs.filter(({ deviceId }) => deviceId !== 'default' && deviceId !== '')] : outputs;
}

/**
 * @param {HTMLSelectElement} select
 * @param {Choice[]} found
 * @param {string} current
 * @param {(number: number) => string} nameless
 */
function fill(select, found, current, nameless) {
  // Before permission browsers list devices without names.
  const known = found.filter(({ deviceId, label }) => deviceId !== '' || label !== '');
  const options = known.map((device, i) => h('option', { value: device.deviceId }, device.label || nameless(i + 1)));
  const none = h('option', { value: '' }, found.length > 0 ? t('media.device.unknown') : t('media.device.none'));
  const next = options.length > 0 ? options : [none];
  const same = [...select.options].map(({ value, text }) => value + text).join() === next.map(({ value, text }) => value + text).join();
  if (!same) select.replaceChildren(...next);
  if (known.some(({ deviceId }) => deviceId === current)) select.value = current;
  select.disabled = options.length === 0;
}
