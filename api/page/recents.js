/**
 * The last minutes of the tags that are on the screen, for their sparklines.
 *
 * A tag is looked up in history once it is watched, a few at a time, and then follows the stream. What is not watched
 * is forgotten, so this stays small however many tags there are. Knows the gateway and nothing of the document.
 */

import { otherwise } from "./gateway.js";
import { Series } from "./series.js";
import { seriesPath, waveformPath } from "./spark.js";

const SPAN_MS = 5 * 60_000;
const REQUESTS_MAX = 2;

export class Recents {
  #gateway;
  #series = new Map();
  #queue = new Set();
  #requests = 0;

  constructor(gateway) {
    this.#gateway = gateway;
  }

  watch(tag) {
    if (tag.isWaveform) return;
    const series = new Series(tag.isDiscrete);
    series.append(tag.time, tag.value, tag.state);
    this.#series.set(tag, series);
    this.#queue.add(tag);
    this.#work();
  }

  unwatch(tag) {
    this.#series.delete(tag);
    this.#queue.delete(tag);
  }

  /** Look up all watched tags again, after the stream was away. */
  reload() {
    for (const tag of [...this.#series.keys()]) this.watch(tag);
  }

  /** Take the present readings of tags, of which some may be watched. */
  take(tags) {
    for (const tag of tags) this.#series.get(tag)?.append(tag.time, tag.value, tag.state);
  }

  /** Return the path of a tag's sparkline. */
  path(tag, now) {
    if (tag.isWaveform) return waveformPath(tag.value ?? []);
    const series = this.#series.get(tag);
    series?.forget(now - SPAN_MS);
    return series === undefined ? "" : seriesPath(series, now - SPAN_MS, now);
  }

  async #work() {
    if (this.#requests === REQUESTS_MAX) return;
    this.#requests += 1;
    for (const tag of this.#queue) {
      this.#queue.delete(tag);
      await this.#load(tag);
    }
    this.#requests -= 1;
  }

  /** Put history before what the stream brings. Without history the line begins now; the trend says why. */
  async #load(tag) {
    const now = this.#gateway.now();
    const readings = await this.#gateway.readings(tag.path, now - SPAN_MS, now).catch(otherwise([]));
    const live = this.#series.get(tag);
    if (live === undefined) return;
    const series = new Series(live.discrete);
    series.appendReadings(readings);
    series.appendNewer(live);
    this.#series.set(tag, series);
  }
}
