import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { readFileMessage, safeFileName } from '../static/sdk/file-message.js';
import { Files, isOver } from '../static/sdk/files.js';

/**
 * @import { Sink, Transfer } from '../static/sdk/files.js'
 */

// Two ends of a data channel without a connection: what is sent arrives in order, as fast as it is
// carried, and is buffered until then.
class End extends EventTarget {
  readyState = 'open';
  binaryType = '';
  bufferedAmount = 0;
  bufferedAmountLowThreshold = 0;
  mostBuffered = 0;
  /** @type {(string | ArrayBuffer)[]} */
  queue = [];
  /** @type {End | null} */
  other = null;
  /** @param {string | Uint8Array<ArrayBuffer>} data */
  send(data) {
    if (this.readyState !== 'open') throw new Error('not open');
    this.queue.push(typeof data === 'string' ? data : data.slice().buffer);
    this.bufferedAmount += data.length;
    this.mostBuffered = Math.max(this.mostBuffered, this.bufferedAmount);
  }
  /** Carries one message to the other end; false when there is none. */
  carry() {
    const data = this.queue.shift();
    if (data === undefined) return false;
    const before = this.bufferedAmount;
    this.bufferedAmount -= typeof data === 'string' ? data.length : data.byteLength;
    this.other?.dispatchEvent(Object.assign(new Event('message'), { data }));
    const low = this.bufferedAmountLowThreshold;
    if (before > low && this.bufferedAmount <= low) this.dispatchEvent(new Event('bufferedamountlow'));
    return true;
  }
  close() {
    this.readyState = 'closed';
    this.dispatchEvent(new Event('close'));
  }
}

/** Ann and Bo, and the channel between them. */
function pair() {
  const [ann, bo] = [new Files(), new Files()];
  /** @type {[End, End]} */
  let ends;
  /** @param {(end: End) => RTCDataChannel} as */
  const connect = (as = (end) => /** @type {RTCDataChannel} */ (/** @type {unknown} */ (end))) => {
    ends = [new End(), new End()];
    [ends[0].other, ends[1].other] = [ends[1], ends[0]];
    ann.attach('bo', as(ends[0]));
    bo.attach('ann', as(ends[1]));
    return ends;
  };
  connect();
  /** @type {Transfer[]} */
  const offers = [];
  bo.addEventListener('offer', ({ detail }) => offers.push(detail));
  return {
    ann,
    bo,
    offers,
    connect,
    get ends() {
      return ends;
    },
    cut: () => ends.forEach((end) => end.close()),
    /** Carries everything there is, until something holds or nothing moves any more. */
    run: async (/** @type {() => boolean} */ holds = () => false) => {
      for (let still = 0; still < 50 && !holds(); ) {
        still = ends.map((end) => end.carry()).some(Boolean) ? 0 : still + 1;
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
  };
}

/** Takes bytes as a disk does. */
class Disk {
  /** @type {Uint8Array[]} */
  pieces = [];
  ended = '';
  /** @type {Promise<void>} */
  slow = Promise.resolve();
  /** @type {Sink} */
  sink = {
    write: async (bytes) => {
      await this.slow;
      this.pieces.push(bytes);
    },
    close: async () => void (this.ended = 'closed'),
    abort: async () => void (this.ended = 'aborted'),
  };
  get length() {
    return this.pieces.reduce((sum, piece) => sum + piece.length, 0);
  }
  get bytes() {
    return Buffer.concat(this.pieces);
  }
}

const bytes = randomBytes(3_000_001);
const sent = () => new Blob([bytes]);
/** More than is on its way at once. */
const big = new Blob(Array.from({ length: 8 }, () => bytes));

/** @param {Transfer | null | undefined} transfer */
const idOf = (transfer) => transfer?.id ?? assert.fail('there is no transfer');

test('a file arrives whole, whatever its length, and its sender is told', async () => {
  for (const length of [0, 1, 65_536, 262_144, 300_000, bytes.length]) {
    const two = pair();
    const transfer = two.ann.send('bo', new Blob([bytes.subarray(0, length)]), 'a/b/../tea\u202E.txt', 'text/plain');
    await two.run();
    const [offer] = two.offers;
    assert.deepEqual([offer?.name, offer?.size, offer?.mime, offer?.state], ['tea.txt', length, 'text/plain', 'offered']);
    const disk = new Disk();
    two.bo.accept(idOf(offer), disk.sink);
    await two.run();
    assert.deepEqual([transfer?.state, offer?.state, disk.ended, transfer?.moved], ['done', 'done', 'closed', length]);
    assert.ok(disk.bytes.equals(bytes.subarray(0, length)), `${length} bytes`);
  }
});

test('several go at once, and each arrives', async () => {
  const two = pair();
  for (let i = 0; i < 5; i++) two.ann.send('bo', new Blob([bytes.subarray(i)]), `${i}`);
  await two.run();
  const disks = two.offers.map(({ id }) => {
    const disk = new Disk();
    two.bo.accept(id, disk.sink);
    return disk;
  });
  await two.run(() => two.bo.transfers.every(({ moved }) => moved > 0));
  assert.equal(two.bo.transfers.filter((transfer) => transfer.state === 'running').length, 5, 'one after the other');
  await two.run();
  disks.forEach((disk, i) => assert.ok(disk.bytes.equals(bytes.subarray(i))));
});

test('sending stops above the high mark, and eight MiB beyond what is written', async () => {
  const two = pair();
  const transfer = two.ann.send('bo', big, 'big');
  await two.run();
  const disk = new Disk();
  let write = () => {};
  disk.slow = new Promise((resolve) => (write = resolve));
  two.bo.accept(idOf(two.offers[0]), disk.sink);
  await two.run();
  assert.equal(transfer?.moved, 0);
  const [annsEnd] = two.ends;
  assert.ok(annsEnd.mostBuffered < (1 << 20) + (512 << 10), `${annsEnd.mostBuffered} buffered`);
  const before = /** @type {{at: number}} */ (/** @type {unknown} */ (transfer)).at;
  assert.ok(before >= 8 << 20 && before <= (8 << 20) + (256 << 10), `${before} on their way`);
  write();
  await two.run();
  assert.equal(transfer.state, 'done');
  assert.equal(disk.bytes.length, big.size);
});

test('over a new channel a file goes on from where it stopped, without asking again', async () => {
  const two = pair();
  const transfer = two.ann.send('bo', sent(), 'tea');
  await two.run();
  const disk = new Disk();
  two.bo.accept(idOf(two.offers[0]), disk.sink);
  for (const share of [0.2, 0.5, 0.9]) {
    await two.run(() => disk.bytes.length > bytes.length * share);
    two.cut();
    assert.deepEqual([transfer?.state, two.offers[0]?.state], ['waiting', 'waiting']);
    two.connect();
  }
  await two.run();
  assert.deepEqual([transfer?.state, two.offers.length], ['done', 1]);
  assert.ok(disk.bytes.equals(bytes));
});

test('what was not answered before the cut is offered again, once for the eye', async () => {
  const two = pair();
  two.ann.send('bo', sent(), 'tea');
  await two.run();
  two.cut();
  two.connect();
  await two.run();
  assert.equal(two.offers.length, 1);
  const disk = new Disk();
  two.bo.accept(idOf(two.offers[0]), disk.sink);
  await two.run();
  assert.ok(disk.bytes.equals(bytes));
});

test('an answer lost with the channel is given again', async () => {
  const two = pair();
  const transfer = two.ann.send('bo', sent(), 'tea');
  await two.run();
  two.bo.accept(idOf(two.offers[0]), new Disk().sink);
  await two.run(() => two.offers[0]?.state === 'done');
  two.cut(); // with "done" in it
  assert.equal(transfer?.state, 'waiting');
  two.connect();
  await two.run();
  assert.equal(transfer.state, 'done');
});

test('either side pauses and goes on', async () => {
  const two = pair();
  const transfer = two.ann.send('bo', big, 'tea');
  await two.run();
  const id = idOf(two.offers[0]);
  const disk = new Disk();
  two.bo.accept(id, disk.sink);
  for (const [i, files] of [two.ann, two.bo].entries()) {
    await two.run(() => disk.length > big.size * 0.4 * i);
    files.pause(id, true);
    await two.run();
    const at = disk.length;
    assert.ok(at > 0 && at < big.size && transfer?.paused && two.offers[0]?.paused);
    two.cut();
    two.connect();
    await two.run();
    assert.ok(disk.length - at < 300_000 && transfer.paused, 'a cut ended the pause');
    files.pause(id, false);
  }
  await two.run();
  assert.equal(transfer?.state, 'done');
});

/** @type {Record<string, [act: (two: ReturnType<typeof pair>, id: string) => void, ann: [string, string], bo: [string, string]]>} */
const ends = {
  'the receiver cancels': [(two, id) => two.bo.cancel(id), ['cancelled', ''], ['cancelled', '']],
  'the sender cancels': [(two, id) => two.ann.cancel(id), ['cancelled', ''], ['cancelled', '']],
  'the sender leaves': [(two) => two.bo.forget('ann'), ['running', ''], ['failed', 'gone']],
  'the receiver leaves': [(two) => two.ann.forget('bo'), ['failed', 'gone'], ['running', '']],
};
for (const [name, [act, ann, bo]] of Object.entries(ends)) {
  test(`${name}: both know, and nothing half is kept`, async () => {
    const two = pair();
    const transfer = two.ann.send('bo', big, 'tea');
    await two.run();
    const disk = new Disk();
    const [offer] = two.offers;
    two.bo.accept(idOf(offer), disk.sink);
    await two.run(() => disk.length > 500_000);
    act(two, idOf(offer));
    await two.run();
    assert.deepEqual([[transfer?.state, transfer?.reason], [offer?.state, offer?.reason]], [ann, bo]);
    if (offer && isOver(offer)) assert.equal(disk.ended, 'aborted');
  });
}

test('a refused offer is known to be', async () => {
  const two = pair();
  const transfer = two.ann.send('bo', sent(), 'tea');
  await two.run();
  two.bo.refuse(idOf(two.offers[0]));
  await two.run();
  assert.deepEqual([transfer?.state, two.offers[0]?.state], ['refused', 'refused']);
});

test('bytes changed on their way are not kept', async () => {
  const two = pair();
  const transfer = two.ann.send('bo', sent(), 'tea');
  await two.run();
  const disk = new Disk();
  two.bo.accept(idOf(two.offers[0]), disk.sink);
  await two.run(() => two.ends[0].queue.some((data) => typeof data !== 'string'));
  const piece = two.ends[0].queue.find((data) => typeof data !== 'string');
  if (piece instanceof ArrayBuffer) new Uint8Array(piece)[7] = ~(new Uint8Array(piece)[7] ?? 0);
  await two.run();
  assert.deepEqual([transfer?.reason, two.offers[0]?.reason, disk.ended], ['corrupt', 'corrupt', 'aborted']);
});

test('a file that changes on the disk, and a disk that is full, end it on both sides', async () => {
  const gone = pair();
  const lost = gone.ann.send('bo', { size: 1000, slice: () => ({ arrayBuffer: () => Promise.reject(new Error('gone')) }) }, 'tea');
  await gone.run();
  gone.bo.accept(idOf(gone.offers[0]), new Disk().sink);
  await gone.run();
  assert.deepEqual([lost?.reason, gone.offers[0]?.reason], ['unreadable', 'unreadable']);

  const full = pair();
  const transfer = full.ann.send('bo', sent(), 'tea');
  await full.run();
  const disk = new Disk();
  disk.sink.write = () => Promise.reject(new Error('full'));
  full.bo.accept(idOf(full.offers[0]), disk.sink);
  await full.run();
  assert.deepEqual([transfer?.reason, full.offers[0]?.reason, disk.ended], ['unwritable', 'unwritable', 'aborted']);
});

test('a peer who sends without being asked, too much, or elsewhere gets nothing written', async () => {
  const { bo, offers, ends: [end], run } = pair();
  const id = 'ab'.repeat(12);
  const say = (/** @type {object} */ message) => end.send(JSON.stringify(message));
  say({ type: 'hello', answer: true });
  say({ type: 'offer', id, name: 'x', size: 10, mime: '' });
  say({ type: 'data', id, at: 0 });
  end.send(new Uint8Array(5));
  await run();
  const disk = new Disk();
  bo.accept(id, disk.sink);
  end.send(new Uint8Array(5));
  say({ type: 'data', id, at: 3 });
  end.send(new Uint8Array(5));
  say({ type: 'end', id, sha256: createHash('sha256').digest('hex') });
  await run();
  assert.deepEqual([disk.bytes.length, offers[0]?.state], [0, 'running']);
  say({ type: 'data', id, at: 0 });
  end.send(new Uint8Array(11));
  await run();
  assert.deepEqual([disk.bytes.length, offers[0]?.state, offers[0]?.reason, disk.ended], [0, 'failed', 'protocol', 'aborted']);
});

test('a peer who does not wait for the disk is cut off', async () => {
  const { bo, offers, ends: [end], run } = pair();
  const id = 'cd'.repeat(12);
  end.send(JSON.stringify({ type: 'offer', id, name: 'x', size: 2 ** 40, mime: '' }));
  await run();
  const disk = new Disk();
  disk.slow = new Promise(() => {});
  bo.accept(id, disk.sink);
  end.send(JSON.stringify({ type: 'data', id, at: 0 }));
  for (let i = 0; i < 17; i++) end.send(new Uint8Array(1 << 20));
  await run();
  assert.equal(offers[0]?.reason, 'protocol');
});

test('what may wait for an answer is bounded', async () => {
  const { ann, bo, offers, ends: [end], run } = pair();
  for (let i = 0; i < 30; i++) end.send(JSON.stringify({ type: 'offer', id: i.toString(16).padStart(24, '0'), name: 'x', size: 1, mime: '' }));
  await run();
  assert.deepEqual([offers.length, bo.transfers.length], [20, 20]);
  for (let i = 0; i < 30; i++) ann.send('bo', sent(), 'x');
  assert.equal(ann.transfers.length, 20);
});

test('close ends all of it', async () => {
  const two = pair();
  const transfer = two.ann.send('bo', sent(), 'tea');
  await two.run();
  two.ann.close();
  assert.equal(transfer?.state, 'cancelled');
  assert.equal(two.ann.send('bo', sent(), 'later')?.state, 'offered');
});

/** @type {Record<string, string>} */
const names = {
  'tea.txt': 'tea.txt',
  '../../etc/passwd': 'passwd',
  'C:\\Windows\\tea.exe': 'tea.exe',
  '.bashrc': 'bashrc',
  'photo\u202Egpj.exe': 'photogpj.exe',
  'a\u0000b\nc': 'abc',
  'con.txt': '_con.txt',
  'tea. . ': 'tea',
  '茶.txt': '茶.txt',
  '<b>"x"|?*</b>.png': 'b.png',
  '': 'file',
  '..': 'file',
  [`${'x'.repeat(10_000)}.jpeg`]: `${'x'.repeat(115)}.jpeg`,
  ['😀'.repeat(500)]: '😀'.repeat(57), // 228 bytes
  [`${'茶'.repeat(119)}.pdf`]: `${'茶'.repeat(75)}.pdf`,
};
for (const [from, to] of Object.entries(names)) {
  test(`the name ${JSON.stringify(from).slice(0, 40)} is kept as ${to.slice(0, 40)}`, () => assert.equal(safeFileName(from), to));
}

const id = 'ab'.repeat(12);
const strange = ['', '{', 'null', '7', '{"type":"offer"}', new Uint8Array(3), ...[
  { type: 'offer', id, name: 'x', size: -1, mime: '' },
  { type: 'offer', id, name: 'x', size: 1.5, mime: '' },
  { type: 'offer', id, name: 'x', size: 2 ** 60, mime: '' },
  { type: 'offer', id: 'x', name: 'x', size: 1, mime: '' },
  { type: 'offer', id, name: 7, size: 1, mime: '' },
  { type: 'offer', id, name: 'x'.repeat(5000), size: 1, mime: '' },
  { type: 'accept', id, at: '0' },
  { type: 'end', id, sha256: 'x' },
  { type: 'other', id },
].map((message) => JSON.stringify(message))];
for (const data of strange) test(`${JSON.stringify(data).slice(0, 60)} is passed over`, () => assert.equal(readFileMessage(data), null));
