// A small plot of the last minute: what goes up in coral, what comes down in teal.

import { s } from './dom.js';
import { niceAxis, path, svg } from './trickle-plot.js';

const height = 84;
const axisHeight = 18;
const top = 8;
const left = 74;
const right = 6;
/** How much time is shown. */
const spanMs = 60_000;

/**
 * @param {{
 *   points: {atMs: number, up: number | null, down: number | null}[], least: number, width: number, label: string,
 *   unit: (value: number) => string, ago: (seconds: number) => string,
 * }} options
 *   least: the axis goes up to that at least
 */
export function minutePlot({ points, least, width, label, unit, ago }) {
  const bottom = height - axisHeight;
  const now = points.at(-1)?.atMs ?? 0;
  const axis = niceAxis(Math.max(least, ...points.flatMap(({ up, down }) => [up ?? 0, down ?? 0])), 2);
  const x = (/** @type {number} */ atMs) => width - right - ((now - atMs) / spanMs) * (width - left - right);
  const y = (/** @type {number} */ value) => bottom - (value / axis.end) * (bottom - top);
  const drawing = svg(width, height, label);
  for (const value of axis.ticks) {
    drawing.append(
      s('path', { class: 'grid', d: `M${left} ${y(value)}H${width - right}` }),
      s('text', { x: left - 6, y: y(value) + 4, 'text-anchor': 'end' }, unit(value)),
    );
  }
  drawing.append(
    s('text', { x: left, y: height - 3 }, ago(spanMs / 1000)),
    s('text', { x: width - right, y: height - 3, 'text-anchor': 'end' }, ago(0)),
  );
  for (const [voice, field] of /** @type {const} */ ([['them', 'down'], ['you', 'up']])) {
    const shown = points.filter(({ atMs }) => now - atMs <= spanMs);
    drawing.append(s('path', { class: `${voice} line`, d: path(shown.map((point) => (point[field] === null ? null : [x(point.atMs), y(point[field] ?? 0)]))) }));
  }
  return drawing;
}
