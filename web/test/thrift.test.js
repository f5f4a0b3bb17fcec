import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decide, newThrift } from '../static/sdk/thrift.js';

/**
 * What Chromium said once a second while 140 kbit/s carried both ways, from 6 s to 38 s: the time, the
 * available outgoing bitrate, whether the picture was limited by it, and the loss.
 *
 * @type {[number, number | null, boolean | null, number][]}
 */
const recorded = [
  [0, 1633714, true, 0], [1045, 3198153, true, 0], [2053, 3969333, true, 0], [3017, 3969333, true, 0],
  [4025, 3969333, true, 0], [5002, 3969333, true, 0], [6002, 3969333, true, 0], [7002, 84400, true, 0],
  [8026, 84400, true, 3], [9134, 84400, true, 3], [10037, 84400, true, 12], [11002, 84400, true, 12],
  [12055, 84400, true, 20], [13029, 54400, true, 17], [14003, 54400, true, 18], [15012, 54400, true, 9],
  [16013, 54400, true, 50], [17182, 54400, true, 42], [18002, 54400, null, 46], [19056, 54400, null, 48],
  [20002, 54400, null, 47], [21002, 54400, null, 1], [22003, 54400, null, 12], [23002, 54400, null, 11],
  [24017, 64732, null, 10], [25002, 54400, null, 10], [26003, 54400, null, 10], [27003, 56067, null, 0],
  [28002, 84400, true, 0], [29002, 84400, true, 0], [30006, 84400, true, 5], [31002, 84400, true, 6],
  [32015, 84400, true, 7], [33002, 84400, true, 9], [34448, 84400, true, 8], [35002, 84400, true, 21],
  [36002, 84400, true, 21], [37002, 54400, true, 21], [38002, 54400, true, 20], [39005, 101777, true, 23],
  [40002, 54400, true, 5], [41004, 54400, true, 3], [42002, 67972, null, 29], [43232, 81950, null, 28],
  [44015, 122650, null, 27], [45049, 123984, null, 27], [46002, 123984, null, 27], [47002, 123984, null, 0],
  [48002, 123984, null, 0], [49038, 123984, null, 0], [50002, 123984, null, 0], [51003, 123984, null, 0],
  [52005, 123984, null, 0], [53002, 123984, null, 0], [54003, 123984, null, 0], [55002, 123984, null, 0],
  [56002, 123984, null, 0], [57002, 123984, null, 0], [58002, 484190, true, 0], [59034, 1370400, true, 0],
  [60117, 1370400, true, 0], [61039, 1370400, true, 0], [62002, 1370400, true, 0],
];

/**
 * When the picture is paused (true) and sent again.
 *
 * @param {typeof recorded} looks
 * @param {boolean} [hasPicture]
 */
function changes(looks, hasPicture = true) {
  /** @type {[number, boolean][]} */
  const seen = [];
  let thrift = newThrift(looks[0]?.[0] ?? 0);
  for (const [atMs, availableBps, limited, upLossPercent] of looks) {
    const next = decide(thrift, { atMs, availableBps, limited, upLossPercent, hasPicture });
    if (next.paused !== thrift.paused) seen.push([atMs, next.paused]);
    thrift = next;
  }
  return seen;
}

/** So many looks alike, a second apart. @param {number} count @param {number | null} availableBps @param {number} [loss] @param {number} [fromS] @returns {typeof recorded} */
const alike = (count, availableBps, loss = 0, fromS = 0) => Array.from({ length: count }, (_, i) => [(fromS + i) * 1000, availableBps, true, loss]);

test('the recorded call pauses the picture within seconds, tries it once while it is short, and has it back after', () => {
  assert.deepEqual(changes(recorded), [[12_055, true], [27_003, false], [36_002, true], [56_002, false]]);
});

test('a call that is well never pauses its picture', () => {
  assert.deepEqual(changes(alike(100, 2_000_000)), []);
  assert.deepEqual(changes(alike(100, null)), [], 'a browser that does not tell');
});

test('a dip of four seconds is no reason, five are', () => {
  assert.deepEqual(changes([...alike(20, 900_000), ...alike(5, 50_000, 0, 20), ...alike(20, 900_000, 0, 25)]), []);
  assert.deepEqual(changes([...alike(20, 900_000), ...alike(6, 50_000, 0, 20)]), [[25_000, true]]);
});

test('a picture that has just begun has eight seconds to find its bitrate', () => {
  assert.deepEqual(changes(alike(8, 50_000)), []);
  assert.deepEqual(changes(alike(9, 50_000)), [[8_000, true]]);
});

test('a picture that is as small as what is available is no reason', () => {
  assert.deepEqual(changes(alike(60, 50_000).map(([at, available, , loss]) => [at, available, false, loss])), []);
});

test('loss alone is a reason, and keeps the picture away', () => {
  assert.deepEqual(changes([...alike(20, null), ...alike(60, null, 40, 20)]), [[25_000, true]]);
});

test('ample bandwidth brings the picture back after five seconds, without a trial', () => {
  assert.deepEqual(changes([...alike(9, 50_000), ...alike(10, 800_000, 0, 9)]), [[8_000, true], [13_000, false]]);
});

test('each trial that fails doubles the pause, and a picture that was well for a minute forgets them', () => {
  const trials = changes(alike(400, 60_000)).map(([at]) => at / 1000);
  const pauses = trials.filter((_, i) => i % 2).map((at, i) => at - (trials[2 * i] ?? 0));
  assert.deepEqual(pauses.slice(0, 5), [10, 20, 40, 80, 80]);
  const later = [...alike(60, 60_000), ...alike(100, 900_000, 0, 60), ...alike(20, 60_000, 0, 160)];
  const [again, back] = changes(later).slice(-2);
  assert.equal((back?.[0] ?? 0) - (again?.[0] ?? 0), 10_000);
});

test('who sends no picture has none to pause, and is not told of one', () => {
  assert.deepEqual(changes(alike(60, 20_000, 50), false), []);
});
