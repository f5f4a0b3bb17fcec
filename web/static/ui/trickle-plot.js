// The two plots of the connection test, as SVG that is as wide as its place.
// What they show is in words and tables beside them.

import { s } from './dom.js';

/**
 * @import { Sample } from '../sdk/probe-echo.js'
 *
 * @typedef {{label: string, kind: 'host' | 'srflx' | 'relay', arrivals: number[], failures: number[]}} TimelineRow
 *   arrivals: milliseconds since the start. failures: when a server had failed.
 */

const rowHeight = 30;
const axisHeight = 26;

/**
 * timelinePlot draws a row for each kind of candidate.
 *
 * @param {{rows: TimelineRow[], width: number, label: string, seconds: (ms: number) => string}} options
 */
export function timelinePlot({ rows, width, label, seconds }) {
  const left = 100;
  const right = 14;
  const height = rows.length * rowHeight + axisHeight;
  const axis = niceAxis(Math.max(100, ...rows.flatMap(({ arrivals }) => arrivals)), width < 480 ? 3 : 5);
  const x = (/** @type {number} */ ms) => left + (Math.min(ms, axis.end) / axis.end) * (width - left - right);
  const drawing = svg(width, height, label);
  for (const ms of axis.ticks) {
    const anchor = ms === axis.end ? 'end' : ms === 0 ? 'start' : 'middle';
    drawing.append(
      s('path', { class: 'grid', d: `M${x(ms)} 2V${height - axisHeight}` }),
      s('text', { x: anchor === 'end' ? x(ms) + right : x(ms), y: height - 6, 'text-anchor': anchor }, seconds(ms)),
    );
  }
  rows.forEach(({ label: name, kind, arrivals, failures }, i) => {
    const y = i * rowHeight + rowHeight / 2;
    const voice = kind === 'host' ? 'host' : 'them';
    drawing.append(s('text', { x: 0, y: y + 4 }, name));
    for (const ms of failures) {
      const end = x(ms);
      drawing.append(
        s('path', { class: 'failed bar', d: `M${left} ${y}H${end - 8}` }),
        s('path', { class: 'failed cross', d: `M${end - 5} ${y - 5}l10 10m0 -10l-10 10` }),
      );
    }
    if (kind === 'relay' && arrivals.length) {
      drawing.append(s('path', { class: 'them bar', d: `M${left} ${y}H${x(Math.max(...arrivals))}` }));
    }
    for (const ms of arrivals) drawing.append(s('circle', { class: `${voice} dot`, cx: x(ms), cy: y, r: 6 }));
  });
  return drawing;
}

/**
 * echoPlot draws the way there and the round trip over the time of sending;
 * a cross on the axis is a message that never came back.
 *
 * @param {{samples: readonly Sample[], width: number, label: string,
 *   seconds: (ms: number) => string, milliseconds: (ms: number) => string}} options
 */
export function echoPlot({ samples, width, label, seconds, milliseconds }) {
  const left = 58;
  const right = 14;
  const top = 10;
  const height = 150;
  const bottom = height - axisHeight;
  const values = samples.map(({ rttMs }) => rttMs ?? 0);
  const across = niceAxis(Math.max(500, samples.at(-1)?.atMs ?? 0), width < 480 ? 3 : 5);
  const up = niceAxis(Math.max(0.2, ...values), 3);
  const x = (/** @type {number} */ ms) => left + (ms / across.end) * (width - left - right);
  const y = (/** @type {number} */ ms) => bottom - (ms / up.end) * (bottom - top);
  const drawing = svg(width, height, label);
  for (const ms of up.ticks) {
    drawing.append(
      s('path', { class: 'grid', d: `M${left} ${y(ms)}H${width - right}` }),
      s('text', { x: left - 8, y: y(ms) + 4, 'text-anchor': 'end' }, milliseconds(ms)),
    );
  }
  for (const ms of across.ticks) {
    const anchor = ms === across.end ? 'end' : 'middle';
    drawing.append(s('text', { x: anchor === 'end' ? x(ms) + right : x(ms), y: height - 6, 'text-anchor': anchor }, seconds(ms)));
  }
  drawing.append(
    s('path', { class: 'them line', d: path(samples.map(({ atMs, rttMs }) => (rttMs === null ? null : [x(atMs), y(rttMs)]))) }),
    s('path', { class: 'you line', d: path(samples.map(({ atMs, thereMs }) => (thereMs === null ? null : [x(atMs), y(thereMs)]))) }),
  );
  for (const { atMs, rttMs } of samples) {
    if (rttMs === null) drawing.append(s('path', { class: 'failed cross', d: `M${x(atMs) - 4} ${bottom - 4}l8 8m0 -8l-8 8` }));
  }
  return drawing;
}

/**
 * niceAxis goes from 0 to at least max in at most `most` steps of 1, 2 or 5 times a
 * power of ten.
 *
 * @param {number} max
 * @param {number} most
 */
export function niceAxis(max, most) {
  const raw = max / most;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * (raw / power <= 1 ? 1 : raw / power <= 2 ? 2 : raw / power <= 5 ? 5 : 10);
  const steps = Math.max(1, Math.ceil(max / step - 1e-9));
  const ticks = Array.from({ length: steps + 1 }, (_, i) => i * step);
  return { ticks, end: steps * step };
}

/**
 * A line with a gap where there is no value. h0 makes a lonely point a dot.
 *
 * @param {([number, number] | null)[]} points
 */
export function path(points) {
  return points
    .map((point, i) => (point ? `${i > 0 && points[i - 1] ? 'L' : 'M'}${point[0].toFixed(1)} ${point[1].toFixed(1)}h0` : ''))
    .join('');
}

/**
 * @param {number} width
 * @param {number} height
 * @param {string} label
 */
export const svg = (width, height, label) => s('svg', { width, height, viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': label });
