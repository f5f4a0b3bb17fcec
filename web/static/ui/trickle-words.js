// The words and numbers of the connection test in the reader's language.

import { language, t } from './i18n.js';

/**
 * @import { Headline } from '../sdk/probe-headline.js'
 * @import { Verdict } from '../sdk/probe-verdict.js'
 * @import { Report } from '../sdk/probe.js'
 * @import { Key } from './i18n.js'
 */

/** What the numbers of a verdict are. @type {Record<string, (value: number) => string>} */
const formats = { ms: milliseconds, median: milliseconds, max: milliseconds, loss: percent };

/** A time without its unit: a decimal where it says something. @param {number} ms */
export function milliseconds(ms) {
  return number(ms, ms < 9.95 ? 1 : 0);
}

/** @param {number} ms */
export function seconds(ms) {
  return number(ms / 1000, ms < 9_950 ? 2 : 1);
}

/** @param {number} value */
export function percent(value) {
  return number(value, value > 0 && value < 9.95 ? 1 : 0);
}

/**
 * @param {number} value
 * @param {number} digits  at most
 */
function number(value, digits) {
  return new Intl.NumberFormat(language(), { maximumFractionDigits: digits }).format(value);
}

/**
 * verdictWords are the title and the text of a card.
 *
 * @param {Verdict} verdict
 */
export function verdictWords({ code, values }) {
  /** @type {Record<string, string | number>} */
  const formatted = {};
  for (const [name, value] of Object.entries(values)) {
    formatted[name] = typeof value === 'number' ? (formats[name]?.(value) ?? value) : value;
  }
  const text = t(`trickle.verdict.${code}.text`, formatted);
  const appears = code.startsWith('stun.') && values.address ? t('trickle.appear', formatted) : '';
  return { title: t(`trickle.verdict.${code}.title`, formatted), text: sentences(appears, text) };
}

/**
 * whyWords are the sentence below the headline.
 *
 * @param {Headline} headline
 * @param {Report} report
 * @param {boolean} own  whether the servers are those that signaling gave
 */
export function whyWords({ why }, report, own) {
  if (report.state === 'running') return t(`trickle.why.${why}`);
  const time = new Intl.DateTimeFormat(language(), { hour: '2-digit', minute: '2-digit' }).format(new Date(report.startedAt));
  const tested = t('trickle.tested', { time, seconds: number(report.ms / 1000, 1) });
  return sentences(t(`trickle.why.${why}`), own ? '' : t('trickle.others.tested'), tested);
}

/**
 * sentences joins what there is; Chinese has no space between sentences.
 *
 * @param {...string} texts
 */
export function sentences(...texts) {
  return texts.filter(Boolean).join(language() === 'zh' ? '' : ' ');
}

/** The error codes that have words. */
const errorCodes = /** @type {const} */ ([300, 400, 401, 403, 420, 437, 438, 440, 441, 442, 443, 486, 500, 508, 600, 701]);

/**
 * errorWords says what the code of an icecandidateerror means.
 *
 * @param {number} code
 */
export function errorWords(code) {
  const known = errorCodes.find((one) => one === code);
  /** @type {Key} */
  const key = known ? `trickle.error.${known}` : 'trickle.error.other';
  return t(key);
}
