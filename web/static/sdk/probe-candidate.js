// What a browser says about an ICE candidate, read into plain fields. Pure.

/**
 * @typedef {'host' | 'srflx' | 'prflx' | 'relay'} CandidateType
 * @typedef {{
 *   type: CandidateType, protocol: string, relayProtocol: string,
 *   address: string, port: number, relatedAddress: string,
 *   priority: number, url: string, atMs: number,
 * }} Candidate
 *   relayProtocol: how the relay is spoken with, "" unless it is known. url: the server
 *   that gave it, "" for a host candidate. atMs: since gathering began.
 * @typedef {{
 *   candidate?: string | null, type?: string | null, protocol?: string | null, address?: string | null,
 *   port?: number | null, priority?: number | null, relatedAddress?: string | null,
 *   relayProtocol?: string | null, url?: string | null,
 * }} Given  an RTCIceCandidate, or as much of one as the browser has
 */

/**
 * readCandidate takes the browser's fields where it has them, else those of the
 * candidate line (RFC 8839 section 5.1); null for the end of candidates and
 * for what is no candidate.
 *
 * @param {Given} given
 * @param {{atMs?: number, url?: string}} [more]  url: of the event, or of the only server asked
 * @returns {Candidate | null}
 */
export function readCandidate(given, { atMs = 0, url = '' } = {}) {
  const line = parseLine(given.candidate ?? '');
  const type = given.type ?? line.typ ?? '';
  if (!isType(type)) return null;
  return {
    type,
    protocol: (given.protocol ?? line.protocol ?? '').toLowerCase(),
    relayProtocol: type === 'relay' ? (given.relayProtocol ?? '') : '',
    address: given.address ?? line.address ?? '',
    port: given.port ?? Number(line.port ?? 0),
    relatedAddress: given.relatedAddress ?? line.raddr ?? '',
    priority: given.priority ?? Number(line.priority ?? 0),
    url: type === 'host' ? '' : given.url || url,
    atMs,
  };
}

/**
 * candidate:foundation component protocol priority address port typ TYPE [name value]…
 *
 * @param {string} line
 * @returns {Record<string, string | undefined>}
 */
function parseLine(line) {
  const words = line.replace(/^a=/, '').replace(/^candidate:/, '').trim().split(/\s+/);
  if (words.length < 8) return {};
  const [foundation, component, protocol, priority, address, port, ...rest] = words;
  /** @type {Record<string, string | undefined>} */
  const fields = { foundation, component, protocol, priority, address, port };
  for (let i = 0; i + 1 < rest.length; i += 2) fields[/** @type {string} */ (rest[i])] ??= rest[i + 1];
  return fields;
}

/**
 * splitPriority undoes 2^24 × type + 2^8 × local + (256 − component), RFC 8445
 * section 5.1.2.1; the last part is 255 for the first component.
 *
 * @param {number} priority
 */
export function splitPriority(priority) {
  return [priority >>> 24, (priority >>> 8) & 0xffff, priority & 0xff].join(' | ');
}

/**
 * isHidden tells an mDNS name that stands for a local address.
 *
 * @param {string} address
 */
export const isHidden = (address) => /\.local\.?$/i.test(address);

/** @param {string} type @returns {type is CandidateType} */
const isType = (type) => type === 'host' || type === 'srflx' || type === 'prflx' || type === 'relay';
