/**
 * The trend of the chosen tags: legend, history, live continuation, and a cursor that reads values off.
 *
 * History is looked up when tags or range change; from there on the stream continues it. Ten minutes are drawn from
 * readings; longer ranges from roll-ups up to the last full bucket, and from readings after that. Knows tags and the
 * gateway; drawing is the business of plot.js.
 */

import { mark, write } from "./dom.js";
import { moment } from "./format.js";
import { inNextFrame } from "./frame.js";
import { GatewayError } from "./gateway.js";
import { Line } from "./line.js";
import { Plot } from "./plot.js";

export const LINES_MAX = 4;
const MINUTE_MS = 60_000;
/** `bucketMinutes` makes some hundred buckets, so that one is a pixel or a few. */
const RANGES = {
  "10min": { span: 10 * MINUTE_MS, bucketMinutes: 0 },
  "1h": { span: 60 * MINUTE_MS, bucketMinutes: 1 },
  "8h": { span: 480 * MINUTE_MS, bucketMinutes: 1 },
  "24h": { span: 1440 * MINUTE_MS, bucketMinutes: 3 },
};
const CURSOR_STEPS = 120;

export class Trend {
  #parts;
  #gateway;
  #plot;
  #lines = [];
  #range = RANGES["10min"];
  #cursor = null;
  #loadedAt = 0;
  #failed = false;
  #loading = new AbortController();
  /** When the stream broke; the lines end there. */
  #brokenAt = null;

  /**
   * `parts` are the elements {canvas, legend, ranges, when, message, facts, raw}; `drop` is called with a tag to take
   * out, `choose` with the name of a range.
   */
  constructor(parts, { gateway, drop, choose }) {
    this.#parts = parts;
    this.#gateway = gateway;
    this.#plot = new Plot(parts.canvas);
    new ResizeObserver(() => inNextFrame(this.#draw)).observe(parts.canvas);
    parts.canvas.addEventListener("pointermove", (event) => this.#point(this.#plot.timeAt(event.clientX)));
    parts.canvas.addEventListener("pointerleave", () => this.#point(null));
    parts.canvas.addEventListener("blur", () => this.#point(null));
    parts.canvas.addEventListener("keydown", (event) => this.#pressed(event));
    parts.ranges.addEventListener("change", (event) => choose(event.target.value));
    parts.legend.addEventListener("click", (event) => {
      if (event.target.closest("button") === null) return;
      const line = this.#lines.find(({ entry }) => entry.contains(event.target));
      if (line !== undefined) drop(line.tag);
    });
  }

  /** Show these tags, at most LINES_MAX, over a range. Lines that are there already stay as they are. */
  show(tags, range) {
    const kept = RANGES[range] === this.#range ? this.#lines.filter((line) => tags.includes(line.tag)) : [];
    const colours = Array.from({ length: LINES_MAX }, (_, i) => `--line-${i + 1}`);
    const free = colours.filter((colour) => kept.every((line) => line.colour !== colour));
    this.#range = RANGES[range];
    this.#lines = tags.map((tag) => kept.find((line) => line.tag === tag) ?? new Line(tag, free.shift()));
    this.#parts.ranges.elements.range.value = range;
    this.#parts.legend.replaceChildren(...this.#lines.map(({ entry }) => entry));
    this.#describe();
    this.#load();
    this.#draw();
  }

  /** Take the present readings of tags, of which some may be shown. */
  take(tags) {
    for (const line of this.#lines) if (tags.includes(line.tag)) line.take();
    if (this.#lines.some(({ tag }) => tag.isWaveform && tags.includes(tag))) inNextFrame(this.#draw);
  }

  /** Tell whether the stream is there; when it has come back, what was missed is looked up. */
  setLive(live) {
    if (live && this.#brokenAt !== null) this.#load();
    this.#brokenAt = live ? null : (this.#brokenAt ?? this.#gateway.now());
    inNextFrame(this.#draw);
  }

  /** Move on with time; roll-ups that have become full are looked up, and what could not be found before. */
  tick() {
    const isDue = this.#now - this.#loadedAt > MINUTE_MS && (this.#range.bucketMinutes > 0 || this.#failed);
    if (isDue && this.#brokenAt === null) this.#load();
    inNextFrame(this.#draw);
  }

  get #now() {
    return this.#brokenAt ?? this.#gateway.now();
  }

  async #load() {
    this.#loading.abort();
    this.#loading = new AbortController();
    const { signal } = this.#loading;
    this.#loadedAt = this.#now;
    this.#failed = false;
    try {
      await Promise.all(this.#lines.map((line) => line.load(this.#gateway, this.#range, signal)));
      write(this.#parts.message, this.#lines.map(({ obstacle }) => obstacle).filter(Boolean).join(" "));
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof GatewayError)) throw error;
      this.#failed = true;
      write(this.#parts.message, `No history, only what comes now: ${error.message}`);
    }
    inNextFrame(this.#draw);
  }

  #draw = () => {
    const now = this.#now;
    const from = now - this.#range.span;
    for (const { series } of this.#lines) series.forget(from);
    const drawn = lanes(this.#lines);
    this.#parts.canvas.style.setProperty("--lanes", Math.max(1, drawn.length));
    this.#plot.draw(drawn, { from, now, cursor: this.#cursor });
    for (const line of this.#lines) {
      if (this.#cursor === null) line.showNow(this.#brokenAt === null);
      else line.showAt(this.#cursor);
    }
    const until = this.#brokenAt === null ? "now" : `not live since ${moment(now, now)}`;
    write(this.#parts.when, this.#cursor === null ? until : moment(this.#cursor, now));
  };

  /** What a single tag is; the space is there for several as well. */
  #describe() {
    const [tag, ...more] = this.#lines.map((line) => line.tag);
    const facts = tag === undefined || more.length > 0 ? [] : [tag.description, tag.source, tag.device];
    write(this.#parts.facts, facts.filter(Boolean).join(" · "));
    this.#parts.raw.hidden = tag === undefined || more.length > 0 || this.#gateway.locked;
    if (tag !== undefined) mark(this.#parts.raw, "href", `/api/v1/values/${tag.path}`);
    const names = this.#lines.map((line) => line.name).join(", ");
    mark(this.#parts.canvas, "aria-label", `Trend of ${names || "nothing"}. Left and right move the cursor.`);
  }

  #point(time) {
    this.#cursor = time;
    inNextFrame(this.#draw);
  }

  #pressed(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === "Escape") this.#point(null);
    if (step === undefined) return;
    event.preventDefault();
    const [now, span] = [this.#now, this.#range.span];
    const moved = (this.#cursor ?? now) + (step * span) / CURSOR_STEPS;
    this.#point(Math.min(Math.max(moved, now - span), now));
  }
}

/** What is drawn together: tags of one unit; states, waveforms and what has no unit each for itself. Times first. */
function lanes(lines) {
  const overTime = Map.groupBy(
    lines.filter(({ tag }) => !tag.isWaveform),
    ({ tag }) => (tag.isDiscrete ? "" : tag.unit) || tag.path,
  );
  const waveforms = lines.filter(({ tag }) => tag.isWaveform);
  return [
    ...[...overTime.values()].map((together) => ({ lines: together, labels: together[0].labels })),
    ...waveforms.map(({ tag, colour }) => ({ samples: tag.value ?? [], colour })),
  ];
}
