// From what was measured to what it means. Pure: a report in, verdicts out; the
// page has words for every code.

import { isHidden } from './probe-candidate.js';
import { unreachableCode } from './probe-gather.js';

/**
 * @import { Candidate } from './probe-candidate.js'
 * @import { Gathered } from './probe-gather.js'
 * @import { ServerUrl } from './probe-servers.js'
 * @import { Report } from './probe.js'
 *
 * @typedef {'ok' | 'warn' | 'bad' | 'running'} Grade
 * @typedef {'signaling' | 'stun' | 'turn' | 'relay'} Check
 * @typedef {'signaling.running' | 'signaling.works' | 'signaling.unreachable' | 'signaling.busy' | 'signaling.refused'} SignalingCode
 * @typedef {'stun.running' | 'stun.public' | 'stun.no-nat' | 'stun.implied' | 'stun.hidden' | 'stun.udp-blocked'
 *   | 'stun.unreachable' | 'stun.none' | 'stun.refused'} StunCode
 * @typedef {'turn.running' | 'turn.works' | 'turn.unauthorized' | 'turn.forbidden' | 'turn.quota' | 'turn.full' | 'turn.unreachable'
 *   | 'turn.unreachable-tls' | 'turn.unreachable-covered' | 'turn.silent' | 'turn.rejected' | 'turn.refused' | 'turn.none'} TurnCode
 * @typedef {'relay.running' | 'relay.works' | 'relay.lossy' | 'relay.damaged' | 'relay.no-relay' | 'relay.no-path'
 *   | 'relay.not-relayed' | 'relay.silent' | 'relay.refused' | 'relay.skipped' | 'relay.none' | 'relay.unsupported'} RelayCode
 * @typedef {SignalingCode | StunCode | TurnCode | RelayCode} VerdictCode
 * @typedef {{check: Check, grade: Grade, code: VerdictCode, url: string, values: Record<string, string | number>}} Verdict
 *   url: of the server that it is about, "" for all.
 */

/** The errors that have words of their own, RFC 8656 section 19. @type {Record<number, TurnCode>} */
const turnCodes = { 401: 'turn.unauthorized', 403: 'turn.forbidden', 441: 'turn.unauthorized', 486: 'turn.quota', 508: 'turn.full' };

/** Losing more than this share of single packets is heard in a call. */
const lossyPercent = 3;

/**
 * verdicts says what each part of the report means, in the order of the page:
 * signaling, STUN, a verdict for every TURN URL, the relay's data.
 *
 * @param {Report} report
 * @returns {Verdict[]}
 */
export function verdicts(report) {
  if (report.unsupported) return [signalingVerdict(report), verdict('relay', 'bad', 'relay.unsupported')];
  const turns = report.gathered.filter(isTurn);
  const turnVerdicts = turns.map((gathered) => turnVerdict(gathered, turns));
  if (!turns.length && isChosen(report)) turnVerdicts.push(verdict('turn', 'warn', 'turn.none'));
  return [signalingVerdict(report), ...stunVerdicts(report), ...turnVerdicts, relayVerdict(report, turns)];
}

/**
 * Whether it is known which servers there are: signaling gives them, or someone did.
 *
 * @param {Report} report
 */
const isChosen = ({ servers, signaling }) => servers !== null && (servers.length > 0 || signaling?.ok === true);

/**
 * @param {Check} check
 * @param {Grade} grade
 * @param {VerdictCode} code
 * @param {Record<string, string | number>} [values]
 * @param {string} [url]
 * @returns {Verdict}
 */
const verdict = (check, grade, code, values = {}, url = '') => ({ check, grade, code, url, values });

/**
 * @param {Report} report
 * @returns {Verdict}
 */
function signalingVerdict({ signaling }) {
  if (!signaling) return verdict('signaling', 'running', 'signaling.running');
  const { ok, ms, code, message } = signaling;
  if (ok) return verdict('signaling', 'ok', 'signaling.works', { ms });
  if (code === 'unreachable' || code === 'aborted') return verdict('signaling', 'bad', 'signaling.unreachable');
  if (code === 'capacity' || code === 'unavailable') return verdict('signaling', 'bad', 'signaling.busy', { code });
  return verdict('signaling', 'bad', 'signaling.refused', { code, message });
}

/**
 * One verdict for each stun: URL. Without any, one for the TURN servers: they
 * answer STUN as well (RFC 8656 section 3), and browsers ask those on UDP.
 *
 * @param {Report} report
 * @returns {Verdict[]}
 */
function stunVerdicts(report) {
  const asked = report.gathered.filter(({ server }) => server?.scheme === 'stun');
  const turns = report.gathered.filter(isTurn);
  if (asked.length) return asked.map((one) => stunVerdict([one], report, turns, one.server?.url));
  const overUdp = turns.filter(({ server }) => server?.transport === 'udp');
  if (overUdp.length) return [stunVerdict(overUdp, report, turns)];
  return isChosen(report) ? [verdict('stun', 'warn', 'stun.none')] : [];
}

/**
 * @param {Gathered[]} asked  of the same verdict
 * @param {Report} report
 * @param {Gathered[]} turns
 * @param {string} [url]
 * @returns {Verdict}
 */
function stunVerdict(asked, report, turns, url = '') {
  const reflexive = asked.flatMap(({ candidates }) => candidates.filter(({ type }) => type === 'srflx'));
  if (reflexive.length) {
    const values = { address: unique(reflexive.map(({ address }) => address)).join(', ') };
    const local = reflexive.every((candidate) => isLocal(candidate, report));
    return verdict('stun', 'ok', local ? 'stun.no-nat' : 'stun.public', values, url);
  }
  if (asked.some(({ state }) => state === 'running')) return verdict('stun', 'running', 'stun.running', {}, url);
  const refused = asked.find(({ state }) => state === 'refused');
  if (refused) return verdict('stun', 'bad', 'stun.refused', { message: refused.refusal }, url);
  const relays = turns.filter(({ server, candidates }) => server?.transport === 'udp' && candidates.some(isRelay));
  const implied = relays.some((relay) => asked.some(({ server }) => server?.host === relay.server?.host && server?.port === relay.server?.port));
  if (report.policy === 'relay') return implied ? verdict('stun', 'ok', 'stun.implied', {}, url) : verdict('stun', 'warn', 'stun.hidden', {}, url);
  // A reflexive address that equals a host one is redundant, and most browsers drop it
  // (RFC 8445 section 5.1.3): then an answer of any kind is what shows that STUN works.
  if (implied || asked.some(answered)) return verdict('stun', 'ok', 'stun.no-nat', { address: '' }, url);
  if (!relays.length && turns.some(({ candidates }) => candidates.some(isRelay))) return verdict('stun', 'warn', 'stun.udp-blocked', {}, url);
  return verdict('stun', 'bad', 'stun.unreachable', {}, url);
}

/**
 * Whether the server said anything: an error of its own, or, to a Binding, an answer that
 * left no trace. Silence ends by a 701 or by the deadline; Firefox reports no 701,
 * but gives up only after six seconds.
 *
 * @param {Gathered} gathered
 */
function answered({ server, state, ms, errors }) {
  if (errors.some(({ code }) => code !== unreachableCode)) return true;
  return server?.scheme === 'stun' && state === 'complete' && errors.length === 0 && ms < 4_000;
}

/**
 * @param {Candidate} candidate
 * @param {Report} report
 */
function isLocal(candidate, { gathered }) {
  if (candidate.address === candidate.relatedAddress) return true;
  return gathered.some(({ candidates }) => candidates.some(({ type, address }) => type === 'host' && !isHidden(address) && address === candidate.address));
}

/**
 * @param {Gathered} gathered
 * @param {Gathered[]} turns  all of them: another that works makes silence harmless
 * @returns {Verdict}
 */
function turnVerdict({ server, state, ms, candidates, errors, refusal }, turns) {
  const { url, transport, port, scheme } = /** @type {ServerUrl} */ (server);
  const values = { transport: transport.toUpperCase(), port };
  /** @param {Grade} grade @param {TurnCode} code @param {Record<string, string | number>} [more] */
  const say = (grade, code, more) => verdict('turn', grade, code, { ...values, ...more }, url);

  const relay = candidates.find(isRelay);
  if (relay) return say('ok', 'turn.works', { address: relay.address, ms: relay.atMs });
  if (state === 'running') return say('running', 'turn.running');
  if (state === 'refused') return say('bad', 'turn.refused', { message: refusal });
  const error = errors.find(({ code }) => code !== unreachableCode);
  if (error) {
    const known = turnCodes[error.code];
    return known ? say('bad', known, { code: error.code }) : say('bad', 'turn.rejected', { code: error.code, message: error.text });
  }
  // Firefox may report no error at all, and then ends early.
  if (state === 'complete' && errors.length === 0 && ms < 4_000) return say('bad', 'turn.silent');
  const proto = transport === 'udp' || transport === 'dtls' ? 'udp' : 'tcp';
  const covering = turns.find((other) => other.candidates.some(isRelay))?.server;
  if (covering) return say('warn', 'turn.unreachable-covered', { proto, other: `${covering.transport.toUpperCase()} ${covering.port}` });
  return say('bad', scheme === 'turns' ? 'turn.unreachable-tls' : 'turn.unreachable', { proto });
}

/**
 * @param {Report} report
 * @param {Gathered[]} turns
 * @returns {Verdict}
 */
function relayVerdict(report, turns) {
  const { loopback, state } = report;
  /** @param {Grade} grade @param {RelayCode} code @param {Record<string, string | number>} [values] */
  const say = (grade, code, values) => verdict('relay', grade, code, values);
  if (turns.length === 0 && isChosen(report)) return say('warn', 'relay.none');
  if (!loopback) return state === 'running' ? say('running', 'relay.running') : say('bad', 'relay.skipped');
  const { echo, errorCode, refusal, transport } = loopback;
  const values = { transport: transport.toUpperCase(), median: echo.medianMs ?? 0, max: echo.maxMs ?? 0, loss: echo.lossPercent, sent: echo.sent, damaged: echo.damaged };
  switch (loopback.state) {
    case 'works':
      if (echo.damaged) return say('bad', 'relay.damaged', values);
      return echo.lossPercent > lossyPercent ? say('warn', 'relay.lossy', values) : say('ok', 'relay.works', values);
    case 'no-relay':
      return say('bad', 'relay.no-relay', { code: errorCode });
    case 'no-path':
    case 'not-relayed':
    case 'silent':
      return say('bad', `relay.${loopback.state}`, values);
    case 'refused':
      return say('bad', 'relay.refused', { message: refusal });
    case 'aborted':
      return say('bad', 'relay.skipped');
  }
}

/** @param {Gathered} gathered */
const isTurn = ({ server }) => server !== null && server.scheme !== 'stun';

/** @param {Candidate} candidate */
const isRelay = ({ type }) => type === 'relay';

/** @param {string[]} values */
const unique = (values) => [...new Set(values)];
