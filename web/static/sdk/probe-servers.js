// The ICE servers that someone typed or pasted: checked, and taken apart. Pure.

/**
 * @typedef {'udp' | 'tcp' | 'tls' | 'dtls'} Transport  how the server is spoken with
 * @typedef {{url: string, scheme: 'stun' | 'turn' | 'turns', host: string, port: number, transport: Transport}} ServerUrl
 * @typedef {ServerUrl & {username: string, credential: string}} Server  one URL and what it takes
 * @typedef {'scheme' | 'slashes' | 'host' | 'port' | 'query' | 'query-stun' | 'credentials' | 'json' | 'many'} ServerProblemCode
 * @typedef {{code: ServerProblemCode, text: string}} ServerProblem  text: what was typed
 */

/** Every URL costs a connection and, with TURN, an allocation of the user's quota. */
export const maxServers = 8;

/**
 * parseServerUrl checks a URL as RFC 7064 (stun) and RFC 7065 (turn) write it.
 *
 * @param {string} text
 * @returns {ServerUrl | ServerProblem}
 */
export function parseServerUrl(text) {
  const url = text.trim();
  /** @param {ServerProblemCode} code @returns {ServerProblem} */
  const problem = (code) => ({ code, text: url });
  const scheme = /^(stun|turns?):/i.exec(url)?.[1]?.toLowerCase();
  if (scheme !== 'stun' && scheme !== 'turn' && scheme !== 'turns') return problem('scheme');
  const after = url.slice(scheme.length + 1);
  if (after.startsWith('/')) return problem('slashes');
  const [authority = '', ...queries] = after.split('?');
  const query = queries.join('?');
  const parts = /^(\[[0-9a-f:.]+\]|[^\s:/@#[\]]+)(?::(.*))?$/i.exec(authority);
  if (!parts) return problem('host');
  const [, host = '', digits] = parts;
  const port = digits === undefined ? (scheme === 'turns' ? 5349 : 3478) : /^\d{1,5}$/.test(digits) ? Number(digits) : 0;
  if (port < 1 || port > 65535) return problem('port');
  if (after.includes('?') && scheme === 'stun') return problem('query-stun');
  const transport = after.includes('?') ? /^transport=(udp|tcp)$/i.exec(query)?.[1]?.toLowerCase() : scheme === 'turns' ? 'tcp' : 'udp';
  if (transport !== 'udp' && transport !== 'tcp') return problem('query');
  return { url, scheme, host, port, transport: scheme === 'turns' ? (transport === 'udp' ? 'dtls' : 'tls') : transport };
}

/**
 * readServers reads URLs, one a line, or an RTCIceServer list in JSON, as it
 * stands in other applications' configuration. A username and credential in the JSON are its
 * own; the rest get those of the form.
 *
 * @param {string} text
 * @param {{username?: string, credential?: string}} [form]
 * @returns {{servers: Server[], problems: ServerProblem[]}}
 */
export function readServers(text, { username = '', credential = '' } = {}) {
  const listed = /^\s*[[{]/.test(text) ? readJson(text) : readLines(text);
  if (!listed) return { servers: [], problems: [{ code: 'json', text: '' }] };
  /** @type {Server[]} */
  const servers = [];
  /** @type {ServerProblem[]} */
  const problems = [];
  for (const entry of listed) {
    const parsed = parseServerUrl(entry.url);
    if ('code' in parsed) {
      problems.push(parsed);
      continue;
    }
    const server = { ...parsed, username: entry.username ?? username, credential: entry.credential ?? credential };
    if (parsed.scheme === 'stun') server.username = server.credential = '';
    else if (!server.username || !server.credential) problems.push({ code: 'credentials', text: parsed.url });
    if (!servers.some((other) => other.url === server.url && other.username === server.username)) servers.push(server);
  }
  if (servers.length > maxServers) problems.push({ code: 'many', text: String(servers.length) });
  return { servers, problems };
}

/** @typedef {{url: string, username?: string, credential?: string}} Listed */

/**
 * @param {string} text
 * @returns {Listed[]}
 */
function readLines(text) {
  return text
    .split(/[\s,]+/)
    .filter(Boolean)
    .map((url) => ({ url }));
}

/**
 * A list of RTCIceServer, one of them, or an RTCConfiguration with iceServers.
 *
 * @param {string} text
 * @returns {Listed[] | null}
 */
function readJson(text) {
  let parsed;
  try {
    parsed = JSON.parse(text);
  } catch {
    return null;
  }
  const list = Array.isArray(parsed) ? parsed : isObject(parsed) && Array.isArray(parsed.iceServers) ? parsed.iceServers : [parsed];
  /** @type {Listed[]} */
  const found = [];
  for (const entry of list) {
    if (!isObject(entry)) return null;
    const urls = Array.isArray(entry.urls) ? entry.urls : [entry.urls ?? entry.url];
    for (const url of urls) {
      if (typeof url !== 'string') return null;
      found.push({ url, username: stringOrNone(entry.username), credential: stringOrNone(entry.credential) });
    }
  }
  return found;
}

/**
 * flatten turns an RTCIceServer list, as signaling gives it, into servers with
 * one URL each. What cannot be parsed is left out.
 *
 * @param {RTCIceServer[]} list
 */
export const flatten = (list) => readServers(JSON.stringify(list)).servers;

/**
 * iceServer is what RTCPeerConnection takes for this server.
 *
 * @param {Server} server
 * @returns {RTCIceServer}
 */
export function iceServer({ url, scheme, username, credential }) {
  return scheme === 'stun' ? { urls: [url] } : { urls: [url], username, credential };
}

/** @param {unknown} value @returns {value is Record<string, unknown>} */
const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);

/** @param {unknown} value */
const stringOrNone = (value) => (typeof value === 'string' ? value : undefined);
