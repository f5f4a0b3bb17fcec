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
import { Lines } from './lines.js';
import { whenTheNetworkMayHaveChanged } from './network.js';
import { Signaling } from './signaling.js';

/** Of this SDK. A release sets it here, in web/sdk/package.json and in CHANGELOG.md; a test compares them. */
export const version = '0.1.0-dev';

export { Chat, maxTextCharacters } from './chat.js';
export { DuetEvent, Emitter } from './events.js';
export { Peer } from './peer.js';
export { gradeOf, qualityOf } from './quality.js';
export { Signaling, SignalingError } from './signaling.js';
export { describePath, lossPercent } from './stats.js';
export { decide, newThrift } from './thrift.js';

/**
 * @import { ChatMessage, Devices } from './chat.js'
 * @import { Files } from './files.js'
 * @import { Joined, Knocker, Member, MemberEvent, Resumed, RoomInfo, Self, SessionInfo } from './message.js'
 * @import { Kind, PeerState } from './peer.js'
 * @import { Interruption, SignalingError, SignalingOptions } from './signaling.js'
 * @import { Quality } from './quality.js'
 * @import { Path } from './stats.js'
 *
 * @typedef {'new' | 'joining' | 'knocking' | 'waiting' | 'connecting' | 'connected' | 'reconnecting' | 'left' | 'ended'} CallState
 *   knocking: somebody inside has to let us in. left: the other one has gone.
 * @typedef {Pick<SignalingOptions, 'room' | 'name' | 'token' | 'key' | 'create' | 'knock' | 'previous' | 'WebSocket'> & {
 *   stream?: MediaStream | null,
 *   url?: string | URL,
 *   policy?: RTCIceTransportPolicy,
 *   signal?: AbortSignal,
 * }} CallOptions
 *   token: lets us in where the server asks for one.
 *   url: of the signaling server; that of this module's host unless given.
 *   policy: "relay" sends everything through the relay. signal: abort leaves.
 *   key: of the room; with create it is the one that a new room gets. knock: wait to be let in
 *   where the room is locked. previous: what the last `session` event of this page held before it
 *   was loaded again: its seat is taken over.
 * @typedef {{host: boolean, locked: boolean, knocks: Knocker[], capacity: number}} Room
 *   host: we may lock the room, put others out and end it. knocks: who waits to be let in.
 */

const statsEveryMs = 1_000;
/** How long a page may take to be loaded again, with its camera. */
const reloadMs = 6_000;

/**
 * @extends {Emitter<{
 *   state: {state: CallState, member: Member | null, reason: string},
 *   room: Room,
 *   member: MemberEvent,
 *   peer: {member: Member, stream: MediaStream, state: PeerState},
 *   track: {member: Member, stream: MediaStream, kind: Kind, track: MediaStreamTrack},
 *   path: {member: Member, path: Path, lossPercent: number, quality: Quality},
 *   audioonly: {member: Member, on: boolean, ours: boolean},
 *   chat: ChatMessage & {member: Member | null},
 *   sent: {id: string},
 *   typing: {member: Member, typing: boolean},
 *   devices: Devices & {member: Member},
 *   session: SessionInfo,
 *   interrupted: Interruption,
 *   refused: {code: string, message: string},
 *   error: unknown,
 *   ended: {reason: 'left' | 'error', error: SignalingError | null},
 * }>}
 *   audioonly: a picture is left out for want of bandwidth; ours: the one that we send.
 *   refused: something that we asked of the server may not be; the call goes on. ended: error.code
 *   says whether a host has "kicked" us or "ended" the room, or another page has "replaced" this one.
 */
export class Call extends Emitter {
  #signaling;
  #lines;
  #chat = new Chat();
  #life = new AbortController();
  /** @type {Room} */
  #room = { host: false, locked: false, knocks: [], capacity: 0 };
  /** @type {Promise<Files> | null} Loaded when it is asked for. */
  #files = null;
  /** @type {Map<RTCDataChannel, string>} The members at the other ends. */
  #fileChannels = new Map();
  #joined = false;
  #knocking = false;
  #online = false;
  /** @type {{member: Member, reason: string} | null} */
  #lastLeft = null;
  /** @type {CallState} */
  #state = 'new';
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #statsTimer;

  /** @param {CallOptions} options */
  constructor({ url = defaultUrl(), stream, policy, signal, ...membership }) {
    super();
    this.#signaling = new Signaling({ url, ...membership });
    this.#lines = new Lines({
      policy,
      tracks: { audio: stream?.getAudioTracks()[0] ?? null, video: stream?.getVideoTracks()[0] ?? null },
      send: (to, content) => this.#signaling.send({ type: 'signal', to, ...content }),
      freshIceServers: async () => (await this.#signaling.requestIce())?.servers ?? null,
    });
    this.#listen();
    const left = { once: true, signal: this.#life.signal };
    signal?.addEventListener('abort', () => this.leave(), left);
    if (signal?.aborted) this.leave();
  }

  get state() {
    return this.#state;
  }

  /** The others in the room. */
  get members() {
    return this.#lines.members;
  }

  /** How many the room holds; 0 before joining. */
  get capacity() {
    return this.#room.capacity;
  }

  /** What the room is now, and what we may do in it. */
  get room() {
    return this.#room;
  }

  /**
   * join enters the room and connects to whoever is there.
   *
   * @returns {Promise<void>} rejects with a SignalingError, of code "room_full", "bad_key" and the like
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
    this.#lines.setTrack(kind, track);
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
   * keepPicture sends our picture however little bandwidth there is, or leaves it out again where
   * only the voice would get through, which is how a call begins.
   *
   * @param {boolean} keep
   */
  keepPicture(keep) {
    this.#lines.keepPicture(keep);
  }

  /**
   * sendChat sends a text; it waits where nobody is there. It comes back as a
   * `chat` event with member null, and `sent` follows when somebody has heard it.
   *
   * @param {string} text
   * @returns {boolean} false for an empty text, and where 100 wait already
   */
  sendChat(text) {
    const message = this.#chat.send(text);
    if (message) this.emit('chat', { ...message, member: null });
    return message !== null;
  }

  /**
   * files is what sends files to members and takes theirs. Nobody can send us any before it was asked for.
   *
   * @returns {Promise<Files>}
   */
  files() {
    this.#files ??= import('./files.js').then(({ Files: Transfers }) => {
      const files = new Transfers();
      if (this.#state === 'ended') return files;
      for (const [channel, member] of this.#fileChannels) files.attach(member, channel);
      return files;
    });
    return this.#files;
  }

  /**
   * setTyping tells the others whether something is being written here.
   *
   * @param {boolean} typing
   */
  setTyping(typing) {
    this.#chat.setTyping(typing);
  }

  /**
   * lock keeps everybody out whom no member admits, or lets people in again. For hosts.
   *
   * @param {boolean} locked
   */
  lock(locked) {
    this.#signaling.send({ type: 'lock', locked });
  }

  /** @param {string} id  of one who knocks. Any member may let in. */
  admit(id) {
    this.#signaling.send({ type: 'admit', id });
  }

  /** @param {string} id  of one who knocks */
  refuse(id) {
    this.#signaling.send({ type: 'refuse', id });
  }

  /** @param {string} id  of a member who has to go. For hosts. */
  kick(id) {
    this.#signaling.send({ type: 'kick', to: id });
  }

  /** endForAll sends everybody away, and us. For hosts. */
  endForAll() {
    this.#signaling.send({ type: 'end' });
  }

  /**
   * retryNow reconnects without waiting, or finds out whether it must. The call does so by itself
   * when the browser says that the network has changed.
   */
  retryNow() {
    this.#signaling.retryNow();
    this.#lines.hurry();
  }

  /**
   * leave ends the call and every timer, listener, channel and connection of it.
   *
   * @param {{forReload?: boolean}} [how]  forReload: the page is being left, perhaps to be loaded
   *   again; then the seat is kept for some seconds
   */
  leave({ forReload = false } = {}) {
    if (forReload) this.#signaling.leave({ returnMs: reloadMs });
    this.#end('left', null);
  }

  #listen() {
    const signaling = this.#signaling;
    const owned = { signal: this.#life.signal };
    signaling.addEventListener('joined', ({ detail }) => this.#enter(detail), owned);
    signaling.addEventListener('resumed', ({ detail }) => this.#resume(detail), owned);
    signaling.addEventListener('resync', ({ detail }) => this.#lines.resync(detail.with), owned);
    signaling.addEventListener('member', ({ detail }) => this.#memberChanged(detail), owned);
    signaling.addEventListener('signal', ({ detail }) => this.#lines.receive(detail.from, detail), owned);
    signaling.addEventListener('ice', ({ detail }) => this.#lines.setIceServers(detail.servers), owned);
    signaling.addEventListener('session', ({ detail }) => this.emit('session', detail), owned);
    signaling.addEventListener('room', ({ detail }) => this.#setRoom(detail), owned);
    signaling.addEventListener(
      'knock',
      ({ detail: { event, knock } }) => {
        const others = this.#room.knocks.filter(({ id }) => id !== knock.id);
        this.#room = { ...this.#room, knocks: event === 'asked' ? [...others, knock] : others };
        this.emit('room', this.#room);
      },
      owned,
    );
    signaling.addEventListener(
      'knocking',
      () => {
        this.#knocking = true;
        this.#update();
      },
      owned,
    );
    signaling.addEventListener(
      'failure',
      ({ detail: { action, code, message } }) => this.#joined && action === 'retry' && this.emit('refused', { code, message }),
      owned,
    );
    signaling.addEventListener(
      'interrupted',
      ({ detail }) => {
        this.#online = this.#knocking = false;
        this.emit('interrupted', detail);
        this.#update();
      },
      owned,
    );
    signaling.addEventListener('ended', ({ detail }) => this.#end('error', detail), owned);
    this.#followLines(owned);
    this.#followChat(owned);
    whenTheNetworkMayHaveChanged(() => this.retryNow(), this.#life.signal);
  }

  /** @param {{signal: AbortSignal}} owned */
  #followLines(owned) {
    const lines = this.#lines;
    lines.addEventListener(
      'peer',
      ({ detail }) => {
        const { id } = detail.member;
        if (detail.state === 'closed' && !lines.member(id)) {
          this.#chat.forget(id);
          for (const [channel, member] of this.#fileChannels) if (member === id) this.#fileChannels.delete(channel);
          void this.#files?.then((files) => files.forget(id));
        }
        this.emit('peer', detail);
      },
      owned,
    );
    lines.addEventListener('track', ({ detail }) => this.emit('track', detail), owned);
    lines.addEventListener('path', ({ detail }) => this.emit('path', detail), owned);
    lines.addEventListener(
      'paused',
      ({ detail: { member, paused } }) => {
        this.#chat.setPaused(member.id, paused);
        this.emit('audioonly', { member, on: paused, ours: true });
      },
      owned,
    );
    lines.addEventListener('error', ({ detail }) => this.emit('error', detail), owned);
    lines.addEventListener(
      'channel',
      ({ detail: { member, channel } }) => {
        if (channel.label === 'chat') return this.#chat.attach(member.id, channel);
        this.#fileChannels.set(channel, member.id);
        void this.#files?.then((files) => files.attach(member.id, channel));
      },
      owned,
    );
    lines.addEventListener('change', () => this.#update(), owned);
    lines.addEventListener(
      'missing',
      ({ detail: member }) => this.#memberChanged({ type: 'member', seq: 0, event: 'left', member, reason: 'lost' }),
      owned,
    );
  }

  /** @param {{signal: AbortSignal}} owned */
  #followChat(owned) {
    const chat = this.#chat;
    chat.addEventListener(
      'message',
      ({ detail: { id, text, at, from } }) => {
        const member = this.#lines.member(from);
        if (member) this.emit('chat', { id, text, at, member });
      },
      owned,
    );
    chat.addEventListener(
      'typing',
      ({ detail: { from, typing } }) => {
        const member = this.#lines.member(from);
        if (member) this.emit('typing', { member, typing });
      },
      owned,
    );
    chat.addEventListener(
      'paused',
      ({ detail: { from, paused } }) => {
        const member = this.#lines.member(from);
        if (member) this.emit('audioonly', { member, on: paused, ours: false });
      },
      owned,
    );
    chat.addEventListener('sent', ({ detail }) => this.emit('sent', detail), owned);
    chat.addEventListener(
      'devices',
      ({ detail: { from, ...devices } }) => {
        const member = this.#lines.member(from);
        if (member) this.emit('devices', { ...devices, member });
      },
      owned,
    );
  }

  /** @param {Joined} joined  the room, at first or as another member after a session was over */
  #enter(joined) {
    const before = this.members[0];
    this.#online = this.#joined = true;
    this.#knocking = false;
    this.#setRoom(joined);
    this.#lines.enter(joined.members, joined.ice);
    if (before && joined.members.length === 0) this.#lastLeft = { member: before, reason: 'lost' };
    this.#update();
  }

  /** @param {Resumed} resumed  the same room after a lost socket */
  #resume(resumed) {
    this.#online = true;
    this.#setRoom(resumed);
    this.#lines.resume(resumed);
    this.#update();
  }

  /** @param {{self: Self, room: RoomInfo}} entered */
  #setRoom({ self, room: { capacity, locked = false, knocks = [] } }) {
    this.#room = { host: self.host === true, locked, knocks, capacity };
    this.emit('room', this.#room);
  }

  /** @param {MemberEvent} change */
  #memberChanged(change) {
    const { event, member, reason } = change;
    if (event === 'left') {
      this.#lastLeft = { member, reason };
      this.#lines.disconnect(member.id);
    } else {
      this.#lines.update(member);
    }
    this.emit('member', change);
    this.#update();
  }

  /** What the page shows follows from who is there and how their media fares. */
  #update() {
    if (this.#state === 'ended' || this.#state === 'new') return;
    const states = this.#lines.states;
    if (states.includes('connected')) {
      this.#lastLeft = null;
      return this.#setState('connected');
    }
    const recovering = this.#state === 'connected' || this.#state === 'reconnecting';
    if (!this.#joined) return this.#setState(this.#knocking ? 'knocking' : 'joining');
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
    if (measuring) this.#statsTimer = setInterval(() => void this.#lines.measure(), statsEveryMs);
    const left = state === 'left' ? this.#lastLeft : null;
    this.emit('state', { state, member: left?.member ?? this.members[0] ?? null, reason: left?.reason ?? '' });
  }

  /**
   * @param {'left' | 'error'} reason
   * @param {SignalingError | null} error
   */
  #end(reason, error) {
    if (this.#state === 'ended') return;
    this.#setState('ended');
    this.#lines.close();
    this.#chat.close();
    void this.#files?.then((files) => files.close());
    this.#life.abort();
    this.#signaling.leave();
    this.emit('ended', { reason, error });
  }
}

/** The server that this module came from. */
function defaultUrl() {
  const url = new URL('/v1/ws', import.meta.url);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return url;
}
