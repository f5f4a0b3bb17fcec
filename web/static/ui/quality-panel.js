// The panel of a connection: the way it goes, the last minute in three plots and in a table, and what is wrong.
//
// What tests and tools may rely on:
//   #quality[data-grade]           the mark: good | fair | weak; it opens #quality-panel, as the key q does
//   #quality-whom                  whose connection, where there are several
//   #quality-panel [data-fact]     path rtt jitter loss bitrate sent received voice: a value in words
//   #keep-picture                  sends the picture however little gets through; aria-pressed
//   #wrong                         runs the connection test; #wrong-said[data-state] running | done

import { byId, h, press, setText } from './dom.js';
import { onLanguage, t } from './i18n.js';
import { minutePlot } from './quality-plot.js';
import { bitrate, factsOf, millis, nowWords, percents } from './quality-words.js';
import { startWrong } from './quality-wrong.js';

/**
 * @import { Connections, Sample } from './quality.js'
 * @import { Key } from './i18n.js'
 */

/** @typedef {{key: Key, least: number, up: ((sample: Sample) => number | null) | null, down: (sample: Sample) => number | null, unit: (value: number) => string}} Plot */
/** @type {Plot[]} */
const plots = [
  { key: 'quality.fact.bitrate', least: 100_000, up: ({ upBps }) => upBps, down: ({ downBps }) => downBps, unit: bitrate },
  { key: 'quality.fact.loss', least: 5, up: ({ upLossPercent }) => upLossPercent, down: ({ downLossPercent }) => downLossPercent, unit: percents },
  { key: 'quality.fact.rtt', least: 50, up: null, down: ({ rttMs }) => rttMs, unit: millis },
];
/** A row of the table for every so many samples. */
const tableStep = 10;

/**
 * showPanel fills the panel and keeps it up to date until the signal aborts.
 *
 * @param {HTMLElement} panel
 * @param {Connections} connections
 * @param {AbortSignal} signal
 */
export function showPanel(panel, connections, signal) {
  const owned = { signal };
  const title = h('h2', { id: 'quality-title', tabindex: '-1' });
  const whom = h('select', { id: 'quality-whom' });
  const close = h('button', { type: 'button', class: 'quiet', popovertarget: 'quality-panel', popovertargetaction: 'hide' });
  const facts = h('dl');
  const figures = plots.map(() => h('figure', { class: 'plot' }));
  const table = h('table');
  const paused = h('p', { class: 'small', id: 'quality-paused' });
  const keep = h('button', { type: 'button', class: 'wide', id: 'keep-picture' });
  const wrong = h('button', { type: 'button', class: 'wide', id: 'wrong' });
  const said = h('div', { id: 'wrong-said', role: 'status' });
  panel.replaceChildren(h('header', {}, title, close), whom, facts, ...figures, h('div', { class: 'sr-only' }, table), paused, keep, wrong, said);

  const chosen = () => connections.histories.get(whom.value) ?? [...connections.histories.values()][0];
  const nameOf = () => chosen()?.member.name || t('call.someone.short');

  const render = () => {
    if (!panel.matches(':popover-open')) return;
    setText(title, t('quality.title'));
    setText(close, t('quality.close'));
    setText(wrong, t('quality.wrong'));
    renderWhom(whom, connections);
    const history = chosen();
    const samples = history?.samples ?? [];
    const last = samples.at(-1);
    renderFacts(facts, last, history?.paused === true);
    const width = Math.max(240, figures[0]?.clientWidth ?? 0);
    plots.forEach((plot, i) => figures[i]?.replaceChildren(...drawn(plot, samples, width)));
    renderTable(table, samples);
    paused.hidden = !history?.paused;
    setText(paused, t('quality.paused', { name: nameOf() }));
    keep.hidden = !history?.paused && !connections.kept;
    press(keep, connections.kept, t('quality.keep'));
    keep.removeAttribute('aria-label'); // its text says it
    setText(keep, t('quality.keep'));
  };
  keep.addEventListener('click', () => connections.keepPicture(!connections.kept), owned);
  whom.addEventListener('change', render, owned);
  connections.addEventListener('change', render, owned);
  panel.addEventListener('toggle', render, owned);
  onLanguage(render, signal);
  startWrong(wrong, said, () => nowWords(chosen()?.samples.at(-1), nameOf()), signal);
  render();
  byId('quality-title', HTMLElement).focus();
}

/**
 * @param {HTMLSelectElement} whom
 * @param {Connections} connections
 */
function renderWhom(whom, { histories }) {
  whom.hidden = histories.size < 2;
  whom.setAttribute('aria-label', t('quality.whom'));
  const wanted = [...histories.values()].map(({ member }) => ({ id: member.id, name: member.name || t('call.someone.short') }));
  const same = wanted.length === whom.options.length && wanted.every(({ id, name }, i) => whom.options[i]?.value === id && whom.options[i].text === name);
  if (same) return;
  const before = whom.value;
  whom.replaceChildren(...wanted.map(({ id, name }) => h('option', { value: id }, name)));
  if (histories.has(before)) whom.value = before;
}

/**
 * @param {HTMLElement} facts
 * @param {Sample | undefined} last
 * @param {boolean} paused
 */
function renderFacts(facts, last, paused) {
  const rows = last ? factsOf(last, paused) : [];
  facts.replaceChildren(...rows.map(([name, value]) => h('div', {}, h('dt', {}, t(`quality.fact.${name}`)), h('dd', { class: 'num', 'data-fact': name }, value))));
}

/**
 * @param {Plot} plot
 * @param {Sample[]} samples
 * @param {number} width
 */
function drawn({ key, least, up, down, unit }, samples, width) {
  const last = samples.at(-1);
  const tell = (/** @type {number | null | undefined} */ value) => (value === null || value === undefined ? '–' : unit(value));
  const values = { up: tell(last && up?.(last)), down: tell(last && down(last)) };
  const words = up ? t('quality.both', values) : values.down;
  const points = samples.map((sample) => ({ atMs: sample.atMs, up: up ? up(sample) : null, down: down(sample) }));
  const ago = (/** @type {number} */ seconds) => (seconds ? t('quality.ago', { seconds }) : t('quality.now'));
  const label = t('quality.plot', { what: t(key), now: words });
  const voices = up ? [h('span', { class: 'you' }, t('quality.up', values)), h('span', { class: 'them' }, t('quality.down', values))] : [h('span', { class: 'them' }, words)];
  return [h('figcaption', { class: 'num' }, h('b', {}, t(key)), ...voices), minutePlot({ points, least, width, label, unit, ago })];
}

/**
 * @param {HTMLTableElement} table
 * @param {Sample[]} samples
 */
function renderTable(table, samples) {
  const last = samples.at(-1);
  const shown = samples.filter((_, i) => (samples.length - 1 - i) % tableStep === 0).reverse();
  const head = [t('quality.when'), ...plots.map(({ key }) => t(key))];
  const rows = shown.map((sample) => {
    const seconds = Math.round(((last?.atMs ?? 0) - sample.atMs) / 1000);
    const cells = factsOf(sample, false).filter(([name]) => name === 'bitrate' || name === 'loss').map(([, value]) => value).reverse();
    return h('tr', {}, h('th', { scope: 'row' }, seconds ? t('quality.ago', { seconds }) : t('quality.now')), ...[...cells, millis(sample.rttMs)].map((text) => h('td', {}, text)));
  });
  table.replaceChildren(h('caption', {}, t('quality.table')), h('tr', {}, ...head.map((text) => h('th', { scope: 'col' }, text))), ...rows);
}
