// The negotiation with one other member: perfect negotiation (WebRTC 1.0 section
// 10.7) over a channel that keeps one member's messages in order.
//
// Everything that touches the connection's descriptions runs in one queue, so a
// signal that arrives while another is being applied waits its turn, and "is an
// offer of ours out?" is simply the signalling state.

import { Emitter } from './events.js';

/**
 * @import { Candidate, Member, SignalContent } from './message.js'
 *
 * @typedef {'audio' | 'video'} Kind
 * @typedef {Record<Kind, MediaStreamTrack | null>} Tracks
 * @typedef {{scale: number, maxBitrate: number}} VideoLimit  scale: divides width and height. maxBitrate: in bit/s; 0 is the browser's
 * @typedef {'connecting' | 'connected' | 'interrupted' | 'closed'} PeerState
 * @typedef {{
 *   member: Member, iceServers: RTCIceServer[], policy?: RTCIceTransportPolicy, tracks?: Tracks,
 *   send: (content: SignalContent) => void,
 *   freshIceServers?: () => Promise<RTCIceServer[] | null>,
 * }} PeerOptions
 */

/** How long a connection may be `disconnected`, which often heals, before ICE restarts. */
const restartAfterMs = 2_000;
/** How long a connection may bring nothing when the network has changed. */
const proveWithinMs = 1_000;
/** How many candidates may wait for their description. */
const maxHeld = 256;

/**
 * @extends {Emitter<{
 *   state: PeerState, track: {kind: Kind, track: MediaStreamTrack}, channel: RTCDataChannel, error: unknown,
 * }>}
 *   channel: labelled "chat" or "files"
 */
export class Peer extends Emitter {
  #options;
  #connection;
  #polite;
  #life = new AbortController();
  /** @type {Tracks} */
  #tracks;
  /** @type {Partial<Record<Kind, RTCRtpTransceiver>>} */
  #transceivers = {};
  /** @type {RTCDataChannel[]} */
  #channels = [];
  #queue = Promise.resolve();
  /** @type {Candidate[]} Theirs, before their description. */
  #held = [];
  /** @type {Candidate[]} Ours, of this tick. */
  #batch = [];
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #restartTimer;
  #proving = false;
  /** @type {VideoLimit} */
  #limit = { scale: 1, maxBitrate: 0 };
  #paused = false;
  /** @type {PeerState} */
  #state = 'connecting';

  /** @param {PeerOptions} options */
  constructor(options) {
    super();
    this.#options = options;
    this.#polite = !options.member.polite;
    this.#tracks = { audio: null, video: null, ...options.tracks };
    const connection = new RTCPeerConnection({
      iceServers: options.iceServers,
      iceTransportPolicy: options.policy ?? 'all',
      bundlePolicy: 'max-bundle',
    });
    this.#connection = connection;
    const { signal } = this.#life;
    connection.addEventListener('negotiationneeded', () => this.#enqueue(() => this.#offer()), { signal });
    connection.addEventListener('icecandidate', ({ candidate }) => this.#trickle(candidate), { signal });
    connection.addEventListener('connectionstatechange', () => this.#observe(), { signal });
    connection.addEventListener(
      'track',
      ({ track, transceiver }) => {
        this.emit('track', { kind: track.kind === 'audio' ? 'audio' : 'video', track: transceiver.receiver.track });
      },
      { signal },
    );
  }

  /** Who is at the other end. */
  get member() {
    return this.#options.member;
  }

  get state() {
    return this.#state;
  }

  /**
   * start opens the connection on the impolite side; the polite one waits for the
   * offer. Both kinds are always negotiated, so that a track can come later.
   */
  start() {
    if (this.#polite || this.#closed) return;
    for (const kind of /** @type {const} */ (['audio', 'video'])) {
      const transceiver = this.#connection.addTransceiver(kind, { direction: 'sendrecv' });
      this.#transceivers[kind] = transceiver;
      this.#enqueue(() => transceiver.sender.replaceTrack(this.#tracks[kind]));
    }
    this.#openChannels();
  }

  /**
   * receive applies what the other side sent.
   *
   * @param {SignalContent} content
   */
  receive({ description, candidates = [] }) {
    this.#enqueue(async () => {
      if (description) await this.#describe(description);
      for (const candidate of candidates) await this.#addCandidate(candidate);
    });
  }

  /**
   * setTrack sends another track, or none, without negotiating.
   *
   * @param {Kind} kind
   * @param {MediaStreamTrack | null} track
   */
  setTrack(kind, track) {
    this.#tracks[kind] = track;
    this.#enqueue(async () => {
      await this.#transceivers[kind]?.sender.replaceTrack(this.#tracks[kind]);
      if (kind === 'video') await this.#applyLimit();
    });
  }

  /**
   * limitVideo says how large and how dear the picture is that we send, without negotiating.
   *
   * @param {VideoLimit} limit
   */
  limitVideo(limit) {
    this.#limit = limit;
    this.#enqueue(() => this.#applyLimit());
  }

  /**
   * pauseVideo leaves our picture out, or sends it again, without negotiating.
   *
   * @param {boolean} paused
   */
  pauseVideo(paused) {
    this.#paused = paused;
    this.#enqueue(() => this.#applyLimit());
  }

  /** restart gathers new candidates, with fresh servers, for the same call. */
  restart() {
    clearTimeout(this.#restartTimer);
    this.#restartTimer = undefined;
    this.#enqueue(async () => {
      const servers = await this.#options.freshIceServers?.();
      if (this.#closed) return;
      if (servers) this.setIceServers(servers);
      this.#connection.restartIce(); // fires negotiationneeded
    });
  }

  /**
   * resync begins the negotiation anew after signals were lost: the impolite side
   * offers, and both take back what nobody has heard.
   */
  resync() {
    this.#enqueue(async () => {
      if (this.#connection.signalingState === 'have-local-offer') await this.#connection.setLocalDescription({ type: 'rollback' });
    });
    if (!this.#polite) this.restart();
  }

  /**
   * heal restarts ICE where the media has stopped: signaling is back, or the network has changed.
   * ICE itself takes seconds to see that, so a connection that is well in name has a second
   * to prove it. Whichever side notices restarts; the other may know nothing of it.
   */
  heal() {
    if (this.#state === 'interrupted' && !this.#polite) this.restart();
    if (this.#state === 'connected' && !this.#proving) {
      this.#proving = true;
      void this.#prove().finally(() => (this.#proving = false));
    }
  }

  async #prove() {
    const before = await this.#received();
    await new Promise((resolve) => setTimeout(resolve, proveWithinMs));
    if ((await this.#received()) === before && this.#state === 'connected') this.restart();
  }

  /** How much has come in, of whatever kind. */
  async #received() {
    let bytes = 0;
    for (const entry of (await this.getStats())?.values() ?? []) if (entry.type === 'transport') bytes += entry.bytesReceived ?? 0;
    return bytes;
  }

  /** @param {RTCIceServer[]} iceServers  used from the next restart on */
  setIceServers(iceServers) {
    if (this.#closed) return;
    this.#connection.setConfiguration({ ...this.#connection.getConfiguration(), iceServers });
  }

  /** @returns {Promise<RTCStatsReport | null>} */
  async getStats() {
    return this.#closed ? null : this.#connection.getStats();
  }

  /** close ends the connection, its channel, its timers and its listeners. */
  close() {
    if (this.#closed) return;
    this.#life.abort();
    clearTimeout(this.#restartTimer);
    this.#held = this.#batch = [];
    for (const channel of this.#channels) channel.close();
    this.#connection.close();
    this.#setState('closed');
  }

  get #closed() {
    return this.#life.signal.aborted;
  }

  /** @param {() => Promise<void>} operation */
  #enqueue(operation) {
    this.#queue = this.#queue.then(async () => {
      if (this.#closed) return;
      try {
        await operation();
      } catch (error) {
        if (!this.#closed) this.emit('error', error);
      }
    });
  }

  async #offer() {
    // Between an offer and its answer the event comes again once we are stable.
    if (this.#connection.signalingState !== 'stable') return;
    await this.#connection.setLocalDescription();
    this.#sendDescription();
  }

  /** @param {RTCSessionDescriptionInit} description */
  async #describe(description) {
    const connection = this.#connection;
    const collision = description.type === 'offer' && connection.signalingState !== 'stable';
    if (collision && !this.#polite) return; // the polite side rolls its offer back and answers ours
    if (description.type === 'answer' && connection.signalingState !== 'have-local-offer') return; // to an offer rolled back
    await connection.setRemoteDescription(description); // rolls our own offer back where both made one
    if (description.type === 'offer') {
      await this.#acceptMedia();
      await connection.setLocalDescription();
      this.#sendDescription();
    }
    const held = this.#held;
    this.#held = [];
    for (const candidate of held) await this.#addCandidate(candidate);
    await this.#applyLimit();
  }

  /** A picture of letters and lines is never made smaller, only dearer to change. */
  async #applyLimit() {
    const sender = this.#transceivers.video?.sender;
    const parameters = sender?.getParameters();
    const [encoding] = parameters?.encodings ?? [];
    if (!sender || !parameters || !encoding) return; // before the first offer; it is applied with the answer
    const { maxBitrate } = this.#limit;
    const scale = this.#tracks.video?.contentHint === 'detail' ? 1 : this.#limit.scale;
    if ((encoding.scaleResolutionDownBy ?? 1) === scale && (encoding.maxBitrate ?? 0) === maxBitrate && encoding.active !== this.#paused) return;
    encoding.active = !this.#paused;
    encoding.scaleResolutionDownBy = scale;
    if (maxBitrate > 0) encoding.maxBitrate = maxBitrate;
    else delete encoding.maxBitrate;
    await sender.setParameters(parameters);
  }

  /** The polite side sends on the transceivers that the offer made. */
  async #acceptMedia() {
    for (const transceiver of this.#connection.getTransceivers()) {
      const kind = transceiver.receiver.track.kind === 'audio' ? 'audio' : 'video';
      if (this.#transceivers[kind]) continue;
      this.#transceivers[kind] = transceiver;
      transceiver.direction = 'sendrecv';
      await transceiver.sender.replaceTrack(this.#tracks[kind]);
    }
    if (!this.#closed && this.#channels.length === 0) this.#openChannels();
  }

  #openChannels() {
    this.#channels = ['chat', 'files'].map((label, id) => this.#connection.createDataChannel(label, { negotiated: true, id }));
    for (const channel of this.#channels) this.emit('channel', channel);
  }

  #sendDescription() {
    const description = this.#connection.localDescription;
    if (description && !this.#closed) this.#options.send({ description: { type: description.type, sdp: description.sdp } });
  }

  /**
   * Candidates of one tick leave in one signal, the end of them as null.
   *
   * @param {RTCIceCandidate | null} candidate
   */
  #trickle(candidate) {
    if (candidate?.candidate === '') return; // the end of one section; null ends them all
    if (this.#batch.push(candidate && candidate.toJSON()) > 1) return;
    setTimeout(() => {
      const candidates = this.#batch;
      this.#batch = [];
      if (candidates.length > 0) this.#options.send({ candidates });
    });
  }

  /**
   * A candidate belongs to the description that names its ufrag; the one that comes
   * before its description waits for it.
   *
   * @param {Candidate} candidate
   */
  async #addCandidate(candidate) {
    const remote = this.#connection.remoteDescription;
    const ufrag = candidate?.usernameFragment;
    if (!remote || (ufrag && !remote.sdp.includes(`a=ice-ufrag:${ufrag}\r\n`))) {
      if (this.#held.push(candidate) > maxHeld) this.#held.shift(); // the oldest were of an offer rolled back
      return;
    }
    try {
      await this.#connection.addIceCandidate(candidate ?? undefined);
    } catch (error) {
      if (!this.#closed) this.emit('error', error); // one address that this browser cannot use
    }
  }

  #observe() {
    const state = this.#connection.connectionState;
    clearTimeout(this.#restartTimer);
    if (state === 'connected') this.#setState('connected');
    if (state !== 'disconnected' && state !== 'failed') return;
    if (this.#state === 'connected') this.#setState('interrupted');
    if (this.#polite) return; // the other side restarts; both would collide
    this.#restartTimer = setTimeout(() => this.restart(), state === 'failed' ? 0 : restartAfterMs);
  }

  /** @param {PeerState} state */
  #setState(state) {
    if (this.#state === state) return;
    this.#state = state;
    this.emit('state', state);
  }
}
