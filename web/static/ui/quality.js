// How good the connections of a call are: the mark in the pill, what is said when one is weak or only
// the voice gets through, and the last minute of each for the panel, which is loaded when it is opened.

import { Emitter } from '../sdk/events.js';
import { byId, h, setText } from './dom.js';
import { onLanguage, t } from './i18n.js';
import { say, toast } from './live.js';

/**
 * @import { Call } from '../sdk/duet.js'
 * @import { Grade, Quality } from '../sdk/quality.js'
 * @import { Member } from '../sdk/message.js'
 * @import { Path } from '../sdk/stats.js'
 * @import { Stage } from './stage.js'
 *
 * @typedef {Quality & {path: Path}} Sample
 * @typedef {{member: Member, samples: Sample[], away: boolean, paused: boolean}} History
 *   samples: of the last minute. paused: our picture to them
 */

const keptSamples = 61;
/** What has lost its signaling has to bring nothing for less long. */
const awayQuietMs = 1_000;
const quietMs = 3_000;

/** @type {Grade[]} From the worst. */
const grades = ['weak', 'fair', 'good'];

/** What the panel shows. @extends {Emitter<{change: null}>} */
export class Connections extends Emitter {
  /** @type {Map<string, History>} By member id. */
  histories = new Map();
  /** The picture is sent however little gets through. */
  kept = false;
  #call;

  /** @param {Call} call */
  constructor(call) {
    super();
    this.#call = call;
  }

  /** @param {Member} member */
  of(member) {
    const known = this.histories.get(member.id) ?? { member, samples: [], away: false, paused: false };
    known.member = member;
    this.histories.set(member.id, known);
    return known;
  }

  /** @param {boolean} kept */
  keepPicture(kept) {
    this.kept = kept;
    this.#call.keepPicture(kept);
    this.emit('change', null);
  }
}

/** The key of the panel. */
export const qualityKeys = {
  q: () => {
    if (!byId('quality', HTMLElement).hidden) byId('quality-panel', HTMLElement).togglePopover();
  },
};

/**
 * startQuality follows the connections of a call until the signal aborts.
 *
 * @param {Call} call
 * @param {Stage} stage
 * @param {AbortSignal} signal
 */
export function startQuality(call, stage, signal) {
  const owned = { signal };
  const connections = new Connections(call);
  const mark = byId('quality', HTMLButtonElement);
  const panel = byId('quality-panel', HTMLElement);
  const nameOf = (/** @type {Member} */ { name }) => name || t('call.someone.short');

  const render = () => {
    mark.hidden = !['connecting', 'connected', 'reconnecting'].includes(call.state);
    const latest = [...connections.histories.values()].flatMap(({ samples }) => samples.at(-1)?.grade ?? []);
    const grade = call.state === 'connected' ? grades.find((one) => latest.includes(one)) : 'weak';
    mark.dataset.grade = grade ?? '';
    const label = grade ? t('quality.mark', { grade: t(`quality.grade.${grade}`) }) : t('quality.title');
    mark.setAttribute('aria-label', label);
    mark.title = label;
    setText(byId('audio-only', HTMLElement), t('quality.audioonly'));
    byId('audio-only', HTMLElement).hidden = ![...connections.histories.values()].some(({ paused }) => paused);
    connections.emit('change', null);
  };

  call.addEventListener(
    'path',
    ({ detail: { member, path, quality } }) => {
      const history = connections.of(member);
      history.samples = [...history.samples, { ...quality, path }].slice(-keptSamples);
      stage.setWeak(member, quality.quietMs >= (history.away ? awayQuietMs : quietMs) || quality.downLossPercent >= 8);
      render();
    },
    owned,
  );
  call.addEventListener(
    'audioonly',
    ({ detail: { member, on, ours } }) => {
      const name = nameOf(member);
      if (ours) {
        connections.of(member).paused = on;
        if (on) toast(t('quality.paused', { name }));
        else say(t('quality.resumed', { name }));
      } else {
        stage.setPaused(member, on);
        say(t(on ? 'quality.theirs.paused' : 'quality.theirs.resumed', { name }));
      }
      render();
    },
    owned,
  );
  call.addEventListener(
    'member',
    ({ detail: { event, member } }) => {
      if (event === 'left') connections.histories.delete(member.id);
      else connections.of(member).away = event === 'away';
      render();
    },
    owned,
  );
  call.addEventListener('state', render, owned);
  onLanguage(render, signal);

  panel.addEventListener('toggle', (event) => {
    const open = /** @type {ToggleEvent} */ (event).newState === 'open';
    mark.setAttribute('aria-expanded', String(open));
    if (open) void show();
  }, owned);
  /** @type {Promise<unknown> | null} */
  let shown = null;
  const show = () => (shown ??= load());
  const load = async () => {
    if (!document.querySelector('link[href="/quality.css"]')) document.head.append(h('link', { rel: 'stylesheet', href: '/quality.css' }));
    const { showPanel } = await import('./quality-panel.js');
    if (!signal.aborted) showPanel(panel, connections, signal);
  };
  signal.addEventListener('abort', () => {
    if (panel.matches(':popover-open')) panel.hidePopover();
    panel.replaceChildren();
    mark.hidden = byId('audio-only', HTMLElement).hidden = true;
  });
  render();
}
