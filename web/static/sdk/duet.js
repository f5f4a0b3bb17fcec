// Duet's browser SDK: a call in any page or app, without a line of user interface.
//
//     import { Call } from 'https://duet.example/sdk/duet.js';
//
//     const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
//     const call = new Call({ room: 'tea', name: 'Ann', stream });
//     call.addEventListener('track', ({ detail }) => { video.srcObject = detail.stream; });
//     await call.join();
//     …
//     call.leave();
//
// Another site than the server's own must be in its [http] allowed_origins. The
// stream stays the caller's: leave() stops nothing in it.

import { Chat } from './chat.js';
import { Emitter } from './events.js';
import { Peer } from './peer.js';
import { Signaling } from './signaling.js';
import { describePath, lossPercent } from './stats.js';

export { Chat, maxTextCharacters } from './chat.js';
export { DuetEvent, Emitter } from './events.js';
export { Peer } from './peer.js';
export { Signaling, SignalingError } from './signaling.js';
export { describePath, lossPercent } from './stats.js';

/**
 * @import { ChatMessage, Devices } from './chat.js'
 * @import { Joined, Member, MemberEvent, Resumed } from './message.js'
 * @import { Kind, PeerState, Tracks } from './peer.js'
 * @import { Interruption, SignalingError, SignalingOptions } from './signaling.js'
 * @import { Path } from './stats.js'
 *
 * @typedef {'new' | 'joining' | 'waiting' | 'connecting' | 'connected' | 'reconnecting' | 'left' | 'ended'} CallState
 * @typedef {{
 *   room: string, name?: string, token?: string, stream?: MediaStream | null,
 *   url?: string | URL,
 *   policy?: RTCIceTransportPolicy,
 *   signal?: AbortSignal,
 *   WebSocket?: SignalingOptions['WebSocket'],
 * }} CallOptions
 *   token: lets us in where the server asks for one.
 *   url: of the signaling server; that of this module's host unless given.
 *   policy: "relay" sends everything through the relay. signal: abort leaves.
 *
 * @typedef {{peer: Peer, stream: MediaStream, path: Path | null, life: AbortController}} Line
 *   One peer and what belongs to it.
 */

const statsEveryMs = 2_000;
/** How long the media of an old membership may bridge the way to the new one. */
const bridgeMs = 10_000;

/**
 * @extends {Emitter<{
 *   state: {state: CallState, member: Member | null, reason: string},
 *   member: MemberEvent,
 *   peer: {member: Member, stream: MediaStream, state: PeerState},
 *   track: {member: Member, stream: MediaStream, kind: Kind, track: MediaStreamTrack},
 *   path: {member: Member, path: Path, lossPercent: number},
 *   chat: ChatMessage & {member: Member | null, sent: boolean},
 *   sent: {id: string},
 *   devices: Devices & {member: Member},
 *   interrupted: Interruption,
 *   error: unknown,
 *   ended: {reason: 'left' | 'error', error: SignalingError | null},
 * }>}
 */
export class Call extends Emitter {
  #options;
  #signaling;
  #chat = new Chat();
  #life = new AbortController();
  /** @type {Tracks} */
  #tracks;
  /** @type {Map<string, Line>} By member id, of this membership. */
  #lines = new Map();
  /** @type {Set<Line>} Of the membership before, until the new one carries media. */
  #bridges = new Set();
  /** @type {Joined | null} */
  #joined = null;
  #online = false;
  /** @type {{member: Member, reason: string} | null} */
  #lastLeft = null;
  /** @type {CallState} */
  #state = 'new';
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #statsTimer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #bridgeTimer;
  /** @type {Set<string>} Ids of members who may have gone while nobody could tell us. */
  #missing = new Set();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #missingTimer;

  /** @param {CallOptions} options */
  constructor(options) {
    super();
    this.#options = options;
    this.#tracks = {
      audio: options.stream?.getAudioTracks()[0] ?? null,
      video: options.stream?.getVideoTracks()[0] ?? null,
    };
    const { room, name = '', token, WebSocket } = options;
    this.#signaling = new Signaling({ url: options.url ?? defaultUrl(), room, name, token, WebSocket });
    this.#listen();
    const left = { once: true, signal: this.#life.signal };
    options.signal?.addEventListener('abort', () => this.leave(), left);
    if (options.signal?.aborted) this.leave();
  }

  get state() {
    return this.#state;
  }

  /** The others in the room. */
  get members() {
    return [...this.#lines.values()].map(({ peer }) => peer.member);
  }

  /** How many the room holds; 0 before joining. */
  get capacity() {
    return this.#joined?.room.capacity ?? 0;
  }

  /**
   * join enters the room and connects to whoever is there.
   *
   * @returns {Promise<void>} rejects with a SignalingError, of code "room_full" and the like
   */
  async join() {
    if (this.#state === 'new') this.#setState('joining');
    await this.#signaling.connect();
  }

  /**
   * setTrack sends another track, or none, to everyone. Nothing is negotiated.
   *
   * @param {Kind} kind
   * @param {MediaStreamTrack | null} track
   */
  setTrack(kind, track) {
    this.#tracks[kind] = track;
    for (const { peer } of this.#everyLine()) peer.setTrack(kind, track);
  }

  /**
   * setDevices tells the others what is switched on here, for their display.
   *
   * @param {Devices} devices
   */
  setDevices(devices) {
    this.#chat.setDevices(devices);
  }

  /**
   * sendChat sends a text; it waits where nobody is there. It comes back as a
   * `chat` event with member null.
   *
   * @param {string} text
   */
  sendChat(text) {
    const message = this.#chat.send(text);
    if (message) this.emit('chat', { ...message, member: null });
  }

  /** retryNow reconnects without waiting, or finds out whether it must: the network has changed. */
  retryNow() {
    this.#signaling.retryNow();
  }

  /** leave ends the call and every timer, listener, channel and connection of it. */
  leave() {
    this.#end('left', null);
  }

  #listen() {
    const signaling = this.#signaling;
    const owned = { signal: this.#life.signal };
    signaling.addEventListener('joined', ({ detail }) => this.#enter(detail), owned);
    signaling.addEventListener('resumed', ({ detail }) => this.#resume(detail), owned);
    signaling.addEventListener('resync', ({ detail }) => this.#lines.get(detail.with)?.peer.resync(), owned);
    signaling.addEventListener('member', ({ detail }) => this.#memberChanged(detail), owned);
    signaling.addEventListener('signal', ({ detail }) => this.#lines.get(detail.from)?.peer.receive(detail), owned);
    signaling.addEventListener(
      'ice',
      ({ detail }) => {
        if (this.#joined) this.#joined.ice = detail;
        for (const { peer } of this.#everyLine()) peer.setIceServers(detail.servers);
      },
      owned,
    );
    signaling.addEventListener(
      'interrupted',
      ({ detail }) => {
        this.#online = false;
        this.emit('interrupted', detail);
        this.#update();
      },
      owned,
    );
    signaling.addEventListener('ended', ({ detail }) => this.#end('error', detail), owned);
    this.#chat.addEventListener(
      'message',
      ({ detail: { id, text, at, from } }) => {
        this.emit('chat', { id, text, at, member: this.#member(from), sent: true });
      },
      owned,
    );
    this.#chat.addEventListener('sent', ({ detail }) => this.emit('sent', detail), owned);
    this.#chat.addEventListener(
      'devices',
      ({ detail: { from, mic, camera } }) => {
        const member = this.#member(from);
        if (member) this.emit('devices', { mic, camera, member });
      },
      owned,
    );
  }

  /**
   * The room, at first or after a lost socket. The others then hold a new member,
   * so each pair negotiates anew while the old connection still carries media.
   *
   * @param {Joined} joined
   */
  #enter(joined) {
    for (const line of this.#lines.values()) this.#bridges.add(line);
    const before = [...this.#lines.values()].map(({ peer }) => peer.member);
    this.#lines.clear();
    clearTimeout(this.#bridgeTimer);
    this.#bridgeTimer = setTimeout(() => this.#closeBridges(), bridgeMs);
    this.#joined = joined;
    this.#online = true;
    if (before[0] && joined.members.length === 0) this.#lastLeft = { member: before[0], reason: 'lost' };
    for (const member of joined.members) this.#connect(member);
    this.#update();
  }

  /**
   * The same room after a lost socket: who is there is the same, and so is the call. A
   * server that was restarted knows only who has come back; the rest may still do so.
   *
   * @param {Resumed} resumed
   */
  #resume({ members, ice, lost, restored, session }) {
    this.#online = true;
    if (this.#joined) this.#joined.ice = ice;
    for (const { peer } of this.#everyLine()) peer.setIceServers(ice.servers);
    for (const member of members) if (!this.#lines.has(member.id)) this.#connect(member);
    const present = new Set(members.map(({ id }) => id));
    if (lost) this.#missing = new Set([...this.#lines.keys()].filter((id) => !present.has(id)));
    clearTimeout(this.#missingTimer);
    this.#missingTimer = setTimeout(() => this.#giveUp(), restored && session ? session.grace * 1000 : 0);
    for (const { peer } of this.#lines.values()) peer.heal();
    this.#update();
  }

  /** Ends the lines to members who have gone while nobody could tell us. */
  #giveUp() {
    for (const id of this.#missing) {
      const member = this.#lines.get(id)?.peer.member;
      if (member) this.#memberChanged({ type: 'member', seq: 0, event: 'left', member, reason: 'lost' });
    }
    this.#missing.clear();
  }

  /** @param {MemberEvent} change */
  #memberChanged(change) {
    const { event, member, reason } = change;
    this.#missing.delete(member.id);
    if (event === 'joined' || (event === 'back' && !this.#lines.has(member.id))) {
      this.#connect(member);
    } else if (event === 'left') {
      const line = this.#lines.get(member.id);
      this.#lines.delete(member.id);
      this.#lastLeft = { member, reason };
      if (line) this.#hangUp(line);
    }
    this.emit('member', change);
    this.#update();
  }

  /** @param {Member} member */
  #connect(member) {
    const stream = new MediaStream();
    const life = new AbortController();
    const peer = new Peer({
      member,
      iceServers: this.#joined?.ice.servers ?? [],
      policy: this.#options.policy,
      tracks: this.#tracks,
      send: (content) => {
        // A peer of an older membership has nobody to write to any more.
        if (this.#lines.get(member.id)?.peer === peer) this.#signaling.send({ type: 'signal', to: member.id, ...content });
      },
      freshIceServers: async () => (await this.#signaling.requestIce())?.servers ?? null,
    });
    const line = { peer, stream, path: null, life };
    const owned = { signal: life.signal };
    this.#lines.set(member.id, line);
    peer.addEventListener(
      'track',
      ({ detail: { kind, track } }) => {
        stream.addTrack(track);
        this.emit('track', { member, stream, kind, track });
      },
      owned,
    );
    peer.addEventListener('channel', ({ detail }) => this.#chat.attach(member.id, detail), owned);
    peer.addEventListener('error', ({ detail }) => this.emit('error', detail), owned);
    peer.addEventListener('state', ({ detail }) => this.#peerChanged(line, detail), owned);
    this.emit('peer', { member, stream, state: peer.state });
    peer.start();
  }

  /**
   * @param {Line} line
   * @param {PeerState} state
   */
  #peerChanged(line, state) {
    const { member } = line.peer;
    this.emit('peer', { member, stream: line.stream, state });
    if (this.#bridges.has(line) && state === 'interrupted') this.#hangUp(line);
    else if (state === 'connected') {
      this.#closeBridges();
      void this.#measure();
    }
    this.#update();
  }

  /** @param {Line} line */
  #hangUp(line) {
    this.#bridges.delete(line);
    line.peer.close(); // emits its last state
    line.life.abort();
  }

  #closeBridges() {
    for (const line of [...this.#bridges]) this.#hangUp(line);
    this.#update();
  }

  /** What the page shows follows from who is there and how their media fares. */
  #update() {
    if (this.#state === 'ended' || this.#state === 'new') return;
    const states = [...this.#everyLine()].map(({ peer }) => peer.state);
    if (states.includes('connected')) {
      this.#lastLeft = null;
      return this.#setState('connected');
    }
    const recovering = this.#state === 'connected' || this.#state === 'reconnecting';
    if (!this.#joined) return this.#setState('joining');
    if (!this.#online || states.includes('interrupted')) return this.#setState('reconnecting');
    if (states.length > 0) return this.#setState(recovering ? 'reconnecting' : 'connecting');
    this.#setState(this.#lastLeft ? 'left' : 'waiting');
  }

  /** @param {CallState} state */
  #setState(state) {
    if (this.#state === state) return;
    this.#state = state;
    const measuring = state === 'connected';
    clearInterval(this.#statsTimer);
    if (measuring) this.#statsTimer = setInterval(() => void this.#measure(), statsEveryMs);
    const left = state === 'left' ? this.#lastLeft : null;
    this.emit('state', { state, member: left?.member ?? this.members[0] ?? null, reason: left?.reason ?? '' });
  }

  async #measure() {
    for (const line of this.#everyLine()) {
      const report = await line.peer.getStats();
      const path = report && describePath(/** @type {Map<string, Record<string, string>>} */ (/** @type {unknown} */ (report)));
      if (!path || line.life.signal.aborted || line.peer.state !== 'connected') continue;
      const lost = lossPercent(line.path, path);
      line.path = path;
      this.emit('path', { member: line.peer.member, path, lossPercent: lost });
    }
  }

  /**
   * @param {'left' | 'error'} reason
   * @param {SignalingError | null} error
   */
  #end(reason, error) {
    if (this.#state === 'ended') return;
    this.#setState('ended');
    for (const line of this.#everyLine()) this.#hangUp(line);
    this.#lines.clear();
    clearTimeout(this.#bridgeTimer);
    clearTimeout(this.#missingTimer);
    this.#chat.close();
    this.#life.abort();
    this.#signaling.leave();
    this.emit('ended', { reason, error });
  }

  #everyLine() {
    return [...this.#lines.values(), ...this.#bridges];
  }

  /** @param {string} id */
  #member(id) {
    return this.#everyLine().find(({ peer }) => peer.member.id === id)?.peer.member ?? null;
  }
}

/** The server that this module came from. */
function defaultUrl() {
  const url = new URL('/v1/ws', import.meta.url);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return url;
}
