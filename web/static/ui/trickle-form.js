// The form of the connection test: this server's own ICE servers until someone
// puts in others.

import { flatten, maxServers, readServers } from '../sdk/probe-servers.js';
import { byId, h } from './dom.js';
import { t } from './i18n.js';

/**
 * @import { Server, ServerProblem } from '../sdk/probe-servers.js'
 *
 * @typedef {{servers: Server[], policy: RTCIceTransportPolicy, own: boolean}} Choice
 *   own: whether the servers are those that signaling gave.
 * @typedef {{offer: (list: RTCIceServer[]) => void, read: () => Choice | null, showProblems: () => void}} ServersForm
 *   offer puts in this server's own, where nobody wrote anything else. read
 *   returns null and says why where the form makes no sense.
 */

/**
 * startForm wires the form; submit is called for a test of what it holds.
 *
 * @param {() => void} submit
 * @returns {ServersForm}
 */
export function startForm(submit) {
  const fields = [byId('ice-urls', HTMLTextAreaElement), byId('ice-username', HTMLInputElement), byId('ice-credential', HTMLInputElement)];
  const [urls, username, credential] = /** @type {[HTMLTextAreaElement, HTMLInputElement, HTMLInputElement]} */ (fields);
  const policy = byId('ice-policy', HTMLSelectElement);
  const problem = byId('ice-problem', HTMLElement);
  /** What the fields held when they were filled in. */
  let offered = ['', '', ''];
  /** @type {ServerProblem[]} */
  let problems = [];

  const isUntouched = (/** @type {number} */ i) => fields[i]?.value === offered[i];
  const isOwn = () => fields.every((_, i) => isUntouched(i));

  const showProblems = () => {
    problem.replaceChildren(...problems.map(({ code, text }) => h('p', {}, t(`trickle.problem.${code}`, { text }))));
    urls.setAttribute('aria-invalid', String(problems.length > 0));
  };

  byId('servers-form', HTMLFormElement).addEventListener('submit', (event) => {
    event.preventDefault();
    submit();
  });
  byId('own', HTMLButtonElement).addEventListener('click', () => {
    fields.forEach((field, i) => (field.value = offered[i] ?? ''));
    policy.value = 'all';
    submit();
  });

  return {
    offer(list) {
      const fresh = fieldsOf(flatten(list).slice(0, maxServers));
      const own = isOwn();
      // Credentials are those of a member and end with it: fresh ones for whoever changed only the URLs.
      const credentials = isUntouched(1) && isUntouched(2) && offered[1] !== '';
      fields.forEach((field, i) => {
        if (own || (credentials && i > 0)) field.value = fresh[i] ?? '';
      });
      offered = fresh;
    },
    read() {
      const text = urls.value;
      const found = readServers(text, { username: username.value.trim(), credential: credential.value });
      problems = found.problems;
      showProblems();
      if (problems.length) {
        urls.focus();
        return null;
      }
      return { servers: found.servers, policy: policy.value === 'relay' ? 'relay' : 'all', own: isOwn() };
    },
    showProblems,
  };
}

/**
 * URLs, username and password for the form; JSON where the servers do not share them.
 *
 * @param {Server[]} servers
 */
function fieldsOf(servers) {
  const turns = servers.filter(({ scheme }) => scheme !== 'stun');
  const [first] = turns;
  if (turns.every(({ username, credential }) => username === first?.username && credential === first.credential)) {
    return [servers.map(({ url }) => url).join('\n'), first?.username ?? '', first?.credential ?? ''];
  }
  const list = servers.map(({ url, username, credential }) => (username ? { urls: url, username, credential } : { urls: url }));
  return [JSON.stringify(list, null, 2), '', ''];
}
