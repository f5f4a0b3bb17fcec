// Those who would like to come in, with what a member inside may do about it.

import { byId, h } from './dom.js';
import { t } from './i18n.js';

/**
 * @import { Call } from '../sdk/duet.js'
 * @import { Knocker } from '../sdk/message.js'
 */

/**
 * renderKnocks shows who waits. Who is there already keeps its place, and with it the focus.
 *
 * @param {readonly Knocker[]} knocks
 * @param {Call} call
 */
export function renderKnocks(knocks, call) {
  const list = byId('knocks', HTMLElement);
  const waiting = new Set(knocks.map(({ id }) => id));
  for (const shown of [...list.children]) {
    if (!waiting.has(/** @type {HTMLElement} */ (shown).dataset.knock ?? '')) shown.remove();
  }
  for (const knock of knocks) {
    if (!list.querySelector(`[data-knock="${CSS.escape(knock.id)}"]`)) list.append(entry(knock, call));
  }
  list.hidden = knocks.length === 0;
}

/**
 * @param {Knocker} knock
 * @param {Call} call
 */
function entry({ id, name }, call) {
  const who = name || t('call.someone.short');
  const admit = h('button', { type: 'button', class: 'primary admit', 'aria-label': t('knock.admit.label', { name: who }) }, t('knock.admit'));
  const refuse = h('button', { type: 'button', class: 'refuse', 'aria-label': t('knock.refuse.label', { name: who }) }, t('knock.refuse'));
  admit.addEventListener('click', () => call.admit(id));
  refuse.addEventListener('click', () => call.refuse(id));
  return h('div', { class: 'knock', 'data-knock': id }, h('p', {}, t('knock.text', { name: who })), h('div', { class: 'row' }, admit, refuse));
}
