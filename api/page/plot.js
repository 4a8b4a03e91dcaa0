/**
 * Draws lanes of lines on a canvas.
 *
 * Knows series and axes, and nothing of tags, the network or the rest of the page. Colours are custom properties of
 * the canvas, so that the style sheet alone decides them. A lane is one of
 *
 *   {lines: [{series, colour}], labels}    readings over time; `labels` name the numbers of a state, or null
 *   {samples, colour}                      a waveform over the numbers of its samples
 *
 * where `colour` is the name of a custom property. Lanes over time come first and share one time axis.
 */

import { number, timeTick } from "./format.js";
import { extremes, linear, timeTicks, valueAxis } from "./scale.js";

// All sizes are in em of the canvas.
const LANE_GAP = 1;
const GUTTER_MIN = 3;
const GUTTER_STEP = 0.7;
const RIGHT_MARGIN = 0.7;
const FOOTER = 1.7;
const LABEL_HEIGHT = 1.1;
const VALUE_TICK_DISTANCE = 3.2;
const TIME_TICK_DISTANCE = 7;
const RIBBON = 0.25;
const LINE = 0.14;
const HAIRLINE = 0.08;
const DOT = 0.27;

export class Plot {
  #canvas;
  #span = { left: 0, right: 1, from: 0, to: 1 };

  constructor(canvas) {
    this.#canvas = canvas;
  }

  /** Draw the lanes for [from, now]; `cursor` is the time to point at, or null. */
  draw(lanes, { from, now, cursor }) {
    const pen = new Pen(this.#canvas);
    const footers = lanes.filter((_, i) => hasFooter(lanes, i)).length;
    const height = (pen.height - footers * FOOTER * pen.em) / lanes.length - LANE_GAP * pen.em;
    const axes = lanes.map((lane) => valueTicks(lane, from, Math.floor(height / (VALUE_TICK_DISTANCE * pen.em))));
    const [left, right] = [gutter(pen, axes), pen.width - RIGHT_MARGIN * pen.em];
    const time = { x: linear(from, now, left, right), from, now, cursor };
    let top = LANE_GAP * pen.em;
    lanes.forEach((lane, i) => {
      const box = { left, right, top, bottom: top + height };
      const y = linear(axes[i].from, axes[i].to, box.bottom - RIBBON * pen.em, box.top);
      drawValueAxis(pen, box, axes[i].ticks, y);
      pen.within(box, () => {
        if (lane.samples) drawWaveform(pen, box, lane, y);
        else drawLines(pen, box, lane.lines, time, y);
      });
      top = box.bottom + LANE_GAP * pen.em;
      if (!hasFooter(lanes, i)) return;
      drawFooter(pen, box, lane.samples ? sampleTicks(pen, box, lane.samples) : timeAxisTicks(pen, box, time));
      top += FOOTER * pen.em;
    });
    this.#span = { left, right, from, to: now };
  }

  /** Return the time at a place of the window, or the nearest one that is drawn. */
  timeAt(clientX) {
    const { left, right, from, to } = this.#span;
    const time = linear(left, right, from, to)(clientX - this.#canvas.getBoundingClientRect().left);
    return Math.min(Math.max(time, from), to);
  }
}

/** A 2D context, cleared and as sharp as the screen, with the font and the colours of the style sheet. */
class Pen {
  #context;
  #style;

  constructor(canvas) {
    const sharpness = window.devicePixelRatio;
    this.width = canvas.clientWidth;
    this.height = canvas.clientHeight;
    const [width, height] = [this.width, this.height].map((size) => Math.round(size * sharpness));
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    this.#style = getComputedStyle(canvas);
    this.em = Number.parseFloat(this.#style.fontSize);
    this.#context = canvas.getContext("2d");
    this.#context.setTransform(sharpness, 0, 0, sharpness, 0, 0);
    this.#context.clearRect(0, 0, this.width, this.height);
    this.#context.font = `${this.#style.fontSize} ${this.#style.fontFamily}`;
    this.#context.lineJoin = "round";
    this.#context.textBaseline = "middle";
  }

  textWidth(text) {
    return this.#context.measureText(text).width;
  }

  /** Draw what is clipped to a box, but for half a line at its edges. */
  within({ left, right, top, bottom }, draw) {
    const edge = DOT * this.em;
    this.#context.save();
    this.#context.beginPath();
    this.#context.rect(left, top - edge, right - left + edge, bottom - top + 2 * edge);
    this.#context.clip();
    draw();
    this.#context.restore();
  }

  text(text, x, y, align) {
    this.#context.fillStyle = this.#colour("--soft");
    this.#context.textAlign = align;
    this.#context.fillText(text, x, y);
  }

  rectangle(colour, opacity, x0, y0, x1, y1) {
    this.#context.globalAlpha = opacity;
    this.#context.fillStyle = this.#colour(colour);
    this.#context.fillRect(x0, y0, x1 - x0, y1 - y0);
    this.#context.globalAlpha = 1;
  }

  /** `width` is in em. */
  polyline(colour, points, width, opacity = 1) {
    this.#context.globalAlpha = opacity;
    this.#context.strokeStyle = this.#colour(colour);
    this.#context.lineWidth = width * this.em;
    this.#context.beginPath();
    for (const [x, y] of points) this.#context.lineTo(x, y);
    this.#context.stroke();
    this.#context.globalAlpha = 1;
  }

  dot(colour, x, y) {
    this.#context.fillStyle = this.#colour(colour);
    this.#context.beginPath();
    this.#context.arc(x, y, DOT * this.em, 0, 2 * Math.PI);
    this.#context.fill();
  }

  #colour(name) {
    return this.#style.getPropertyValue(name);
  }
}

// --- axes ---------------------------------------------------------------------------------

/** A waveform has an axis of its own, lanes over time have one below the last of them. */
function hasFooter(lanes, i) {
  return lanes[i].samples !== undefined || lanes[i + 1]?.lines === undefined;
}

/** Return {from, to, ticks: [{at, label}]} for the values of a lane; of a state only what occurs gets a tick. */
function valueTicks(lane, from, count) {
  const [low, high] = extent(lane, from);
  if (lane.labels) {
    const states = new Set(lane.lines.flatMap(({ series }) => series.value.filter(Number.isFinite)));
    const sorted = [...states].sort((one, other) => one - other);
    const ticks = sorted.map((at) => ({ at, label: lane.labels[at] ?? String(at) }));
    return { from: low - 0.5, to: high + 0.5, ticks };
  }
  const axis = valueAxis(low, high, count);
  return { ...axis, ticks: axis.ticks.map((at) => ({ at, label: number(at, axis.decimals) })) };
}

/** The smallest and the largest value of a lane; 0 and 1 if it has none. */
function extent(lane, from) {
  const values = lane.samples ?? lane.lines.flatMap(({ series }) => series.extent(from) ?? []);
  const [low, high] = extremes(values);
  return low <= high ? [low, high] : [0, 1];
}

/** The width of the longest label, in steps, so that the plot does not twitch with a digit. */
function gutter(pen, axes) {
  const widths = axes.flatMap(({ ticks }) => ticks.map(({ label }) => pen.textWidth(label)));
  const step = GUTTER_STEP * pen.em;
  return Math.ceil(Math.max(GUTTER_MIN * pen.em, ...widths) / step + 1) * step;
}

function timeAxisTicks(pen, { left, right }, { x, from, now }) {
  const { step, ticks } = timeTicks(from, now, Math.max(1, Math.floor((right - left) / (TIME_TICK_DISTANCE * pen.em))));
  return ticks.map((tick) => ({ at: x(tick), label: timeTick(tick, step) }));
}

function sampleTicks(pen, { left, right }, samples) {
  const last = Math.max(1, samples.length - 1);
  const x = linear(0, last, left, right);
  const { ticks } = valueAxis(0, last, Math.floor((right - left) / (TIME_TICK_DISTANCE * pen.em)));
  return ticks.filter((tick) => tick <= last).map((tick) => ({ at: x(tick), label: number(tick, 0) }));
}

/** A line for each tick, and its label unless it would cover the one below. */
function drawValueAxis(pen, { left, right }, ticks, y) {
  let covered = Infinity;
  for (const { at, label } of ticks) {
    const height = y(at);
    pen.polyline("--grid", [[left, height], [right, height]], HAIRLINE);
    if (covered - height < LABEL_HEIGHT * pen.em) continue;
    pen.text(label, left - GUTTER_STEP * pen.em, height, "right");
    covered = height;
  }
}

function drawFooter(pen, { bottom }, ticks) {
  for (const { at, label } of ticks) {
    const half = pen.textWidth(label) / 2;
    pen.polyline("--grid", [[at, bottom], [at, bottom + RIBBON * pen.em]], HAIRLINE);
    pen.text(label, Math.min(Math.max(at, half), pen.width - half), bottom + LABEL_HEIGHT * pen.em, "center");
  }
}

// --- what is on them ----------------------------------------------------------------------

function drawWaveform(pen, { left, right }, { samples, colour }, y) {
  const x = linear(0, Math.max(1, samples.length - 1), left, right);
  pen.polyline(colour, samples.map((sample, i) => [x(i), y(sample)]), HAIRLINE);
}

function drawLines(pen, box, lines, time, y) {
  for (const { series, colour } of lines) {
    drawQuality(pen, box, series, time);
    drawBand(pen, series, colour, time, y);
    drawLine(pen, series, colour, time, y);
  }
  if (time.cursor !== null) drawCursor(pen, box, lines, time, y);
}

function drawLine(pen, series, colour, { x, from, now }, y) {
  for (const { held, points } of series.polylines(from, now)) {
    const placed = points.map(([time, value]) => [x(time), y(value)]);
    pen.polyline(colour, placed, held ? HAIRLINE : LINE, held ? 0.6 : 1);
  }
  const last = series.value.at(-1);
  if (Number.isFinite(last)) pen.dot(colour, x(now), y(last));
}

/** Smallest to largest of each roll-up. */
function drawBand(pen, series, colour, { x, from }, y) {
  for (let i = Math.max(0, series.indexAt(from)); i < series.length && series.width[i] > 0; i++) {
    const [start, end] = [x(series.time[i]), x(series.time[i] + series.width[i])];
    if (series.low[i] < series.high[i]) pen.rectangle(colour, 0.2, start, y(series.high[i]), end, y(series.low[i]));
  }
}

/** A ribbon where readings were not good, and a tint where there was no value at all. */
function drawQuality(pen, { top, bottom }, series, { x, from, now }) {
  const half = (RIBBON * pen.em) / 2;
  for (const { state, start, end } of series.troubles(from, now)) {
    const [left, right] = [x(Math.max(start, from)), x(end)];
    pen.rectangle(`--${state}`, 0.8, left, bottom - half, right, bottom + half);
    if (state === "bad") pen.rectangle("--bad", 0.08, left, top, right, bottom);
  }
}

function drawCursor(pen, { top, bottom }, lines, { x, cursor }, y) {
  pen.polyline("--soft", [[x(cursor), top], [x(cursor), bottom]], HAIRLINE);
  for (const { series, colour } of lines) {
    const value = series.rowAt(cursor)?.value;
    if (Number.isFinite(value)) pen.dot(colour, x(cursor), y(value));
  }
}
