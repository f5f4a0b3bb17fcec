// What is said of files, as it comes from a peer whoever wrote its client. Pure.

/** @import { FailReason } from './files.js' */

/** The most characters (code points) of a file's name, and of its type. */
export const maxNameCharacters = 120;

const maxFrameCharacters = 4096;
/** @type {FailReason[]} */
const reasons = ['corrupt', 'unreadable', 'unwritable', 'protocol'];

/**
 * @typedef {{type: 'hello', answer: boolean}
 *   | {type: 'offer', id: string, name: string, size: number, mime: string}
 *   | {type: 'accept' | 'data' | 'got', id: string, at: number}
 *   | {type: 'refuse' | 'done', id: string}
 *   | {type: 'cancel', id: string, reason: FailReason | ''}
 *   | {type: 'pause', id: string, paused: boolean}
 *   | {type: 'end', id: string, sha256: string}} FileMessage
 */

/**
 * readFileMessage returns null for what is none.
 *
 * @param {unknown} data
 * @returns {FileMessage | null}
 */
export function readFileMessage(data) {
  if (typeof data !== 'string' || data.length > maxFrameCharacters) return null;
  let parsed;
  try {
    parsed = JSON.parse(data);
  } catch {
    return null;
  }
  const { type, id, name, size, mime, at, paused, reason, sha256, answer } = parsed ?? {};
  if (type === 'hello') return { type, answer: answer === true };
  if (typeof id !== 'string' || !/^[0-9a-f]{24}$/.test(id)) return null;
  switch (type) {
    case 'offer':
      if (typeof name !== 'string' || typeof mime !== 'string' || !isCount(size)) return null;
      return { type, id, name, size, mime: mime.slice(0, maxNameCharacters) };
    case 'accept':
    case 'data':
    case 'got':
      return isCount(at) ? { type, id, at } : null;
    case 'refuse':
    case 'done':
      return { type, id };
    case 'cancel':
      return { type, id, reason: reasons.find((known) => known === reason) ?? '' };
    case 'pause':
      return { type, id, paused: paused === true };
    case 'end':
      return typeof sha256 === 'string' && /^[0-9a-f]{64}$/.test(sha256) ? { type, id, sha256 } : null;
    default:
      return null;
  }
}

/** @param {unknown} value */
const isCount = (value) => Number.isSafeInteger(value) && Number(value) >= 0;

/** What no system takes in a name, what leads out of a directory, and what makes a name look like another. */
const unsafe = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}\\/:*?"<>|]/gu;
/** Most disks take 255 bytes of UTF-8; some browsers add an ending while a file comes. */
const maxNameBytes = 230;
/** Names that are devices in Windows. */
const devices = /^(con|prn|aux|nul|com\d|lpt\d)(?=\.|$)/i;

/**
 * safeFileName is a name without a path, that any disk takes and that shows its own end; "file" where
 * nothing is left of it. A long one keeps its ending.
 *
 * @param {string} name
 */
export function safeFileName(name) {
  const base = name.slice(-4096).split(/[\\/]/).at(-1) ?? '';
  const clean = base.replace(unsafe, '').trim().replace(/^\.+|[. ]+$/g, '').replace(devices, '_$1');
  const characters = [...clean];
  if (characters.length === 0) return 'file';
  if (characters.length <= maxNameCharacters && bytesOf(clean) <= maxNameBytes) return clean;
  const ending = /\.[^.]{1,16}$/.exec(clean)?.[0] ?? '';
  const stem = [...clean.slice(0, clean.length - ending.length)].slice(0, maxNameCharacters - [...ending].length);
  while (bytesOf(stem.join('') + ending) > maxNameBytes) stem.pop();
  return stem.join('') + ending;
}

const bytesOf = (/** @type {string} */ text) => new TextEncoder().encode(text).length;
