// Room names and invite links. Pure.

import { maxNameCharacters } from '../sdk/message.js';

/** 32 characters that are told apart when read aloud or written down. */
const alphabet = 'abcdefghjkmnpqrstvwxyz0123456789';
const groups = 4;
const groupLength = 5;
/** A name of ours as people write it down: capitals, spaces, dashes of any kind. */
const written = /^[a-z0-9]{5}(?:[\s\p{Pd}]*[a-z0-9]{5}){3}$/iu;

/**
 * newRoomName is a name that nobody guesses: 100 random bits, "k7q2m-x9d4t-…".
 *
 * @returns {string}
 */
export function newRoomName() {
  const bytes = crypto.getRandomValues(new Uint8Array(groups * groupLength));
  const characters = Array.from(bytes, (byte) => alphabet[byte % alphabet.length]); // 256 is a multiple of 32: no bias
  return Array.from({ length: groups }, (_, i) => characters.slice(i * groupLength, (i + 1) * groupLength).join('')).join('-');
}

/**
 * inviteLink carries the room and its key in the fragment, which browsers send to no server.
 *
 * @param {string} origin
 * @param {string} room
 * @param {string} [key]
 */
export const inviteLink = (origin, room, key = '') => `${origin}/${fragmentOf(room, key)}`;

/**
 * fragmentOf is "#tea", or "#tea&key=sesame".
 *
 * @param {string} room
 * @param {string} [key]
 */
export const fragmentOf = (room, key = '') => `#${encodeURIComponent(room)}${key ? `&key=${encodeURIComponent(key)}` : ''}`;

/** The room's key behind its name, in which encodeURIComponent leaves no "&" and no "=". */
const keyPattern = /&key=([^&]*)$/;

/** A token behind the room, or alone. encodeURIComponent leaves no "&" and no "=" in a room's name. */
const tokenPattern = /(?:^#?|&)token=([^&]*)$/;

/**
 * tokenOfFragment reads the token of a link, "#tea&token=…"; null without one.
 *
 * @param {string} hash
 */
export const tokenOfFragment = (hash) => tokenPattern.exec(hash)?.[1] ?? null;

/**
 * roomOfFragment reads location.hash; "" without a room.
 *
 * @param {string} hash
 */
export const roomOfFragment = (hash) => decoded(hash.replace(tokenPattern, '').replace(keyPattern, '').replace(/^#/, ''));

/**
 * keyOfFragment reads the key of a room; "" without one.
 *
 * @param {string} hash
 */
export const keyOfFragment = (hash) => decoded(keyPattern.exec(hash.replace(tokenPattern, ''))?.[1] ?? '');

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text).trim();
  } catch {
    return text.trim(); // typed by hand, with a bare %
  }
}

/**
 * roomOfInput reads what someone pasted or typed: a link of this or another
 * address of the server, or a room's name.
 *
 * @param {string} text
 */
export function roomOfInput(text) {
  const fragment = fragmentOfInput(text);
  return fragment === null ? codeOf(text.trim()) : roomOfFragment(fragment);
}

/**
 * codeOf is the name that newRoomName made, from what somebody heard or wrote down: o is 0, i and l are 1.
 * Other names stay as they are: those without a digit are words.
 *
 * @param {string} text
 */
function codeOf(text) {
  if (!written.test(text) || !/\d/.test(text)) return text;
  const characters = text.toLowerCase().replace(/[\s\p{Pd}]/gu, '').replace(/o/g, '0').replace(/[il]/g, '1');
  return characters.replace(/.{5}(?=.)/g, '$&-');
}

/**
 * tokenOfInput is the token of a link that someone pasted; null without one.
 *
 * @param {string} text
 */
export const tokenOfInput = (text) => tokenOfFragment(fragmentOfInput(text) ?? '');

/**
 * keyOfInput is the key in a link that someone pasted; "" without one.
 *
 * @param {string} text
 */
export const keyOfInput = (text) => keyOfFragment(fragmentOfInput(text) ?? '');

/**
 * fragmentOfInput is what begins with "#" in a link, null in what is no link.
 *
 * @param {string} text
 */
function fragmentOfInput(text) {
  const trimmed = text.trim();
  if (!/^https?:\/\//i.test(trimmed) && !/^[\w.-]+(:\d+)?\/#/.test(trimmed)) return null;
  const at = trimmed.indexOf('#');
  return at < 0 ? '' : trimmed.slice(at);
}

/**
 * roomProblem says why a room cannot be joined; null if it can.
 *
 * @param {string} room
 * @returns {'home.room.missing' | 'home.room.long' | null}
 */
export function roomProblem(room) {
  if (room === '') return 'home.room.missing';
  return [...room].length > maxNameCharacters ? 'home.room.long' : null;
}
