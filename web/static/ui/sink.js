// Where a received file goes: where the person says, or to this site's part of the disk and from
// there to the downloads, or into memory where the browser has neither.

/** @import { Sink, Transfer } from '../sdk/files.js' */

/** The most that is taken into memory. */
export const memoryBytes = 256 << 20;
/** One write for so many bytes: each costs the browser a way to its disk. */
const writeBytes = 1 << 20;
const prefix = 'received-';

/** @typedef {{showSaveFilePicker?: (options: {suggestedName: string}) => Promise<FileSystemFileHandle>}} Picker */

/**
 * openSink asks where the file goes, if the browser can ask.
 *
 * @param {Pick<Transfer, 'id' | 'name' | 'size' | 'mime'>} file
 * @param {(url: string) => void} save  what is to be saved from there, once all of it is right
 * @returns {Promise<Sink | null>} null where the person thought better of it, and where the file is too large
 */
export async function openSink({ id, name, size, mime }, save) {
  const picker = /** @type {Picker} */ (/** @type {unknown} */ (globalThis)).showSaveFilePicker;
  if (picker) {
    try {
      const handle = await picker({ suggestedName: name });
      return streamTo(await handle.createWritable(), async () => {});
    } catch (error) {
      if (error instanceof DOMException && error.name === 'AbortError') return null;
      // Not allowed here, in a frame for one.
    }
  }
  try {
    const directory = await navigator.storage.getDirectory();
    const { quota = 0, usage = 0 } = await navigator.storage.estimate();
    if (quota - usage > size) {
      const handle = await directory.getFileHandle(prefix + id, { create: true });
      const type = { type: mime };
      return streamTo(await handle.createWritable(), async () => save(URL.createObjectURL(new File([await handle.getFile()], name, type))), () => directory.removeEntry(prefix + id));
    }
  } catch {
    // A private window, perhaps.
  }
  if (size > memoryBytes) return null;
  /** @type {Uint8Array<ArrayBuffer>[]} */
  const pieces = [];
  return {
    write: async (bytes) => void pieces.push(bytes),
    close: async () => save(URL.createObjectURL(new Blob(pieces.splice(0), { type: mime }))),
    abort: async () => void pieces.splice(0),
  };
}

/**
 * @param {FileSystemWritableFileStream} stream
 * @param {() => Promise<void>} closed
 * @param {() => Promise<void>} [remove]
 * @returns {Sink}
 */
function streamTo(stream, closed, remove = async () => {}) {
  /** @type {Uint8Array<ArrayBuffer>[]} */
  let pieces = [];
  let length = 0;
  const flush = async () => {
    const ready = new Blob(pieces);
    pieces = [];
    length = 0;
    await stream.write(ready);
  };
  return {
    write: async (bytes) => {
      pieces.push(bytes);
      length += bytes.length;
      if (length >= writeBytes) await flush();
    },
    close: async () => {
      await flush();
      await stream.close();
      await closed();
    },
    abort: async () => {
      await stream.abort();
      await remove();
    },
  };
}

/** forgetOldFiles frees the disk of what earlier calls have received; another tab's running ones are in use, and stay. */
export async function forgetOldFiles() {
  try {
    const directory = await navigator.storage.getDirectory();
    for await (const name of directory.keys()) {
      if (name.startsWith(prefix)) await directory.removeEntry(name).catch(() => {});
    }
  } catch {
    // There is no such disk here.
  }
}
