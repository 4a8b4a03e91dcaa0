/**
 * Sparklines: the shape of the last minutes as the path of an SVG, in a box of WIDTH by HEIGHT. Pure.
 *
 * Many points become the extremes of each of COLUMNS stretches, so a path has much the same length for every tag.
 */

import { extremes, linear, widened } from "./scale.js";

const WIDTH = 120;
const HEIGHT = 24;
const COLUMNS = 60;
const MARGIN = 2;

/** Return the path of a series from a time until `now`; broken where there was no value. */
export function seriesPath(series, from, now) {
  const extent = series.extent(from);
  if (extent === null) return "";
  const x = linear(from, now, 0, WIDTH);
  const y = height(extent);
  return series
    .polylines(from, now)
    .map(({ points }) => path(points.map(([time, value]) => [x(Math.max(time, from)), y(value)])))
    .join("");
}

/** Return the path of a waveform: all of it, whatever its length. */
export function waveformPath(samples) {
  const x = linear(0, Math.max(1, samples.length - 1), 0, WIDTH);
  const y = height(extremes(samples));
  return path(samples.map((sample, i) => [x(i), y(sample)]).filter(([, height]) => Number.isFinite(height)));
}

function height([low, high]) {
  return linear(...widened(low, high), HEIGHT - MARGIN, MARGIN);
}

function path(points) {
  const drawn = points.length > 4 * COLUMNS ? thinned(points) : points;
  return drawn.map(([x, y], i) => `${i === 0 ? "M" : "L"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
}

/** First, lowest, highest and last point of each column, in their order. */
function thinned(points) {
  const columns = new Map();
  points.forEach(([x, y], i) => {
    const column = Math.floor((x / WIDTH) * COLUMNS);
    const kept = columns.get(column) ?? { first: i, low: i, high: i };
    if (y < points[kept.low][1]) kept.low = i;
    if (y > points[kept.high][1]) kept.high = i;
    columns.set(column, { ...kept, last: i });
  });
  const kept = [...columns.values()].flatMap(({ first, low, high, last }) => [first, low, high, last]);
  return [...new Set(kept)].sort((one, other) => one - other).map((i) => points[i]);
}
