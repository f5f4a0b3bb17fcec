// Files from one member to another, over a data channel of their own: JSON objects for what is said
// of a file, and between them its bytes, which belong to the last {type: 'data', id, at}.
//
//     hello   somebody takes files here          offer   {id, name, size, mime}
//     accept  {id, at}, from that byte on        refuse, cancel, done   {id}
//     data    {id, at}, bytes follow             pause   {id, paused}
//     got     {id, at}, written until there      end     {id, sha256}
//
// A transfer outlives its channel: over the next one the sender offers it again, and the receiver,
// who knows its id, accepts it from where it stopped. What is sent but not yet written has a bound,
// so neither side holds more of a file than that, however large it is.

import { Emitter } from './events.js';
import { maxNameCharacters, readFileMessage, safeFileName } from './file-message.js';
import { Sha256 } from './sha256.js';

export { safeFileName } from './file-message.js';

/**
 * @typedef {{readonly size: number, slice: (start: number, end: number) => {arrayBuffer: () => Promise<ArrayBuffer>}}} Source  a File or a Blob
 * @typedef {{write: (bytes: Uint8Array<ArrayBuffer>) => Promise<void>, close: () => Promise<void>, abort: () => Promise<void>}} Sink
 * @typedef {'offered' | 'running' | 'waiting' | 'checking' | 'done' | 'refused' | 'cancelled' | 'failed'} FileState
 *   waiting: for a connection. checking: all of it has come.
 * @typedef {{
 *   readonly id: string, readonly name: string, readonly size: number, readonly mime: string,
 *   readonly incoming: boolean, member: string, state: FileState, moved: number, paused: boolean, reason: FailReason | '',
 * }} Transfer
 *   member: the id of who is at the other end. moved: bytes that the receiver has written. paused: by either side.
 * @typedef {'corrupt' | 'unreadable' | 'unwritable' | 'gone' | 'protocol'} FailReason
 *   corrupt: what came is not what was sent. gone: the other has left.
 * @typedef {Transfer & {
 *   link: Link | null, source: Source | null, sink: Sink | null, hash: Sha256, hashed: number, sha256: string, at: number,
 *   pausedHere: boolean, pausedThere: boolean, writing: Promise<void>, queued: number, turn: number,
 * }} Inner
 *   at: how far it is sent or has come. hashed: how far the hash is. queued: bytes that wait for the disk.
 * @typedef {{channel: RTCDataChannel, member: string, life: AbortController, ready: boolean, current: Inner | null, pumping: boolean}} Link
 */

/** Sending stops above the high mark and goes on below the low one, in bytes. */
const highMark = 1 << 20;
const lowMark = 256 << 10;
/** What one read takes from the disk, and one message carries. */
const blockBytes = 256 << 10;
const chunkBytes = 64 << 10;
/** How much may be sent beyond what is written. A sender who does not keep to it is cut off at twice that. */
const windowBytes = 8 << 20;
/** How many transfers one member may have open with us, and how many there are in all. */
const maxOpen = 20;
const maxTransfers = 200;

/** @type {FileState[]} */
const over = ['done', 'refused', 'cancelled', 'failed'];

/** @param {Transfer} transfer */
export const isOver = ({ state }) => over.includes(state);

/**
 * @extends {Emitter<{offer: Transfer, change: Transfer}>}
 *   offer: somebody would like to send us a file. change: of a transfer's state or progress.
 */
export class Files extends Emitter {
  /** @type {Map<RTCDataChannel, Link>} */
  #links = new Map();
  /** @type {Map<string, Inner>} */
  #transfers = new Map();
  #turns = 0;

  /** All of them, the oldest first. @returns {Transfer[]} */
  get transfers() {
    return [...this.#transfers.values()];
  }

  /**
   * attach lets files go over a member's channel until it closes.
   *
   * @param {string} member
   * @param {RTCDataChannel} channel
   */
  attach(member, channel) {
    if (this.#links.has(channel)) return;
    const life = new AbortController();
    const { signal } = life;
    /** @type {Link} */
    const link = { channel, member, life, ready: false, current: null, pumping: false };
    this.#links.set(channel, link);
    channel.binaryType = 'arraybuffer';
    channel.bufferedAmountLowThreshold = lowMark;
    const open = () => put(link, { type: 'hello' });
    channel.addEventListener('open', open, { signal });
    channel.addEventListener('message', ({ data }) => this.#receive(link, data), { signal });
    channel.addEventListener('bufferedamountlow', () => void this.#pump(link), { signal });
    channel.addEventListener('close', () => this.#detach(link), { signal });
    if (channel.readyState === 'open') open();
  }

  /**
   * forget ends what was going on with a member who has left for good.
   *
   * @param {string} member
   */
  forget(member) {
    for (const link of [...this.#links.values()]) if (link.member === member) this.#detach(link);
    for (const transfer of this.#transfers.values()) if (transfer.member === member && !isOver(transfer)) this.#fail(transfer, 'gone');
  }

  /**
   * send offers a file to a member, now or as soon as there is a connection. It returns null where
   * too many are under way.
   *
   * @param {string} member
   * @param {Source} source
   * @param {string} name
   * @param {string} [mime]
   * @returns {Transfer | null}
   */
  send(member, source, name, mime = '') {
    if (!this.#makeRoom(member)) return null;
    const transfer = made({ id: newId(), name: safeFileName(name), size: source.size, mime: mime.slice(0, maxNameCharacters), incoming: false, member, source });
    this.#transfers.set(transfer.id, transfer);
    for (const link of this.#links.values()) if (link.member === member && link.ready) this.#offer(link, transfer);
    this.emit('change', transfer);
    return transfer;
  }

  /**
   * accept takes an offered file.
   *
   * @param {string} id
   * @param {Sink} sink  where it goes; closed when all of it is there and is what was sent, aborted otherwise
   */
  accept(id, sink) {
    const transfer = this.#open(id, true);
    if (transfer?.state !== 'offered') return void sink.abort();
    transfer.sink = sink;
    transfer.state = transfer.link ? 'running' : 'waiting';
    if (transfer.link) put(transfer.link, { type: 'accept', id, at: 0 });
    this.emit('change', transfer);
  }

  /** @param {string} id  of an offered file */
  refuse(id) {
    const transfer = this.#open(id, true);
    if (transfer?.state !== 'offered') return;
    if (transfer.link) put(transfer.link, { type: 'refuse', id });
    this.#end(transfer, 'refused');
  }

  /** @param {string} id  of one that comes or goes */
  cancel(id) {
    const transfer = this.#open(id);
    if (!transfer) return;
    if (transfer.link) put(transfer.link, { type: 'cancel', id });
    this.#end(transfer, 'cancelled');
  }

  /**
   * pause stops a transfer for a while, or lets it go on.
   *
   * @param {string} id
   * @param {boolean} paused
   */
  pause(id, paused) {
    const transfer = this.#open(id);
    if (!transfer) return;
    transfer.pausedHere = paused;
    if (transfer.link) put(transfer.link, { type: 'pause', id, paused });
    this.#pausesChanged(transfer);
  }

  /** close ends everything. */
  close() {
    for (const link of [...this.#links.values()]) this.#detach(link);
    for (const transfer of this.#transfers.values()) if (!isOver(transfer)) this.#end(transfer, 'cancelled');
  }

  /** @param {Link} link */
  #detach(link) {
    link.life.abort();
    this.#links.delete(link.channel);
    for (const transfer of this.#transfers.values()) {
      if (transfer.link !== link) continue;
      transfer.link = null;
      if (isOver(transfer)) continue;
      // What was not accepted yet is offered again; what has come whole is looked at all the same.
      if (transfer.state !== 'offered' && !(transfer.incoming && transfer.state === 'checking')) transfer.state = 'waiting';
      this.emit('change', transfer);
    }
  }

  /**
   * @param {string} id
   * @param {boolean} [incoming]
   */
  #open(id, incoming) {
    const transfer = this.#transfers.get(id);
    return transfer && !isOver(transfer) && (incoming === undefined || transfer.incoming === incoming) ? transfer : undefined;
  }

  /** The oldest that is over makes room. @param {string} member */
  #makeRoom(member) {
    const all = [...this.#transfers.values()];
    if (all.filter((transfer) => transfer.member === member && !isOver(transfer)).length >= maxOpen) return false;
    if (all.length < maxTransfers) return true;
    const oldest = all.find(isOver);
    return oldest !== undefined && this.#transfers.delete(oldest.id);
  }

  /**
   * @param {Link} link
   * @param {Inner} transfer
   */
  #offer(link, transfer) {
    const { id, name, size, mime } = transfer;
    transfer.link = link;
    put(link, { type: 'offer', id, name, size, mime });
    if (transfer.pausedHere) put(link, { type: 'pause', id, paused: true });
  }

  /**
   * @param {Link} link
   * @param {unknown} data
   */
  #receive(link, data) {
    if (data instanceof ArrayBuffer) return this.#take(link, new Uint8Array(data));
    const message = readFileMessage(data);
    if (message === null) return;
    if (message.type === 'hello') return this.#greeted(link, message.answer);
    if (message.type === 'offer') return this.#offered(link, message);
    const transfer = this.#transfers.get(message.id);
    if (transfer?.link !== link || isOver(transfer)) return;
    switch (message.type) {
      case 'accept':
        return this.#accepted(transfer, message.at);
      case 'got':
        return this.#wrote(transfer, message.at);
      case 'data':
        link.current = transfer.incoming && transfer.state === 'running' && message.at === transfer.at ? transfer : null;
        return;
      case 'end':
        return void this.#check(transfer, message.sha256);
      case 'done':
        if (!transfer.incoming && transfer.at === transfer.size) this.#end(transfer, 'done');
        return;
      case 'refuse':
        return this.#end(transfer, transfer.incoming ? 'cancelled' : 'refused');
      case 'cancel':
        return message.reason ? this.#fail(transfer, message.reason) : this.#end(transfer, 'cancelled');
      case 'pause':
        transfer.pausedThere = message.paused;
        return this.#pausesChanged(transfer);
    }
  }

  /**
   * @param {Link} link
   * @param {boolean} answer
   */
  #greeted(link, answer) {
    if (!answer) put(link, { type: 'hello', answer: true }); // they may not have been listening to ours
    if (link.ready) return;
    link.ready = true;
    for (const transfer of this.#transfers.values()) {
      if (!transfer.incoming && transfer.member === link.member && !isOver(transfer)) this.#offer(link, transfer);
    }
  }

  /**
   * @param {Link} link
   * @param {{id: string, name: string, size: number, mime: string}} offer
   */
  #offered(link, { id, name, size, mime }) {
    const known = this.#transfers.get(id);
    if (known) {
      if (!known.incoming || known.member !== link.member || known.size !== size) return;
      if (known.state === 'done') return put(link, { type: 'done', id });
      if (isOver(known)) return put(link, { type: 'cancel', id });
      known.link = link;
      if (known.state === 'offered' || known.state === 'checking') return;
      known.state = 'running';
      put(link, { type: 'accept', id, at: known.at });
      if (known.pausedHere) put(link, { type: 'pause', id, paused: true });
      return this.emit('change', known);
    }
    if (!this.#makeRoom(link.member)) return put(link, { type: 'refuse', id });
    const transfer = made({ id, name: safeFileName(name), size, mime, incoming: true, member: link.member, source: null });
    transfer.link = link;
    this.#transfers.set(id, transfer);
    this.emit('offer', transfer);
  }

  /**
   * @param {Inner} transfer
   * @param {number} at  the byte that the receiver wants next
   */
  #accepted(transfer, at) {
    if (transfer.incoming || !transfer.link) return;
    if (at > transfer.at) return this.#fail(transfer, 'protocol'); // what was never sent
    transfer.at = transfer.moved = at;
    transfer.state = 'running';
    this.emit('change', transfer);
    void this.#pump(transfer.link);
  }

  /**
   * @param {Inner} transfer
   * @param {number} at
   */
  #wrote(transfer, at) {
    if (transfer.incoming || at < transfer.moved || at > transfer.at) return;
    transfer.moved = at;
    this.emit('change', transfer);
    if (transfer.link) void this.#pump(transfer.link);
  }

  /** @param {Inner} transfer */
  #pausesChanged(transfer) {
    transfer.paused = transfer.pausedHere || transfer.pausedThere;
    this.emit('change', transfer);
    if (transfer.link && !transfer.paused) void this.#pump(transfer.link);
  }

  /**
   * Sends a block of each file in turn while the channel takes more.
   *
   * @param {Link} link
   */
  async #pump(link) {
    if (link.pumping) return;
    link.pumping = true;
    try {
      for (let next = this.#next(link); next; next = this.#next(link)) {
        next.turn = ++this.#turns;
        await this.#sendBlock(link, next);
      }
    } finally {
      link.pumping = false;
    }
  }

  /** Whose turn was longest ago. @param {Link} link */
  #next(link) {
    const some = [...this.#transfers.values()].filter((transfer) => maySend(transfer, link));
    return some.reduce((first, transfer) => (!first || transfer.turn < first.turn ? transfer : first), /** @type {Inner | null} */ (null));
  }

  /**
   * @param {Link} link
   * @param {Inner} transfer
   */
  async #sendBlock(link, transfer) {
    const { id, source, at } = transfer;
    if (!source) return;
    const end = Math.min(at + blockBytes, transfer.size);
    let bytes;
    try {
      bytes = new Uint8Array(await source.slice(at, end).arrayBuffer());
    } catch {
      bytes = null; // it is gone from the disk, or another now
    }
    if (!maySend(transfer, link) || transfer.at !== at) return; // meanwhile it was paused, ended, or began elsewhere
    if (bytes?.length !== end - at) {
      put(link, { type: 'cancel', id, reason: 'unreadable' });
      return this.#fail(transfer, 'unreadable');
    }
    if (bytes.length > 0) {
      put(link, { type: 'data', id, at });
      for (let from = 0; from < bytes.length; from += chunkBytes) {
        if (!putBytes(link, bytes.subarray(from, from + chunkBytes))) return; // the channel is at its end, and the next begins where the receiver is
      }
      if (end > transfer.hashed) {
        transfer.hash.update(bytes.subarray(transfer.hashed - at));
        transfer.hashed = end;
      }
      transfer.at = end;
    }
    if (end < transfer.size) return;
    transfer.state = 'checking';
    transfer.sha256 ||= transfer.hash.digest();
    put(link, { type: 'end', id, sha256: transfer.sha256 });
    this.emit('change', transfer);
  }

  /**
   * @param {Link} link
   * @param {Uint8Array<ArrayBuffer>} bytes
   */
  #take(link, bytes) {
    const transfer = link.current;
    if (!transfer || transfer.link !== link || transfer.state !== 'running' || !transfer.sink) return;
    const { id, sink } = transfer;
    if (transfer.at + bytes.length > transfer.size || transfer.queued + bytes.length > 2 * windowBytes) {
      put(link, { type: 'cancel', id, reason: 'protocol' });
      return this.#fail(transfer, 'protocol');
    }
    transfer.hash.update(bytes);
    transfer.at += bytes.length;
    transfer.queued += bytes.length;
    const until = transfer.at;
    transfer.writing = transfer.writing.then(async () => {
      if (isOver(transfer)) return;
      try {
        await sink.write(bytes);
      } catch {
        if (transfer.link) put(transfer.link, { type: 'cancel', id, reason: 'unwritable' });
        return this.#fail(transfer, 'unwritable'); // the disk is full
      }
      transfer.queued -= bytes.length;
      transfer.moved = until;
      if (transfer.link && (until % blockBytes === 0 || transfer.queued === 0)) put(transfer.link, { type: 'got', id, at: until });
      this.emit('change', transfer);
    });
  }

  /**
   * @param {Inner} transfer
   * @param {string} sha256  of the whole file
   */
  async #check(transfer, sha256) {
    const { id, sink } = transfer;
    if (!transfer.incoming || transfer.state !== 'running' || transfer.at !== transfer.size || !sink) return;
    transfer.state = 'checking';
    this.emit('change', transfer);
    await transfer.writing;
    if (isOver(transfer)) return;
    const same = transfer.hash.digest() === sha256;
    if (same) {
      try {
        await sink.close();
        transfer.sink = null;
        if (transfer.link) put(transfer.link, { type: 'done', id });
        return this.#end(transfer, 'done');
      } catch {
        // As with any write.
      }
    }
    const reason = same ? 'unwritable' : 'corrupt';
    if (transfer.link) put(transfer.link, { type: 'cancel', id, reason });
    this.#fail(transfer, reason);
  }

  /**
   * @param {Inner} transfer
   * @param {FailReason} reason
   */
  #fail(transfer, reason) {
    transfer.reason = reason;
    this.#end(transfer, 'failed');
  }

  /**
   * @param {Inner} transfer
   * @param {FileState} state
   */
  #end(transfer, state) {
    const { sink } = transfer;
    transfer.state = state;
    transfer.source = transfer.sink = transfer.link = null;
    if (state === 'done') transfer.moved = transfer.size;
    else if (sink) void transfer.writing.then(() => sink.abort()).catch(() => {});
    this.emit('change', transfer);
  }
}

/**
 * @param {Pick<Inner, 'id' | 'name' | 'size' | 'mime' | 'incoming' | 'member' | 'source'>} what
 * @returns {Inner}
 */
const made = (what) => ({
  ...what, state: 'offered', moved: 0, paused: false, reason: '', link: null, sink: null, hash: new Sha256(), hashed: 0, sha256: '', at: 0,
  pausedHere: false, pausedThere: false, writing: Promise.resolve(), queued: 0, turn: 0,
});

/**
 * @param {Inner} transfer
 * @param {Link} link
 */
const maySend = (transfer, link) =>
  !transfer.incoming && transfer.link === link && transfer.state === 'running' && !transfer.paused &&
  transfer.at - transfer.moved < windowBytes && link.channel.readyState === 'open' && link.channel.bufferedAmount < highMark;

/**
 * @param {Link} link
 * @param {object} message
 */
function put({ channel }, message) {
  try {
    if (channel.readyState === 'open') channel.send(JSON.stringify(message));
  } catch {
    // It closes this moment; the next one begins with what is open.
  }
}

/**
 * @param {Link} link
 * @param {Uint8Array<ArrayBuffer>} bytes
 */
function putBytes({ channel }, bytes) {
  try {
    channel.send(bytes);
    return true;
  } catch {
    return false;
  }
}

/** 96 random bits: who does not know an id cannot go on with its transfer. */
const newId = () => Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, '0')).join('');
