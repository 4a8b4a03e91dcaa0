/**
 * The readings of one tag over time, as columns; what a trend or a sparkline is drawn from.
 *
 * Pure. Times are ms since 1970 UTC. A value of NaN is a gap: there was no usable value from that time on.
 */

/** A value is held, rather than followed, when nothing came for so many usual distances between readings. */
const HELD_DISTANCES = 8;
const HELD_MIN_MS = 15_000;
const HELD_BUCKETS = 1.5;

export class Series {
  time = [];
  value = [];
  low = [];
  high = [];
  state = [];
  /** How long a row lasts if it is a roll-up [ms], else 0. */
  width = [];

  /** `discrete`: its values stand until the next one, rather than move towards it. */
  constructor(discrete) {
    this.discrete = discrete;
  }

  get length() {
    return this.time.length;
  }

  /** Add a reading; one that is older than the last row is left out, one of the same time replaces it. */
  append(time, raw, state) {
    if (time < this.time.at(-1)) return;
    if (time === this.time.at(-1)) this.#pop();
    const value = state === "bad" ? NaN : numeric(raw);
    this.#push(time, value, value, value, state, 0);
  }

  /** Add readings of the API, oldest first. */
  appendReadings(readings) {
    for (const { timestamp, value, quality } of readings) this.append(Date.parse(timestamp), value, quality);
  }

  /** Add roll-up rows of the API, each `width` ms long: their means, or for discrete values the last ones. */
  appendBuckets(buckets, width) {
    for (const { timestamp, count, good, minimum, maximum, mean, last } of buckets) {
      const value = this.discrete ? last : mean;
      const state = good === 0 ? "bad" : good < count ? "uncertain" : "good";
      this.#push(Date.parse(timestamp), value ?? NaN, minimum ?? NaN, maximum ?? NaN, state, width);
    }
  }

  /** Add what another series has that is newer. */
  appendNewer(other) {
    for (let i = this.length > 0 ? other.indexAt(this.time.at(-1)) + 1 : 0; i < other.length; i++) {
      this.#push(...other.#columns.map((column) => column[i]));
    }
  }

  /** Forget what ended before a time; the row that stood at that time stays. */
  forget(before) {
    const n = this.indexAt(before);
    if (n <= 0) return;
    for (const column of this.#columns) column.splice(0, n);
  }

  /** Return the position of the last row at or before a time, -1 if there is none. */
  indexAt(time) {
    let [low, high] = [0, this.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.time[middle] <= time) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** Return what was at a time: {time, value, low, high, state, width}, or null before the first row. */
  rowAt(time) {
    const i = this.indexAt(time);
    if (i < 0) return null;
    const [at, value, low, high, state, width] = this.#columns.map((column) => column[i]);
    return { time: at, value, low, high, state, width };
  }

  /** Return the smallest and largest value from a time on, or null if there is none. */
  extent(from) {
    let [low, high] = [Infinity, -Infinity];
    for (let i = Math.max(0, this.indexAt(from)); i < this.length; i++) {
      if (this.low[i] < low) low = this.low[i];
      if (this.high[i] > high) high = this.high[i];
    }
    return low <= high ? [low, high] : null;
  }

  /**
   * Return what to draw from a time until `now`: polylines {held, points: [[time, value], ...]}.
   *
   * None crosses a gap. `held` ones are level: no number came there for long, so all that is known is the last one.
   * The newest value reaches until `now`, one before a gap until the gap.
   */
  polylines(from, now) {
    const heldAfter = this.#heldAfter();
    const lines = [];
    for (let i = Math.max(0, this.indexAt(from)); i < this.length; i++) {
      if (Number.isNaN(this.value[i])) continue;
      const [start, value] = [this.#drawnAt(i), this.value[i]];
      const isLast = i + 1 === this.length;
      const end = isLast ? Math.max(now, start) : this.#drawnAt(i + 1);
      const next = isLast ? NaN : this.value[i + 1];
      const held = !this.discrete && end - start > (HELD_BUCKETS * this.width[i] || heldAfter);
      const points = Number.isNaN(next) || held || this.discrete ? [[end, value]] : [];
      if (!Number.isNaN(next)) points.push([end, next]);
      extend(lines, held, [start, value], points);
    }
    return lines;
  }

  /** Return the stretches from a time until `now` that were not good: [{state, start, end}]. */
  troubles(from, now) {
    const stretches = [];
    for (let i = Math.max(0, this.indexAt(from)); i < this.length; i++) {
      const [state, start] = [this.state[i], this.time[i]];
      if (state !== "bad" && state !== "uncertain") continue;
      const end = this.width[i] > 0 ? start + this.width[i] : (this.time[i + 1] ?? now);
      const last = stretches.at(-1);
      if (last?.state === state && last.end === start) last.end = end;
      else stretches.push({ state, start, end });
    }
    return stretches;
  }

  /** A mean stands in the middle of its bucket. */
  #drawnAt(i) {
    return this.discrete ? this.time[i] : this.time[i] + this.width[i] / 2;
  }

  #heldAfter() {
    const distances = [];
    for (let i = 1; i < this.length; i++) {
      if (this.width[i - 1] === 0) distances.push(this.time[i] - this.time[i - 1]);
    }
    const usual = distances.sort((one, other) => one - other)[distances.length >> 1] ?? 0;
    return Math.max(HELD_MIN_MS, HELD_DISTANCES * usual);
  }

  get #columns() {
    return [this.time, this.value, this.low, this.high, this.state, this.width];
  }

  #push(...row) {
    this.#columns.forEach((column, i) => column.push(row[i]));
  }

  #pop() {
    for (const column of this.#columns) column.pop();
  }
}

/** Return what a value is on an axis: true is 1; integers beyond 2^53 come as text; what is no number is NaN. */
export function numeric(raw) {
  if (typeof raw === "number") return raw;
  if (typeof raw === "boolean") return Number(raw);
  return typeof raw === "string" && /^-?\d{16,}$/.test(raw) ? Number(raw) : NaN;
}

/** Add points to the last line if it ends where they start and is of the same sort, else begin another. */
function extend(lines, held, start, points) {
  const last = lines.at(-1);
  const end = last?.points.at(-1);
  if (last?.held === held && end[0] === start[0] && end[1] === start[1]) last.points.push(...points);
  else lines.push({ held, points: [start, ...points] });
}
