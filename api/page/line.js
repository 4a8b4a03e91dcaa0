/**
 * One tag of the trend: its readings over time, its colour, its entry in the legend.
 *
 * Knows the gateway for history; what the stream brings is told. Does not draw.
 */

import { copyOf, mark, partsOf, write } from "./dom.js";
import { reason, unit, value } from "./format.js";
import { numeric, Series } from "./series.js";

const MINUTE_MS = 60_000;
const WORTH_SAYING = new Set(["uncertain", "bad"]);
const BOOLEAN_LABELS = { 0: "false", 1: "true" };

export class Line {
  #parts;

  constructor(tag, colour) {
    this.tag = tag;
    this.colour = colour;
    this.name = `${tag.asset.name}/${tag.shortName}`;
    this.series = new Series(tag.isDiscrete);
    this.entry = copyOf("legend-entry");
    this.#parts = partsOf(this.entry);
    this.entry.style.setProperty("--colour", `var(${colour})`);
    write(this.#parts.asset, `${tag.asset.name}/`);
    write(this.#parts.name, tag.shortName);
    write(this.#parts.unit, unit(tag.unit));
    mark(this.#parts.drop, "aria-label", `take ${this.name} out of the trend`);
    this.take();
  }

  /** The names of states, for an axis; null for numbers. */
  get labels() {
    if (!this.tag.isDiscrete) return null;
    return this.tag.kind === "boolean" ? BOOLEAN_LABELS : this.tag.labels;
  }

  /** Why there is nothing to draw; "" if there is. */
  get obstacle() {
    const { kind, value: raw } = this.tag;
    if (kind === "object") return `${this.name} is no number and has no line.`;
    return kind === "string" && Number.isNaN(numeric(raw)) ? `${this.name} is text and has no line.` : "";
  }

  /** Take the present reading of the tag. */
  take() {
    this.series.append(this.tag.time, this.tag.value, this.tag.state);
  }

  /** Put history before what the stream brings. Throws what the gateway says, and keeps the line that there is. */
  async load(gateway, { span, bucketMinutes }, signal) {
    if (this.tag.isWaveform || this.obstacle !== "") return;
    const now = gateway.now();
    const width = bucketMinutes * MINUTE_MS;
    const rolledUntil = width > 0 ? now - (now % width) : now - span;
    const series = new Series(this.series.discrete);
    if (width > 0) {
      series.appendBuckets(await gateway.buckets(this.tag.path, now - span, rolledUntil, bucketMinutes, signal), width);
    }
    series.appendReadings(await gateway.readings(this.tag.path, rolledUntil, now, signal));
    series.appendNewer(this.series);
    this.series = series;
  }

  /** Show in the legend what the value is. */
  showNow(live) {
    const { value: raw, state, reason: why } = this.tag;
    this.#show(this.#text(raw), live ? state : "unknown", reason(why));
  }

  /** Show in the legend what the value was at a time. */
  showAt(time) {
    const row = this.tag.isWaveform ? null : this.series.rowAt(time);
    if (row === null) return this.#show("–", "unknown");
    const raw = this.tag.kind === "boolean" ? row.value === 1 : row.value;
    const band = row.low < row.high ? ` (${this.#text(row.low)} … ${this.#text(row.high)})` : "";
    return this.#show(Number.isNaN(row.value) ? "–" : this.#text(raw) + band, row.state);
  }

  #show(text, state, why = "") {
    write(this.#parts.value, text);
    write(this.#parts.word, WORTH_SAYING.has(state) ? [state, why].filter(Boolean).join(", ") : "");
    mark(this.#parts.state, "data-state", state);
  }

  #text(raw) {
    return value(raw, { labels: this.tag.labels, decimals: this.tag.precision.decimals });
  }
}
