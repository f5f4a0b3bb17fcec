// The connection test. It runs when the page opens, with this server's own ICE
// servers, and again for whatever servers are put in.
//
// What tests and tools may rely on:
//   body[data-state]             running | done
//   #verdict-headline            the headline; [data-reach] all | direct | local | none (running)
//   .verdict[data-check]         signaling | stun | turn | relay; a turn (and a stun) card for each
//                                such URL, with [data-url]; its [data-code] is the verdict's code
//   .verdict[data-result]        ok | warn | bad; none while it is not known
//   #candidates tbody tr[data-type]   host | srflx | prflx | relay
//   #ice-urls #ice-username #ice-credential #ice-policy #ice-problem   the form; #run tests it (again)
//   #errors li[data-code]        an icecandidateerror; [data-harmless] where the server answered all the same
//   #rtt[data-ms]                median round trip through the relay; [data-loss-percent]; none without data
//   #copy, #report               the report as JSON, without a credential

import { headline } from '../sdk/probe-headline.js';
import { verdicts } from '../sdk/probe-verdict.js';
import { joinTestRoom, newReport, probe } from '../sdk/probe.js';
import { byId, setText } from './dom.js';
import { onLanguage, startLanguage, t } from './i18n.js';
import { startForm } from './trickle-form.js';
import { render } from './trickle-view.js';

let report = newReport();
let own = true;
let life = new AbortController();

startLanguage();
const form = startForm(() => void run());
const show = () => render(report, own);

async function run() {
  life.abort();
  life = new AbortController();
  const { signal } = life;
  // What cannot be tested is said before anything else is thrown away.
  const asked = form.read();
  if (!asked) return;
  const current = newReport();
  report = current;
  own = asked.own;
  setText(byId('said', HTMLElement), '');
  byId('report', HTMLTextAreaElement).hidden = true;
  show();

  // The membership lasts as long as the test: the relay ends what a member who left holds.
  const room = await joinTestRoom({ signal });
  try {
    if (signal.aborted) return;
    current.signaling = room.result;
    if (room.result.ok) form.offer(room.iceServers);
    const choice = form.read() ?? asked;
    own = choice.own;
    show();
    await probe(current, { ...choice, signal, onChange: () => current === report && show() });
  } finally {
    room.leave();
  }
}

/** The report and what was made of it, for a bug report or an operator. */
function reportText() {
  const said = verdicts(report).map(({ check, grade, code, url, values }) => ({ check, grade, code, url, values }));
  const round = (/** @type {string} */ _key, /** @type {unknown} */ value) => (typeof value === 'number' ? Math.round(value * 10) / 10 : value);
  return JSON.stringify({ headline: headline(report), verdicts: said, ...report, page: location.origin, browser: navigator.userAgent }, round, 2);
}

async function copy() {
  const text = byId('report', HTMLTextAreaElement);
  text.value = reportText();
  try {
    await navigator.clipboard.writeText(text.value);
    text.hidden = true;
    setText(byId('said', HTMLElement), t('trickle.copied'));
  } catch {
    // No clipboard without https, or without permission: then by hand.
    text.hidden = false;
    text.select();
    setText(byId('said', HTMLElement), t('trickle.copy.failed'));
  }
}

byId('run', HTMLButtonElement).addEventListener('click', () => void run());
byId('copy', HTMLButtonElement).addEventListener('click', () => void copy());
byId('other', HTMLAnchorElement).addEventListener('click', (event) => {
  event.preventDefault();
  byId('servers', HTMLElement).scrollIntoView({ block: 'start' });
  byId('ice-urls', HTMLTextAreaElement).focus({ preventScroll: true });
});
onLanguage(() => {
  show();
  form.showProblems();
});
addEventListener('pagehide', () => life.abort());
addEventListener('pageshow', (event) => event.persisted && void run());

// Plots are as wide as their place, so they follow it.
let width = 0;
new ResizeObserver(([entry]) => {
  const now = Math.round(entry?.contentRect.width ?? 0);
  if (now !== width) show();
  width = now;
}).observe(byId('test', HTMLElement));

void run();
