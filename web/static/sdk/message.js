// The messages of duet.v1, as docs/protocol.md describes them: what the server
// sends is checked here once, so that nothing behind it meets a wrong shape.

/** The WebSocket subprotocol. */
export const protocol = 'duet.v1';

/**
 * @typedef {{id: string, name: string, polite: boolean, away?: boolean, host?: boolean}} Member
 *   Another member of the room. polite is that member's role; ours is the opposite.
 *   away: its socket is lost, and its seat is kept for a while. host: it may lock the room,
 *   put others out and end it.
 * @typedef {{id: string, name: string, host?: boolean}} Self
 * @typedef {{id: string, name: string}} Knocker  Somebody who waits to be let in.
 * @typedef {{name: string, capacity: number, locked?: boolean, knocks?: Knocker[]}} RoomInfo
 *   locked: nobody gets in whom no member admits.
 * @typedef {{id: string, key: string, grace: number}} SessionInfo
 *   What resumes a session: the key is good once. grace: seconds that the seat is kept.
 * @typedef {{servers: RTCIceServer[], expires?: string}} Ice
 * @typedef {{
 *   type: 'joined', seq: number, self: Self,
 *   room: RoomInfo, members: Member[], ice: Ice, session?: SessionInfo,
 * }} Joined
 * @typedef {Omit<Joined, 'type'> & {type: 'resumed', lost: boolean, restored: boolean, heard?: number}} Resumed
 *   seq is that of the last message before those that follow. heard: how many of our signals
 *   arrived, if that is known.
 * @typedef {{type: 'resync', seq: number, with: string, offerer: string}} Resync
 * @typedef {{type: 'member', seq: number, event: 'joined' | 'left' | 'away' | 'back' | 'host', member: Member, reason: string}} MemberEvent
 * @typedef {{type: 'room', seq: number, self: Self, room: RoomInfo, session?: SessionInfo}} RoomMessage
 *   session: replaces the one we have.
 * @typedef {{type: 'knock', seq: number, event: 'asked' | 'gone', knock: Knocker}} KnockMessage
 * @typedef {RTCIceCandidateInit | null} Candidate  null: this side's candidates end here.
 * @typedef {{description?: RTCSessionDescriptionInit, candidates?: Candidate[]}} SignalContent
 * @typedef {{type: 'signal', seq: number, from: string} & SignalContent} Signal
 * @typedef {{type: 'ice', seq: number, ice: Ice}} IceMessage
 * @typedef {{type: 'goaway', reason: string, reconnectInMs: number}} Goaway
 * @typedef {'stop' | 'rejoin' | 'retry'} Action
 * @typedef {{type: 'error', code: string, message: string, action: Action, retryAfterMs: number}} Failure
 * @typedef {Joined | Resumed | Resync | MemberEvent | RoomMessage | KnockMessage | {type: 'knocking'} | Signal | IceMessage | Goaway | Failure
 *   | {type: 'ping'} | {type: 'pong', heard?: number}} Incoming
 * @typedef {{type: 'join', room: string, name: string, token?: string, key?: string, create?: boolean, knock?: boolean, old_session?: string, old_key?: string}} Join
 *   key: opens the room; with create it is the key of a room that is new. knock: wait to be let
 *   in where it is locked. old_…: the session whose seat this one takes over.
 * @typedef {Join
 *   | {type: 'resume', session: string, key: string, seq: number, attempt: string}
 *   | ({type: 'signal', to: string} & SignalContent)
 *   | {type: 'lock', locked: boolean} | {type: 'kick', to: string} | {type: 'end'}
 *   | {type: 'admit', id: string} | {type: 'refuse', id: string}
 *   | {type: 'ice'} | {type: 'ping'} | {type: 'pong'} | {type: 'leave', return_ms?: number}} Outgoing
 * @typedef {Record<string, unknown>} Fields
 */

/** The most characters of a room's or a member's name. */
export const maxNameCharacters = 64;

/**
 * encode writes one text frame.
 *
 * @param {Outgoing} message
 */
export const encode = (message) => JSON.stringify(message);

/**
 * decode reads one text frame. It returns null for what this client does not know
 * or cannot use: unknown types are for newer clients, wrong shapes for nobody.
 *
 * @param {unknown} frame
 * @returns {Incoming | null}
 */
export function decode(frame) {
  if (typeof frame !== 'string') return null;
  let parsed;
  try {
    parsed = JSON.parse(frame);
  } catch {
    return null;
  }
  return isObject(parsed) ? read(parsed) : null;
}

/**
 * @param {Fields} fields
 * @returns {Incoming | null}
 */
function read(fields) {
  const seq = number(fields.seq);
  switch (fields.type) {
    case 'joined':
      return joined(fields, seq);
    case 'resumed': {
      const entered = joined(fields, seq);
      const { lost, restored } = fields;
      return entered?.session ? { ...entered, type: 'resumed', lost: lost === true, restored: restored === true, ...heard(fields) } : null;
    }
    case 'resync':
      return { type: 'resync', seq, with: string(fields.with), offerer: string(fields.offerer) };
    case 'member': {
      const member = readMember(fields.member);
      const event = fields.event;
      if (!member || (event !== 'joined' && event !== 'left' && event !== 'away' && event !== 'back' && event !== 'host')) return null;
      return { type: 'member', seq, event, member, reason: string(fields.reason) };
    }
    case 'room': {
      const self = readSelf(fields.self);
      const room = readRoom(fields.room);
      return self && room && { type: 'room', seq, self, room, ...session(fields) };
    }
    case 'knock': {
      const [knock] = readKnocks([fields.knock]);
      const event = fields.event;
      return knock && (event === 'asked' || event === 'gone') ? { type: 'knock', seq, event, knock } : null;
    }
    case 'knocking':
      return { type: 'knocking' };
    case 'signal': {
      const content = signalContent(fields);
      return content && typeof fields.from === 'string' ? { type: 'signal', seq, from: fields.from, ...content } : null;
    }
    case 'ice': {
      const ice = readIce(fields.ice);
      return ice && { type: 'ice', seq, ice };
    }
    case 'goaway':
      return { type: 'goaway', reason: string(fields.reason), reconnectInMs: number(fields.reconnect_in_ms) };
    case 'error':
      return {
        type: 'error',
        code: string(fields.code),
        message: string(fields.message),
        action: fields.action === 'stop' || fields.action === 'rejoin' ? fields.action : 'retry',
        retryAfterMs: number(fields.retry_after_ms),
      };
    case 'ping':
      return { type: 'ping' };
    case 'pong':
      return { type: 'pong', ...heard(fields) };
    default:
      return null;
  }
}

/**
 * @param {Fields} fields
 * @param {number} seq
 * @returns {Joined | null}
 */
function joined(fields, seq) {
  const { members } = fields;
  const self = readSelf(fields.self);
  const room = readRoom(fields.room);
  const ice = readIce(fields.ice);
  if (!self || !room || !Array.isArray(members) || !ice) return null;
  return {
    type: 'joined',
    seq,
    self,
    room,
    members: members.map(readMember).filter((member) => member !== null),
    ice,
    ...session(fields),
  };
}

/** @param {Fields} fields @returns {{session?: SessionInfo}} */
function session({ session: info }) {
  if (!isObject(info) || typeof info.id !== 'string' || typeof info.key !== 'string') return {};
  return { session: { id: info.id, key: info.key, grace: number(info.grace) } };
}

/** @param {Fields} fields @returns {{heard?: number}} */
const heard = (fields) => (typeof fields.heard === 'number' ? { heard: fields.heard } : {});

/**
 * @param {unknown} value
 * @returns {Member | null}
 */
function readMember(value) {
  if (!isObject(value) || typeof value.id !== 'string' || typeof value.polite !== 'boolean') return null;
  const member = { id: value.id, name: string(value.name), polite: value.polite };
  return { ...member, ...(value.away === true ? { away: true } : {}), ...host(value) };
}

/** @param {unknown} value @returns {Self | null} */
const readSelf = (value) =>
  isObject(value) && typeof value.id === 'string' ? { id: value.id, name: string(value.name), ...host(value) } : null;

/** @param {Fields} fields @returns {{host?: boolean}} */
const host = (fields) => (fields.host === true ? { host: true } : {});

/**
 * @param {unknown} value
 * @returns {RoomInfo | null}
 */
function readRoom(value) {
  if (!isObject(value)) return null;
  const knocks = Array.isArray(value.knocks) ? readKnocks(value.knocks) : [];
  return {
    name: string(value.name),
    capacity: number(value.capacity),
    ...(value.locked === true ? { locked: true } : {}),
    ...(knocks.length > 0 ? { knocks } : {}),
  };
}

/**
 * @param {unknown[]} values
 * @returns {Knocker[]}
 */
const readKnocks = (values) =>
  values.filter(isObject).flatMap(({ id, name }) => (typeof id === 'string' ? [{ id, name: string(name) }] : []));

/**
 * @param {unknown} value
 * @returns {Ice | null}
 */
function readIce(value) {
  if (!isObject(value) || !Array.isArray(value.servers)) return null;
  const servers = value.servers.filter((server) => isObject(server) && Array.isArray(server.urls));
  return typeof value.expires === 'string' ? { servers, expires: value.expires } : { servers };
}

/**
 * @param {Fields} fields
 * @returns {SignalContent | null}
 */
function signalContent({ description, candidates }) {
  /** @type {SignalContent} */
  const content = {};
  if (isObject(description)) {
    const { type, sdp } = description;
    if ((type !== 'offer' && type !== 'answer') || typeof sdp !== 'string') return null;
    content.description = { type, sdp };
  }
  if (Array.isArray(candidates)) {
    content.candidates = candidates.filter((candidate) => candidate === null || isObject(candidate));
  }
  return content.description || content.candidates ? content : null;
}

/** @param {unknown} value @returns {value is Fields} */
const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);

/** @param {unknown} value */
const string = (value) => (typeof value === 'string' ? value : '');

/** @param {unknown} value */
const number = (value) => (typeof value === 'number' && Number.isFinite(value) && value > 0 ? value : 0);
