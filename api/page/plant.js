/**
 * The plant as the page knows it: assets as a tree, their tags, the latest reading of each, alarms.
 *
 * Knows nothing of the document and nothing of the network: descriptions and readings come in as the API has them.
 */

import { Precision } from "./format.js";

/** From the best to the worst; what a tag is, and what an asset is that has such a tag below it. */
export const STATES = ["good", "waiting", "uncertain", "bad"];

/** One value of the plant. */
class Tag {
  precision = new Precision();
  /** What its values are: number, boolean, string, object or waveform; "" until there was one. */
  kind = "";
  value = null;
  time = 0;
  state = "waiting";
  reason = "";

  constructor(info, asset) {
    this.asset = asset;
    this.path = info.path;
    this.name = info.name;
    this.unit = info.unit ?? "";
    this.description = info.description ?? "";
    this.range = info.range ?? null;
    this.labels = info.labels ?? {};
    this.device = info.device ?? "";
    this.source = info.source ?? "";
    this.isEvent = info.datatype === "event";
    if (this.isEvent) this.state = "good";
  }

  /** The first segment of the names of derived tags says what they are: _maintenance, _alarm; "" for the machine's. */
  get group() {
    return this.name.startsWith("_") ? this.name.split("/")[0] : "";
  }

  get shortName() {
    return this.group === "" ? this.name : this.name.slice(this.group.length + 1);
  }

  get isAlarm() {
    return this.group === "_alarm";
  }

  get isActiveAlarm() {
    return this.isAlarm && this.value === true;
  }

  get isWaveform() {
    return this.kind === "waveform";
  }

  /** Whether its values stand until the next one, rather than move towards it. */
  get isDiscrete() {
    return this.kind === "boolean" || Object.keys(this.labels).length > 0;
  }

  take(reading) {
    const time = reading.timestamp === null ? 0 : Date.parse(reading.timestamp); // never read: before all times
    if (time < this.time) return; // it came late: history has it
    this.time = time;
    this.value = reading.value;
    this.state = stateOf(reading, this.isEvent);
    this.reason = reading.reason ?? "";
    if (reading.value !== null) this.kind = Array.isArray(reading.value) ? "waveform" : typeof reading.value;
    if (typeof reading.value === "number") this.precision.see(reading.value);
  }
}

/** A place in the plant: an enterprise, a site, an area, a line, a machine. */
class Asset {
  assets = [];
  tags = [];
  /** How many tags are in each state, here and below. */
  counts = Object.fromEntries(STATES.map((state) => [state, 0]));
  activeAlarms = 0;

  constructor(path, parent) {
    this.path = path;
    this.name = path.slice(path.lastIndexOf("/") + 1);
    this.parent = parent;
  }

  get state() {
    return STATES.findLast((state) => this.counts[state] > 0) ?? "good";
  }

  get tagCount() {
    return STATES.reduce((sum, state) => sum + this.counts[state], 0);
  }

  /** Yield this asset and all below it, from the top down. */
  *all() {
    yield this;
    for (const asset of this.assets) yield* asset.all();
  }

  /** Yield the assets above it, nearest first. */
  *ancestors() {
    for (let asset = this.parent; asset !== null; asset = asset.parent) yield asset;
  }
}

export class Plant {
  roots = [];
  #assets = new Map();
  #tags = new Map();

  constructor(infos) {
    for (const info of infos) {
      const asset = this.#place(info.asset);
      const tag = new Tag(info, asset);
      asset.tags.push(tag);
      this.#tags.set(tag.path, tag);
      count(tag, 1);
    }
  }

  asset(path) {
    return this.#assets.get(path);
  }

  tag(path) {
    return this.#tags.get(path);
  }

  get assets() {
    return [...this.#assets.values()];
  }

  get tagCount() {
    return this.#tags.size;
  }

  /** The alarms that are active, the newest first. */
  get activeAlarms() {
    const alarms = [...this.#tags.values()].filter((tag) => tag.isActiveAlarm);
    return alarms.sort((one, other) => other.time - one.time);
  }

  /** Whether there is a register of alarms: then there are tags that tell of it. */
  get keepsAlarms() {
    return [...this.#tags.values()].some(({ group }) => group === "_events");
  }

  knows(readings) {
    return readings.every((reading) => this.#tags.has(reading.path));
  }

  /** Take readings; return their tags. Those of tags it does not know are left out. */
  apply(readings) {
    const known = readings.filter((reading) => this.#tags.has(reading.path));
    return known.map((reading) => {
      const tag = this.#tags.get(reading.path);
      count(tag, -1);
      tag.take(reading);
      count(tag, 1);
      return tag;
    });
  }

  #place(path) {
    const known = this.#assets.get(path);
    if (known !== undefined) return known;
    const cut = path.lastIndexOf("/");
    const parent = cut < 0 ? null : this.#place(path.slice(0, cut));
    const asset = new Asset(path, parent);
    (parent?.assets ?? this.roots).push(asset);
    this.#assets.set(path, asset);
    return asset;
  }
}

/** Waiting for the first value is no fault: a signal that learns, a device that is being connected; no event is good. */
function stateOf(reading, isEvent) {
  if (reading.reason !== "BadWaitingForInitialData") return reading.quality;
  return isEvent ? "good" : "waiting";
}

function count(tag, change) {
  for (let asset = tag.asset; asset !== null; asset = asset.parent) {
    asset.counts[tag.state] += change;
    if (tag.isActiveAlarm) asset.activeAlarms += change;
  }
}
