// The connections of a call: a line to each other member of the room, and for a while those of
// the membership before, so that media bridges the way to the new one.

import { Emitter } from './events.js';
import { Peer } from './peer.js';
import { qualityOf, windowLooks } from './quality.js';
import { describePath, lossPercent } from './stats.js';
import { decide, newThrift } from './thrift.js';

/**
 * @import { Ice, Member, Resumed, SignalContent } from './message.js'
 * @import { Kind, PeerState, Tracks } from './peer.js'
 * @import { Quality } from './quality.js'
 * @import { Path } from './stats.js'
 * @import { Thrift } from './thrift.js'
 *
 * @typedef {{member: Member, peer: Peer, stream: MediaStream, looks: Path[], thrift: Thrift | null, life: AbortController}} Line
 *   looks: of the last seconds, the oldest first
 * @typedef {{
 *   policy?: RTCIceTransportPolicy, tracks: Tracks,
 *   send: (to: string, content: SignalContent) => void,
 *   freshIceServers: () => Promise<RTCIceServer[] | null>,
 * }} LinesOptions
 */

/** How long the media of an old membership may bridge the way to the new one. */
const bridgeMs = 10_000;

/**
 * What each of so many others gets of our picture: it is encoded and sent to everyone by itself.
 *
 * @type {import('./peer.js').VideoLimit[]}
 */
const limits = [
  { scale: 1, maxBitrate: 0 },
  { scale: 1, maxBitrate: 0 },
  { scale: 1, maxBitrate: 1_000_000 },
  { scale: 1.5, maxBitrate: 600_000 },
  { scale: 2, maxBitrate: 400_000 },
  { scale: 2, maxBitrate: 300_000 },
];

/**
 * @extends {Emitter<{
 *   peer: {member: Member, stream: MediaStream, state: PeerState},
 *   track: {member: Member, stream: MediaStream, kind: Kind, track: MediaStreamTrack},
 *   channel: {member: Member, channel: RTCDataChannel},
 *   path: {member: Member, path: Path, lossPercent: number, quality: Quality},
 *   paused: {member: Member, paused: boolean},
 *   missing: Member, change: null, error: unknown,
 * }>}
 *   missing: who has gone while nobody could tell us. change: of a peer's state. paused: our
 *   picture to them, for want of bandwidth.
 */
export class Lines extends Emitter {
  #options;
  /** @type {RTCIceServer[]} */
  #iceServers = [];
  /** @type {Map<string, Line>} By member id, of this membership. */
  #lines = new Map();
  /** @type {Set<Line>} Of the membership before, until the new one carries media. */
  #bridges = new Set();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #bridgeTimer;
  /** @type {Set<string>} Ids of members who may have gone while nobody could tell us. */
  #missing = new Set();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #missingTimer;
  #keepPicture = false;

  /** @param {LinesOptions} options */
  constructor(options) {
    super();
    this.#options = options;
  }

  /** The others in the room. */
  get members() {
    return [...this.#lines.values()].map(({ member }) => member);
  }

  /** How every connection fares. */
  get states() {
    return this.#every().map(({ peer }) => peer.state);
  }

  /** @param {string} id */
  member(id) {
    return this.#every().find(({ member }) => member.id === id)?.member ?? null;
  }

  /**
   * enter connects to the members of a room that we have come into. Those of a membership
   * before hold a new member, so each pair negotiates anew while the old connection still
   * carries media.
   *
   * @param {Member[]} members
   * @param {Ice} ice
   */
  enter(members, ice) {
    for (const line of this.#lines.values()) this.#bridges.add(line);
    this.#lines.clear();
    clearTimeout(this.#bridgeTimer);
    this.#bridgeTimer = setTimeout(() => this.#closeBridges(), bridgeMs);
    this.#iceServers = ice.servers;
    for (const member of members) this.connect(member);
  }

  /**
   * resume goes on after a lost socket: who is there is the same, and so is the call. A
   * server that was restarted knows only who has come back; the rest may still do so.
   *
   * @param {Resumed} resumed
   */
  resume({ members, ice, lost, restored, session }) {
    this.setIceServers(ice.servers);
    for (const member of members) this.update(member);
    const present = new Set(members.map(({ id }) => id));
    if (lost) this.#missing = new Set([...this.#lines.keys()].filter((id) => !present.has(id)));
    clearTimeout(this.#missingTimer);
    this.#missingTimer = setTimeout(() => this.#giveUp(), restored && session ? session.grace * 1000 : 0);
    for (const { peer } of this.#lines.values()) peer.heal();
  }

  /**
   * update takes over what the server says of a member, and connects to one that is new.
   *
   * @param {Member} member
   */
  update(member) {
    this.#missing.delete(member.id);
    const line = this.#lines.get(member.id);
    if (line) line.member = member;
    else this.connect(member);
  }

  /** @param {Member} member */
  connect(member) {
    const stream = new MediaStream();
    const life = new AbortController();
    const peer = new Peer({
      member,
      iceServers: this.#iceServers,
      policy: this.#options.policy,
      tracks: this.#options.tracks,
      send: (content) => {
        // A peer of an older membership has nobody to write to any more.
        if (this.#lines.get(member.id)?.peer === peer) this.#options.send(member.id, content);
      },
      freshIceServers: this.#options.freshIceServers,
    });
    /** @type {Line} */
    const line = { member, peer, stream, looks: [], thrift: null, life };
    const owned = { signal: life.signal };
    this.#lines.set(member.id, line);
    peer.addEventListener(
      'track',
      ({ detail: { kind, track } }) => {
        stream.addTrack(track);
        this.emit('track', { member: line.member, stream, kind, track });
      },
      owned,
    );
    peer.addEventListener('channel', ({ detail: channel }) => this.emit('channel', { member, channel }), owned);
    peer.addEventListener('error', ({ detail }) => this.emit('error', detail), owned);
    peer.addEventListener('state', ({ detail }) => this.#peerChanged(line, detail), owned);
    this.emit('peer', { member, stream, state: peer.state });
    peer.start();
    this.#shareOut();
  }

  /** @param {string} id  of a member who has left */
  disconnect(id) {
    this.#missing.delete(id);
    const line = this.#lines.get(id);
    this.#lines.delete(id);
    if (line) this.#hangUp(line);
    this.#shareOut();
  }

  /**
   * @param {string} from
   * @param {SignalContent} content
   */
  receive(from, content) {
    this.#lines.get(from)?.peer.receive(content);
  }

  /** @param {string} id  of a member to or from whom signals were lost */
  resync(id) {
    this.#lines.get(id)?.peer.resync();
  }

  /** hurry does not wait to see whether a connection heals: the network has changed. */
  hurry() {
    for (const { peer } of this.#lines.values()) peer.heal();
  }

  /** @param {RTCIceServer[]} servers  in place of the ones that every connection has */
  setIceServers(servers) {
    this.#iceServers = servers;
    for (const { peer } of this.#every()) peer.setIceServers(servers);
  }

  /**
   * @param {Kind} kind
   * @param {MediaStreamTrack | null} track
   */
  setTrack(kind, track) {
    this.#options.tracks[kind] = track;
    for (const { peer } of this.#every()) peer.setTrack(kind, track);
  }

  async measure() {
    for (const line of this.#every()) {
      const report = await line.peer.getStats();
      const path = report && describePath(/** @type {Map<string, Record<string, string>>} */ (/** @type {unknown} */ (report)));
      if (!path || line.life.signal.aborted || line.peer.state !== 'connected') continue;
      const lost = lossPercent(line.looks.at(-1) ?? null, path);
      line.looks = [...line.looks, path].slice(-windowLooks);
      const quality = qualityOf(line.looks);
      if (!quality) continue;
      this.emit('path', { member: line.member, path, lossPercent: lost, quality });
      this.#spare(line, path, quality);
    }
  }

  /**
   * keepPicture sends the picture to everyone, however little of it gets through.
   *
   * @param {boolean} keep
   */
  keepPicture(keep) {
    this.#keepPicture = keep;
    for (const line of this.#every()) {
      if (keep && line.thrift?.paused) this.#pause(line, false);
      line.thrift = null;
    }
  }

  /**
   * Where the way to one of the others is too narrow for both, the voice goes first.
   *
   * @param {Line} line
   * @param {Path} path
   * @param {Quality} quality
   */
  #spare(line, { atMs, availableBps, limited }, { upLossPercent }) {
    if (this.#keepPicture) return;
    const before = (line.thrift ??= newThrift(atMs));
    const { video } = this.#options.tracks;
    line.thrift = decide(before, { atMs, availableBps, limited, upLossPercent, hasPicture: video?.enabled === true });
    if (line.thrift.paused !== before.paused) this.#pause(line, line.thrift.paused);
  }

  /**
   * @param {Line} line
   * @param {boolean} paused
   */
  #pause(line, paused) {
    line.peer.pauseVideo(paused);
    this.emit('paused', { member: line.member, paused });
  }

  /** close ends every connection and every timer. */
  close() {
    clearTimeout(this.#bridgeTimer);
    clearTimeout(this.#missingTimer);
    for (const line of this.#every()) this.#hangUp(line);
    this.#lines.clear();
  }

  #shareOut() {
    const limit = limits[Math.min(this.#lines.size, limits.length - 1)];
    for (const { peer } of this.#lines.values()) if (limit) peer.limitVideo(limit);
  }

  /** Those who have gone while nobody could tell us. */
  #giveUp() {
    for (const id of [...this.#missing]) {
      const member = this.#lines.get(id)?.member;
      if (member) this.emit('missing', member);
    }
    this.#missing.clear();
  }

  /**
   * @param {Line} line
   * @param {PeerState} state
   */
  #peerChanged(line, state) {
    this.emit('peer', { member: line.member, stream: line.stream, state });
    if (this.#bridges.has(line) && state === 'interrupted') this.#hangUp(line);
    else if (state === 'connected') {
      this.#closeBridges();
      void this.measure();
    }
    this.emit('change', null);
  }

  /** @param {Line} line */
  #hangUp(line) {
    this.#bridges.delete(line);
    line.peer.close(); // emits its last state
    line.life.abort();
  }

  #closeBridges() {
    for (const line of [...this.#bridges]) this.#hangUp(line);
    this.emit('change', null);
  }

  #every() {
    return [...this.#lines.values(), ...this.#bridges];
  }
}
