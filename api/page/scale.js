/**
 * Axes: from values and times to pixels, and where the ticks are. Pure.
 */

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const TIME_STEPS = [
  ...[1, 2, 5, 10, 15, 30].map((n) => n * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((n) => n * MINUTE),
  ...[1, 2, 3, 4, 6, 12, 24].map((n) => n * HOUR),
];

/** Return the function that maps [from, to] to [start, end] linearly. */
export function linear(from, to, start, end) {
  const factor = (end - start) / (to - from);
  return (x) => start + (x - from) * factor;
}

/** Return the smallest and the largest number; of many, for which Math.min takes too many arguments. */
export function extremes(numbers) {
  let [low, high] = [Infinity, -Infinity];
  for (const x of numbers) {
    if (x < low) low = x;
    if (x > high) high = x;
  }
  return [low, high];
}

/** Return [low, high] as it is, or with some room on both sides if a constant has none. */
export function widened(low, high) {
  const room = high > low ? 0 : Math.max(Math.abs(low) * 0.01, 0.5);
  return [low - room, high + room];
}

/** Return a step of 1, 2 or 5 times a power of ten that makes at most `count` steps of a span. */
function niceStep(span, count) {
  const power = 10 ** Math.floor(Math.log10(span / count));
  return [1, 2, 5, 10].map((n) => n * power).find((step) => span / step <= count * (1 + 1e-9));
}

/** Return an axis for values between low and high, its ends on ticks: {from, to, ticks, decimals}. */
export function valueAxis(low, high, count) {
  const [bottom, top] = widened(low, high);
  const step = niceStep(top - bottom, Math.max(1, count));
  const first = Math.floor(bottom / step + 1e-9);
  const last = Math.ceil(top / step - 1e-9);
  const ticks = Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
  return { from: ticks[0], to: ticks.at(-1), ticks, decimals: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
}

/** Return the ticks of a time axis, at most `count`, on full units of the reader's time of day: {step, ticks}. */
export function timeTicks(from, to, count) {
  const step = TIME_STEPS.find((each) => (to - from) / each <= count) ?? TIME_STEPS.at(-1);
  const zone = new Date(to).getTimezoneOffset() * MINUTE;
  const ticks = [];
  for (let tick = Math.ceil((from - zone) / step) * step + zone; tick <= to; tick += step) ticks.push(tick);
  return { step, ticks };
}
