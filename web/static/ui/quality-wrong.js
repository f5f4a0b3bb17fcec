// "What is wrong?": the connection test, run inside the call, told in words.

import { headline } from '../sdk/probe-headline.js';
import { flatten } from '../sdk/probe-servers.js';
import { verdicts } from '../sdk/probe-verdict.js';
import { joinTestRoom, newReport, probe } from '../sdk/probe.js';
import { h } from './dom.js';
import { onLanguage, t } from './i18n.js';
import { verdictWords, whyWords } from './trickle-words.js';

/** @import { Report } from '../sdk/probe.js' */

/**
 * startWrong wires the button, until the signal aborts.
 *
 * @param {HTMLButtonElement} button
 * @param {HTMLElement} said
 * @param {() => string} now  what the call itself shows
 * @param {AbortSignal} signal
 */
export function startWrong(button, said, now, signal) {
  /** @type {Report | null} */
  let report = null;
  let first = '';
  const show = () => {
    if (!report) return;
    const done = report.state !== 'running';
    said.dataset.state = done ? 'done' : 'running';
    button.disabled = !done;
    if (!done) return said.replaceChildren(h('p', {}, first), h('p', {}, t('quality.testing')));
    const summary = headline(report);
    said.dataset.reach = summary.reach;
    const items = verdicts(report).map((verdict) => {
      const { title, text } = verdictWords(verdict);
      return h('li', { 'data-result': verdict.grade, 'data-check': verdict.check }, h('b', {}, title), ' ', text);
    });
    said.replaceChildren(h('p', {}, first), h('h3', {}, t(`trickle.headline.${summary.reach}`)), h('p', {}, whyWords(summary, report, true)), h('ul', {}, ...items));
    button.scrollIntoView({ block: 'start' });
  };
  const run = async () => {
    const current = (report = newReport());
    first = now();
    show();
    const room = await joinTestRoom({ signal });
    try {
      if (signal.aborted) return;
      current.signaling = room.result;
      await probe(current, { servers: flatten(room.iceServers), policy: 'all', signal, onChange: () => {} });
    } finally {
      room.leave();
    }
    if (!signal.aborted) show();
  };
  button.addEventListener('click', () => void run(), { signal });
  onLanguage(show, signal);
}
