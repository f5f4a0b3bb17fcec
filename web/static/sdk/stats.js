// What getStats says about a call, in the words of the page. Pure.

/**
 * @typedef {{
 *   path: 'direct' | 'relayed', protocol: 'udp' | 'tcp' | 'tls', rttMs: number | null,
 *   localType: string, remoteType: string,
 *   packetsReceived: number, packetsLost: number, bytesReceived: number, bytesSent: number,
 * }} Path
 * @typedef {Record<string, string | number | boolean | undefined>} Entry
 * @typedef {Iterable<readonly [string, Entry]>} Report  an RTCStatsReport, or a Map in tests
 */

/**
 * describePath reads the selected candidate pair; null while there is none.
 *
 * The pair is relayed if either side's candidate is: with the policy "all" the
 * relay often shows on one side only.
 *
 * @param {Report} report
 * @returns {Path | null}
 */
export function describePath(report) {
  const entries = new Map(report);
  const pair = selectedPair(entries);
  const local = entries.get(String(pair?.localCandidateId));
  const remote = entries.get(String(pair?.remoteCandidateId));
  if (!pair || !local || !remote) return null;
  const relayed = local.candidateType === 'relay' || remote.candidateType === 'relay';
  const rtt = pair.currentRoundTripTime;
  const inbound = [...entries.values()].filter((entry) => entry.type === 'inbound-rtp');
  return {
    path: relayed ? 'relayed' : 'direct',
    protocol: protocolOf(local),
    rttMs: typeof rtt === 'number' ? Math.round(rtt * 1000) : null,
    localType: String(local.candidateType),
    remoteType: String(remote.candidateType),
    packetsReceived: sum(inbound, 'packetsReceived'),
    packetsLost: sum(inbound, 'packetsLost'),
    bytesReceived: Number(pair.bytesReceived ?? 0),
    bytesSent: Number(pair.bytesSent ?? 0),
  };
}

/**
 * lossPercent is the share of packets lost between two looks; 0 where too few
 * passed to say.
 *
 * @param {Path | null} before
 * @param {Path} now
 */
export function lossPercent(before, now) {
  if (!before) return 0;
  const lost = now.packetsLost - before.packetsLost;
  const total = lost + now.packetsReceived - before.packetsReceived;
  return lost > 0 && total >= 20 ? Math.round((lost / total) * 100) : 0;
}

/**
 * Chromium and Safari name the pair in the transport, Firefox marks the pair.
 *
 * @param {Map<string, Entry>} entries
 */
function selectedPair(entries) {
  const all = [...entries.values()];
  const transport = all.find((entry) => entry.type === 'transport' && entry.selectedCandidatePairId);
  if (transport) return entries.get(String(transport.selectedCandidatePairId));
  const pairs = all.filter((entry) => entry.type === 'candidate-pair' && entry.state === 'succeeded');
  return pairs.find((pair) => pair.selected) ?? pairs.find((pair) => pair.nominated);
}

/**
 * How our own packets leave: a relay candidate's protocol is the relay's UDP, so
 * what we speak with the relay is its relayProtocol.
 *
 * @param {Entry} local
 * @returns {Path['protocol']}
 */
function protocolOf(local) {
  const named = (local.candidateType === 'relay' ? local.relayProtocol : undefined) ?? local.protocol;
  return named === 'tcp' || named === 'tls' ? named : 'udp';
}

/**
 * @param {Entry[]} entries
 * @param {string} field
 */
const sum = (entries, field) => entries.reduce((total, entry) => total + Number(entry[field] ?? 0), 0);
