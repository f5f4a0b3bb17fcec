// Draws a report of the connection test: cards, tables, errors, plots.

import { headline } from '../sdk/probe-headline.js';
import { messageBytes } from '../sdk/probe-echo.js';
import { isHidden, splitPriority } from '../sdk/probe-candidate.js';
import { unreachableCode } from '../sdk/probe-gather.js';
import { verdicts } from '../sdk/probe-verdict.js';
import { byId, h, setText } from './dom.js';
import { t } from './i18n.js';
import { echoPlot, timelinePlot } from './trickle-plot.js';
import { errorWords, milliseconds, percent, seconds, sentences, verdictWords, whyWords } from './trickle-words.js';

/**
 * @import { Candidate } from '../sdk/probe-candidate.js'
 * @import { Gathered } from '../sdk/probe-gather.js'
 * @import { Loopback } from '../sdk/probe-loopback.js'
 * @import { Report } from '../sdk/probe.js'
 * @import { TimelineRow } from './trickle-plot.js'
 */

/**
 * render shows the report as it is now.
 *
 * @param {Report} report
 * @param {boolean} own  whether the servers are those that signaling gave
 */
export function render(report, own) {
  const summary = headline(report);
  const title = byId('verdict-headline', HTMLElement);
  title.dataset.reach = summary.reach;
  title.dataset.why = summary.why;
  setText(title, t(`trickle.headline.${report.state === 'aborted' ? 'stopped' : summary.reach}`));
  setText(byId('verdict-why', HTMLElement), report.state === 'aborted' ? '' : whyWords(summary, report, own));
  document.title = t('trickle.title');
  byId('verdicts', HTMLElement).replaceChildren(...verdicts(report).map(card));
  const candidates = listed(report.gathered);
  renderTable(candidates);
  renderErrors(report.gathered);
  renderTimeline(candidates, report);
  renderEcho(report.loopback);
  document.body.dataset.state = report.state === 'running' ? 'running' : 'done';
}

/** @param {ReturnType<typeof verdicts>[number]} verdict */
function card(verdict) {
  const { check, grade, code, url } = verdict;
  const { title, text } = verdictWords(verdict);
  const attributes = {
    class: 'card verdict',
    'data-check': check,
    'data-result': grade === 'running' ? undefined : grade,
    'data-code': code,
    'data-url': url || undefined,
  };
  const made = h('li', attributes, h('b', {}, title), h('p', { class: 'muted num' }, text));
  if (url) made.append(h('span', { class: 'muted url' }, url));
  return made;
}

/**
 * Every connection has the same host candidates, on other ports: those of the first will do.
 *
 * @param {Gathered[]} gathered
 */
function listed(gathered) {
  const first = gathered.find(({ candidates }) => candidates.some(({ type }) => type === 'host'));
  return gathered
    .flatMap((one) => one.candidates.filter(({ type }) => type !== 'host' || one === first))
    .sort((a, b) => a.atMs - b.atMs);
}

/** @param {Candidate[]} candidates */
function renderTable(candidates) {
  const names = /** @type {const} */ (['time', 'type', 'protocol', 'address', 'port', 'priority', 'server']);
  const rows = candidates.map((candidate) => {
    const { type, protocol, relayProtocol, address, port, priority, url, atMs } = candidate;
    const cells = [
      (atMs / 1000).toFixed(2), type, relayProtocol && relayProtocol !== protocol ? `${protocol} (${relayProtocol})` : protocol,
      address, String(port), splitPriority(priority), url || '–',
    ];
    return h('tr', { 'data-type': type, role: 'row' }, ...cells.map((text, i) => {
      const name = names[i] ?? 'time';
      return h('td', { role: 'cell', 'data-column': t(`trickle.column.${name}`), title: name === 'priority' ? priority : undefined }, h('span', {}, text));
    }));
  });
  document.querySelector('#candidates tbody')?.replaceChildren(...rows);
  const notes = [t(candidates.length ? 'trickle.candidates.once' : 'trickle.candidates.none')];
  if (candidates.some(({ address }) => isHidden(address))) notes.push(t('trickle.candidates.hidden'));
  setText(byId('candidates-note', HTMLElement), sentences(...notes));
}

/** @param {Gathered[]} gathered */
function renderErrors(gathered) {
  const items = gathered.flatMap(({ server, candidates, errors }) => {
    const answered = candidates.some(({ type }) => type === (server?.scheme === 'stun' ? 'srflx' : 'relay'));
    return errors.map(({ url, code, text, count }) => {
      const harmless = answered && code === unreachableCode;
      return h(
        'li',
        { 'data-code': code, 'data-url': url, 'data-harmless': harmless },
        h('b', { class: 'num' }, count > 1 ? t('trickle.errors.times', { code, count }) : String(code)), ' ', h('code', {}, url),
        h('p', {}, harmless ? t('trickle.errors.harmless') : errorWords(code)),
        ...(text ? [h('p', { class: 'muted small' }, t('trickle.errors.said', { text }))] : []),
      );
    });
  });
  byId('errors', HTMLElement).replaceChildren(...items);
  byId('errors-section', HTMLElement).hidden = items.length === 0;
}

/**
 * @param {Candidate[]} candidates
 * @param {Report} report
 */
function renderTimeline(candidates, { gathered }) {
  const section = byId('timeline', HTMLElement);
  section.hidden = candidates.length === 0;
  if (section.hidden) return;
  /** @type {Map<string, TimelineRow>} */
  const rows = new Map();
  const row = (/** @type {string} */ label, /** @type {TimelineRow['kind']} */ kind) => {
    const known = rows.get(label) ?? { label, kind, arrivals: [], failures: [] };
    rows.set(label, known);
    return known;
  };
  for (const kind of /** @type {const} */ (['host', 'srflx'])) {
    for (const { type, atMs } of candidates) if (type === kind) row(kind, kind).arrivals.push(atMs);
  }
  for (const { server, state, ms, candidates: own, errors } of gathered) {
    if (!server || server.scheme === 'stun') continue;
    const relays = own.filter(({ type }) => type === 'relay');
    const alike = gathered.filter((other) => other.server?.scheme !== 'stun' && other.server?.transport === server.transport);
    const { arrivals, failures } = row(`relay ${server.transport}${alike.length > 1 ? ` ${server.port}` : ''}`, 'relay');
    arrivals.push(...relays.map(({ atMs }) => atMs));
    if (!relays.length && state !== 'running') failures.push(errors[0]?.atMs ?? ms);
  }
  const told = [...rows.values()].map(({ label: name, arrivals, failures }) => {
    const times = arrivals.map((ms) => t('trickle.seconds', { value: (ms / 1000).toFixed(2) })).join(', ');
    return times ? t('trickle.timeline.row', { name, times }) : failures.length ? t('trickle.timeline.failed', { name }) : name;
  });
  const label = t('trickle.timeline.label', { count: candidates.length, rows: told.join('; ') });
  const place = byId('timeline-plot', HTMLElement);
  place.replaceChildren(timelinePlot({ rows: [...rows.values()], width: widthOf(place), label, seconds: (ms) => t('trickle.seconds', { value: seconds(ms) }) }));
}

/** @param {Loopback | null} loopback */
function renderEcho(loopback) {
  const section = byId('echo', HTMLElement);
  const text = byId('rtt', HTMLElement);
  section.hidden = !loopback?.samples.length;
  delete text.dataset.ms;
  delete text.dataset.lossPercent;
  if (!loopback?.samples.length) return setText(text, '');
  const { echo, samples, transport, types } = loopback;
  const values = {
    received: echo.received, sent: echo.sent, bytes: messageBytes, transport: transport.toUpperCase(), damaged: echo.damaged,
    median: milliseconds(echo.medianMs ?? 0), max: milliseconds(echo.maxMs ?? 0), loss: percent(echo.lossPercent),
  };
  if (echo.medianMs !== null) text.dataset.ms = echo.medianMs.toFixed(1);
  text.dataset.lossPercent = echo.lossPercent.toFixed(1);
  const proof = types.length === 2 && types.every((type) => type === 'relay') ? t('trickle.echo.proof') : '';
  setText(text, sentences(t('trickle.echo.text', values), proof));
  byId('echo-lost', HTMLElement).hidden = echo.received === echo.sent;
  const place = byId('echo-plot', HTMLElement);
  const inMs = (/** @type {number | null} */ ms) => (ms === null ? t('trickle.echo.lost') : t('trickle.milliseconds', { value: milliseconds(ms) }));
  const inSeconds = (/** @type {number} */ ms) => t('trickle.seconds', { value: seconds(ms) });
  place.replaceChildren(echoPlot({ samples, width: widthOf(place), label: t('trickle.echo.label', values), seconds: inSeconds, milliseconds: inMs }));
  const rows = samples.map(({ atMs, thereMs, rttMs }) => h('tr', {}, h('td', {}, inSeconds(atMs)), h('td', {}, inMs(thereMs)), h('td', {}, inMs(rttMs))));
  document.querySelector('#echo-values tbody')?.replaceChildren(...rows);
}

/** @param {HTMLElement} place */
const widthOf = (place) => Math.max(240, Math.round(place.clientWidth) || 600);
