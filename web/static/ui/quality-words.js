// The words and numbers of the connection panel in the reader's language.

import { language, t } from './i18n.js';

/**
 * @import { Path, Picture } from '../sdk/stats.js'
 * @import { Sample } from './quality.js'
 */

/** @param {number} value @param {number} [digits]  at most */
const number = (value, digits = 0) => new Intl.NumberFormat(language(), { maximumFractionDigits: digits }).format(value);

/** "640 kbit/s", "1.2 Mbit/s". @param {number} bps */
export const bitrate = (bps) =>
  bps < 1_000_000 ? t('quality.kbps', { value: number(bps / 1000) }) : t('quality.mbps', { value: number(bps / 1_000_000, 1) });

/** @param {number} value */
export const percents = (value) => `${number(value, 1)}\u00a0%`;

/** @param {number | null} ms */
export const millis = (ms) => (ms === null ? '–' : t('trickle.milliseconds', { value: number(ms) }));

/** What the browser calls a network, and what people do. @type {Record<string, 'wifi' | 'mobile' | 'cable'>} */
const networks = { wifi: 'wifi', cellular: 'mobile', '2g': 'mobile', '3g': 'mobile', '4g': 'mobile', ethernet: 'cable' };

/**
 * pathWords says which way the call goes: "relayed over UDP by call.example.org".
 *
 * @param {Path} path
 */
export function pathWords({ path, protocol, relay, network, near }) {
  if (path === 'relayed') {
    if (!relay) return t('quality.path.theirs');
    const values = { protocol: protocol.toUpperCase(), host: relay.host, port: relay.port };
    return t(protocol === 'tls' ? 'quality.path.relayed.port' : 'quality.path.relayed', values);
  }
  const known = networks[network];
  if (known && !(near && known === 'cable')) return t(`quality.path.${known}`);
  return t(near ? 'quality.path.near' : 'quality.path.direct');
}

/** "1280 × 720, 30 a second, VP8". @param {Picture | null} picture */
const pictureWords = (picture) =>
  picture
    ? t('quality.picture', { width: picture.width, height: picture.height, rate: picture.framesPerSecond, codec: picture.codec || '–' })
    : t('quality.picture.none');

/**
 * factsOf are the numbers in words, in the order of the panel.
 *
 * @param {Sample} sample
 * @param {boolean} paused  our picture is left out
 */
export const factsOf = ({ path, rttMs, jitterMs, upLossPercent, downLossPercent, upBps, downBps }, paused) =>
  /** @type {const} */ ([
    ['path', pathWords(path)],
    ['rtt', millis(rttMs)],
    ['jitter', millis(jitterMs)],
    ['loss', t('quality.both', { up: percents(upLossPercent), down: percents(downLossPercent) })],
    ['bitrate', t('quality.both', { up: bitrate(upBps), down: bitrate(downBps) })],
    ['sent', paused ? t('quality.audioonly') : pictureWords(path.sent)],
    ['received', pictureWords(path.received)],
    ['voice', path.voice || '–'],
  ]);

/**
 * nowWords says what the call itself shows to be wrong, before anything is tested.
 *
 * @param {Sample | undefined} sample
 * @param {string} name
 */
export function nowWords(sample, name) {
  if (!sample) return t('quality.now.none');
  const { quietMs, upLossPercent, downLossPercent, rttMs, grade } = sample;
  if (quietMs >= 3000) return t('quality.now.quiet', { name, seconds: Math.round(quietMs / 1000) });
  if (upLossPercent >= 2 && upLossPercent >= downLossPercent) return t('quality.now.up', { name, loss: percents(upLossPercent) });
  if (downLossPercent >= 2) return t('quality.now.down', { name, loss: percents(downLossPercent) });
  if (grade !== 'good') return t('quality.now.slow', { ms: millis(rttMs), jitter: millis(sample.jitterMs) });
  return t('quality.now.good');
}
