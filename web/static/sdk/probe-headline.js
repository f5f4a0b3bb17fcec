// One sentence for all verdicts: will a call connect from here? Pure.

import { verdicts } from './probe-verdict.js';

/**
 * @import { Grade } from './probe-verdict.js'
 * @import { Report } from './probe.js'
 *
 * @typedef {'running' | 'all' | 'direct' | 'local' | 'none'} Reach
 *   all: to everybody. direct: where the two networks let each other in. local:
 *   inside one's own network.
 * @typedef {'running' | 'all.both' | 'all.relayed' | 'all.tcp' | 'direct.no-relay' | 'direct.relay-stuck' | 'local'
 *   | 'none.signaling' | 'none.unsupported' | 'none.relay' | 'none.network'} Why
 * @typedef {{reach: Reach, why: Why, grade: Grade}} Headline
 */

/**
 * headline is "running" until the report is done.
 *
 * @param {Report} report
 * @returns {Headline}
 */
export function headline(report) {
  if (report.state === 'running') return { reach: 'running', why: 'running', grade: 'running' };
  const said = verdicts(report);
  const grade = (/** @type {string} */ check) => said.filter((one) => one.check === check).map((one) => one.grade);
  if (report.unsupported) return none('none.unsupported');
  if (!grade('signaling').includes('ok')) return none('none.signaling');

  const relayed = said.some(({ check, code }) => check === 'relay' && (code === 'relay.works' || code === 'relay.lossy'));
  const seen = (/** @type {string} */ type) => report.gathered.some(({ candidates }) => candidates.some((one) => one.type === type));
  const direct = report.policy === 'all' && (grade('stun').includes('ok') || seen('srflx'));
  if (relayed) {
    if (report.policy === 'relay') return { reach: 'all', why: 'all.relayed', grade: 'ok' };
    return { reach: 'all', why: direct ? 'all.both' : 'all.tcp', grade: 'ok' };
  }
  if (report.policy === 'relay') return none('none.relay');
  if (direct) {
    const allocated = grade('turn').includes('ok');
    return { reach: 'direct', why: allocated ? 'direct.relay-stuck' : 'direct.no-relay', grade: 'warn' };
  }
  return seen('host') ? { reach: 'local', why: 'local', grade: 'warn' } : none('none.network');
}

/**
 * @param {Why} why
 * @returns {Headline}
 */
const none = (why) => ({ reach: 'none', why, grade: 'bad' });
