// Sizes, speeds and remaining times, as people read them. Pure.

import { language, t } from './i18n.js';

const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'];

/** @param {number} bytes */
export function bytesText(bytes) {
  const power = bytes < 1000 ? 0 : Math.min(Math.floor(Math.log10(bytes) / 3), units.length - 1);
  const value = bytes / 1000 ** power;
  return value.toLocaleString(language(), { style: 'unit', unit: units[power], unitDisplay: 'short', maximumFractionDigits: power > 0 && value < 10 ? 1 : 0 });
}

/**
 * leftText is "4.1 MB/s" and "3 s left"; nothing while the speed is not known.
 *
 * @param {number} perSecond  in bytes
 * @param {number} bytes  that are left
 */
export function leftText(perSecond, bytes) {
  if (perSecond < 1) return [];
  const seconds = Math.ceil(bytes / perSecond);
  const [value, unit] = seconds < 90 ? [seconds, 'second'] : seconds < 5400 ? [Math.round(seconds / 60), 'minute'] : [Math.round(seconds / 3600), 'hour'];
  const left = value.toLocaleString(language(), { style: 'unit', unit, unitDisplay: 'short' });
  return [t('file.speed', { size: bytesText(perSecond) }), t('file.left', { time: left })];
}

/** How fast it went over the last five seconds. */
export class Speed {
  /** @type {{at: number, moved: number}[]} */
  #looks = [];

  /**
   * @param {number} moved  in all, in bytes
   * @param {number} [at]  in milliseconds
   */
  note(moved, at = performance.now()) {
    if (at - (this.#looks.at(-1)?.at ?? -Infinity) < 250) return;
    this.#looks.push({ at, moved });
    while (this.#looks.length > 2 && at - (this.#looks[0]?.at ?? at) > 5000) this.#looks.shift();
  }

  /** In bytes. */
  get perSecond() {
    const [first] = this.#looks;
    const last = this.#looks.at(-1);
    return first && last && last.at > first.at ? Math.max(0, ((last.moved - first.moved) / (last.at - first.at)) * 1000) : 0;
  }
}
