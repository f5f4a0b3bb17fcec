// What the call page says in each state. Pure: a state in, words out.

import { t } from './i18n.js';

/**
 * @import { Path } from '../sdk/stats.js'
 *
 * @typedef {'joining' | 'knocking' | 'waiting' | 'connecting' | 'connected' | 'reconnecting' | 'left' | 'full' | 'key' | 'locked' | 'refused' | 'ended' | 'error'} ViewState
 * @typedef {{
 *   state: ViewState, seconds: number,
 *   names: string[],
 *   reason: string,
 *   failure: {code: string, message: string} | null,
 *   path: Path | null, lossPercent: number, tried: boolean, away: string,
 * }} View
 *   seconds: in this state. names: of the others; of the one who left. reason: of a
 *   leave. failure: the last one of signaling. tried: a key. away: the name of one whose connection is lost.
 * @typedef {{
 *   title: string, text: string, invite: boolean, key: boolean, knock: boolean, retry: boolean, back: boolean, test: boolean,
 * }} Scene
 */

/** After this many seconds of connecting the page says why it may take long. */
const slowSeconds = 12;
/** A share of lost packets that people hear and see. */
const weakPercent = 8;

/** @param {View} view */
export function statusText(view) {
  const name = nameOf(view.names);
  switch (view.state) {
    case 'joining':
      return t('call.joining');
    case 'waiting':
      return t('call.waiting');
    case 'connecting':
      return t('call.connecting', { name });
    case 'connected':
      return name;
    case 'reconnecting':
      return t('call.reconnecting', { seconds: view.seconds });
    case 'left':
      return t('call.leftby', { name });
    case 'knocking':
      return t('call.knocking', { seconds: view.seconds });
    case 'full':
      return t('scene.full.title');
    case 'key':
      return t(view.tried ? 'scene.key.wrong.title' : 'scene.key.title');
    case 'locked':
      return t('scene.locked.title');
    case 'refused':
      return t('scene.refused.title');
    case 'ended':
      return endedTexts(view).title;
    case 'error':
      return errorTexts(view).title;
  }
}

/**
 * pathText is "direct · 23 ms" or "relayed over UDP · 48 ms".
 *
 * @param {Path} path
 */
export function pathText({ path, protocol, rttMs }) {
  const values = { protocol: protocol.toUpperCase(), ms: rttMs ?? 0 };
  return rttMs === null ? t(`path.${path}.short`, values) : t(`path.${path}`, values);
}

/** @param {View} view */
export const isWeak = (view) => view.state === 'connected' && view.lossPercent >= weakPercent;

/**
 * sceneOf is the card in the middle of the page.
 *
 * @param {View} view
 * @returns {Scene}
 */
export function sceneOf(view) {
  const name = nameOf(view.names);
  const scene = { title: '', text: '', invite: false, key: false, knock: false, retry: false, back: false, test: false };
  switch (view.state) {
    case 'joining':
      return { ...scene, title: t('scene.joining.title'), text: joiningText(view) };
    case 'waiting':
      return { ...scene, title: t('scene.waiting.title'), text: t('scene.waiting.text'), invite: true };
    case 'connecting': {
      const slow = view.seconds >= slowSeconds;
      const text = t(slow ? 'scene.connecting.slow' : 'scene.connecting.text');
      return { ...scene, title: t('scene.connecting.title', { name }), text, test: slow };
    }
    case 'connected':
      return scene;
    case 'reconnecting':
      return { ...scene, title: t('scene.reconnecting.title'), text: view.away ? t('scene.reconnecting.theirs', { name: view.away }) : t('scene.reconnecting.text') };
    case 'left': {
      if (view.reason === 'kicked') return { ...scene, title: t('scene.kicked.title', { name }), text: t('scene.kicked.text'), invite: true };
      const lost = view.reason !== '' && view.reason !== 'left';
      const title = t(lost ? 'scene.lost.title' : 'scene.left.title', { name });
      return { ...scene, title, text: t(lost ? 'scene.lost.text' : 'scene.left.text'), invite: true };
    }
    case 'full':
      return { ...scene, title: t('scene.full.title'), text: t('scene.full.text'), retry: true, back: true };
    case 'key':
      return { ...scene, title: statusText(view), text: t(view.tried ? 'scene.key.wrong.text' : 'scene.key.text'), key: true, back: true };
    case 'locked':
      return { ...scene, title: t('scene.locked.title'), text: t('scene.locked.text'), knock: true, back: true };
    case 'knocking':
      return { ...scene, title: t('scene.knocking.title'), text: t('scene.knocking.text'), back: true };
    case 'refused':
      return { ...scene, title: t('scene.refused.title'), text: t('scene.refused.text'), knock: true, back: true };
    case 'ended':
      return { ...scene, ...endedTexts(view), back: true };
    case 'error':
      return { ...scene, ...errorTexts(view), retry: true, back: true, test: view.failure?.code === 'unreachable' };
  }
}

/**
 * nameOf names one, counts more.
 *
 * @param {string[]} names
 */
export function nameOf(names) {
  return names.length > 1 ? t('call.many', { count: names.length }) : names[0] || t('call.someone');
}

/** @param {View} view */
function joiningText({ failure, seconds }) {
  if (failure?.code === 'capacity') return t('scene.joining.busy');
  return failure && seconds > 0 ? t('scene.joining.retry', { seconds }) : t('scene.joining.text');
}

/**
 * Who is sent away, or has another page of this call, does not come back by itself; who lost the
 * server may try again.
 *
 * @param {View} view
 */
function endedTexts({ failure }) {
  switch (failure?.code) {
    case 'kicked':
    case 'ended':
    case 'replaced':
      return { title: t(`scene.ended.${failure.code}.title`), text: t(`scene.ended.${failure.code}.text`), retry: false };
    default: {
      const message = failure?.message;
      return { title: t('scene.ended.title'), text: message ? t('scene.ended.server', { message }) : t('scene.ended.text'), retry: true };
    }
  }
}

/** @param {View} view */
function errorTexts({ failure }) {
  switch (failure?.code) {
    case 'unreachable':
    case undefined:
      return { title: t('scene.error.title'), text: t('scene.error.text') };
    case 'capacity':
      return { title: t('scene.error.capacity.title'), text: t('scene.error.capacity.text') };
    case 'unavailable':
      return { title: t('scene.error.drain.title'), text: t('scene.error.drain.text') };
    case 'unauthenticated':
      return { title: t('scene.error.unauthenticated.title'), text: t('scene.error.unauthenticated.text') };
    case 'forbidden':
      return { title: t('scene.error.forbidden.title'), text: t('scene.error.forbidden.text', { message: failure.message }) };
    case 'unsupported':
      return { title: t('scene.error.unsupported.title'), text: t('scene.error.unsupported.text') };
    default:
      return { title: t('scene.error.refused.title'), text: t('scene.error.refused.text', { message: failure?.message ?? '' }) };
  }
}
