// What getStats says about a call, in the words of the page. Pure.

/**
 * @typedef {{
 *   path: 'direct' | 'relayed', protocol: 'udp' | 'tcp' | 'tls', rttMs: number | null,
 *   localType: string, remoteType: string,
 *   packetsReceived: number, packetsLost: number, bytesReceived: number, bytesSent: number,
 *   atMs: number, heard: number, packetsSent: number, packetsLostThere: number, jitterMs: number | null,
 *   network: string, near: boolean, relay: {host: string, port: number} | null,
 *   availableBps: number | null, limited: boolean | null, voice: string, sent: Picture | null, received: Picture | null,
 * }} Path
 *   heard: grows while anything comes from the other side. packetsLostThere: of ours, by the other's count. network: "wifi",
 *   "cellular" and the like, "" where the browser does not tell. near: both are in one network. relay: ours.
 *   availableBps: what the browser thinks can leave, null where it does not tell. limited: the picture that we send is made worse
 *   for want of bandwidth. voice: the codec that we hear.
 * @typedef {{width: number, height: number, framesPerSecond: number, codec: string}} Picture
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
  const all = [...entries.values()];
  const of = (/** @type {string} */ type) => all.filter((entry) => entry.type === type);
  const video = (/** @type {Entry[]} */ some) => some.find(({ kind, frameWidth }) => kind === 'video' && frameWidth);
  const codec = (/** @type {Entry | undefined} */ entry) => String(entries.get(String(entry?.codecId))?.mimeType ?? '').replace(/^\w+\//, '');
  const inbound = of('inbound-rtp');
  const outbound = of('outbound-rtp');
  const voice = inbound.find(({ kind }) => kind === 'audio');
  const picture = (/** @type {Entry | undefined} */ entry) =>
    entry
      ? { width: Number(entry.frameWidth), height: Number(entry.frameHeight), framesPerSecond: Math.round(Number(entry.framesPerSecond ?? 0)), codec: codec(entry) }
      : null;
  const reason = video(outbound)?.qualityLimitationReason;
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
    atMs: Number(pair.timestamp ?? 0),
    heard: sum(inbound, 'packetsReceived') + sum([pair], 'bytesReceived') + sum([pair], 'responsesReceived'),
    packetsSent: sum(outbound, 'packetsSent'),
    packetsLostThere: sum(of('remote-inbound-rtp'), 'packetsLost'),
    jitterMs: typeof voice?.jitter === 'number' ? Math.round(voice.jitter * 1000) : null,
    network: String(local.networkType ?? '').replace('unknown', ''),
    near: !relayed && local.candidateType === 'host' && (remote.candidateType === 'host' || isPrivate(remote.address)),
    relay: local.candidateType === 'relay' ? relayOf(local.url) : null,
    availableBps: typeof pair.availableOutgoingBitrate === 'number' ? pair.availableOutgoingBitrate : null,
    limited: typeof reason === 'string' ? reason === 'bandwidth' : null,
    voice: codec(voice),
    sent: picture(video(outbound)),
    received: picture(video(inbound)),
  };
}

/** The addresses of RFC 1918, and link-local and unique local ones. @param {unknown} address */
const isPrivate = (address) => /^(10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|169\.254\.|fe[89ab]|f[cd])/i.test(String(address ?? ''));

/** "turns:call.example.org:443?transport=tcp", or with an IPv6 address in brackets. @param {unknown} url */
function relayOf(url) {
  const [, secure, host = '', port] = /^turn(s?):(\[[^\]]*\]|[^:?]*)(?::(\d+))?/.exec(String(url ?? '')) ?? [];
  return host ? { host, port: Number(port ?? (secure ? 5349 : 3478)) } : null;
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
