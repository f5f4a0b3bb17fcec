// The words of the page in the reader's language.
//
// In HTML, data-i18n names the key of an element's text, data-i18n-alt, data-i18n-aria-label,
// data-i18n-placeholder and data-i18n-title those of attributes; a button with
// data-language switches. In code, t() does.

import en from '../i18n/en.js';
import zh from '../i18n/zh.js';

/** @typedef {'en' | 'zh'} Language */
/** @typedef {keyof typeof en} Key */

/** @type {Record<Language, Record<Key, string>>} */
const tables = { en, zh };

const remembered = 'duet.language';
const attributes = ['alt', 'aria-label', 'placeholder', 'title'];

/** @type {Language} */
let current = 'en';

const changes = new EventTarget();

/** @param {unknown} value @returns {value is Language} */
const isLanguage = (value) => value === 'en' || value === 'zh';

/**
 * pickLanguage is the remembered choice, else the first language of the browser
 * that there is a table for, else English.
 *
 * @param {readonly string[]} preferred  navigator.languages
 * @param {string | null} [chosen]
 * @returns {Language}
 */
export function pickLanguage(preferred, chosen = null) {
  if (isLanguage(chosen)) return chosen;
  for (const tag of preferred) {
    const primary = tag.toLowerCase().split('-')[0];
    if (isLanguage(primary)) return primary;
  }
  return 'en';
}

/**
 * fill replaces each {placeholder} with its value.
 *
 * @param {string} text
 * @param {Record<string, string | number>} values
 */
export function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/**
 * t is the text of a key in the current language.
 *
 * @param {Key} key
 * @param {Record<string, string | number>} [values]
 */
export function t(key, values = {}) {
  return fill(tables[current][key] ?? en[key] ?? key, values);
}

/** @returns {Language} */
export const language = () => current;

/**
 * translate fills every data-i18n attribute below root.
 *
 * @param {ParentNode} root
 */
export function translate(root) {
  for (const element of root.querySelectorAll('[data-i18n]')) {
    element.textContent = t(/** @type {Key} */ (element.getAttribute('data-i18n')));
  }
  for (const name of attributes) {
    for (const element of root.querySelectorAll(`[data-i18n-${name}]`)) {
      element.setAttribute(name, t(/** @type {Key} */ (element.getAttribute(`data-i18n-${name}`))));
    }
  }
}

/**
 * startLanguage picks the language, translates the page and wires its switch.
 * Call it once, before anything is shown.
 */
export function startLanguage() {
  show(pickLanguage(navigator.languages, recall()));
  for (const button of document.querySelectorAll('button[data-language]')) {
    button.addEventListener('click', () => setLanguage(current === 'en' ? 'zh' : 'en'));
  }
}

/** @param {Language} next */
export function setLanguage(next) {
  try {
    localStorage.setItem(remembered, next);
  } catch {
    // Storage may be forbidden; the choice then lasts as long as the page.
  }
  show(next);
  changes.dispatchEvent(new Event('change'));
}

/**
 * onLanguage calls back after each switch, for text that code has written.
 *
 * @param {() => void} callback
 * @param {AbortSignal} [signal]
 */
export function onLanguage(callback, signal) {
  changes.addEventListener('change', callback, { signal });
}

/** @param {Language} next */
function show(next) {
  current = next;
  document.documentElement.lang = next === 'zh' ? 'zh-CN' : 'en';
  translate(document);
}

function recall() {
  try {
    return localStorage.getItem(remembered);
  } catch {
    return null;
  }
}
