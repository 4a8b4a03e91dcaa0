/**
 * How the gateway and the page's own connection are doing: the top of the page, and the panel behind it.
 *
 * Asks for health and devices every few seconds. Knows nothing of tags.
 */

import { copyOf, mark, partsOf, write } from "./dom.js";
import { age, counted, duration, moment, number } from "./format.js";
import { otherwise } from "./gateway.js";

const PERIOD_MS = 3000;
const WORST_FIRST = ["fail", "warn", "pass"];
const STATES = { pass: "good", warn: "uncertain", fail: "bad" };

export class Status {
  #parts;
  #gateway;
  #asking = false;
  #askedAt = -Infinity;
  /** How many readings all devices have brought, and when they were counted. */
  #readings = null;

  /** `parts` are the elements {gateway, health, word, devices, tags, rate, link, checks, version}. */
  constructor(parts, gateway) {
    this.#parts = parts;
    this.#gateway = gateway;
  }

  /** Tell how many tags there are. */
  showTags(count) {
    write(this.#parts.tags, counted(count, "tag"));
  }

  /** Tell how the page's own connection is: connecting, live or lost. */
  showLink(state, text, why = null) {
    mark(this.#parts.link, "data-link", state);
    mark(this.#parts.link, "title", why);
    write(this.#parts.link, text);
  }

  /** Ask how the gateway is doing, if it is time to. */
  async tick() {
    const now = performance.now();
    if (this.#asking || now - this.#askedAt < PERIOD_MS) return;
    this.#asking = true;
    const answers = await Promise.all([this.#gateway.health(), this.#gateway.devices()]).catch(otherwise(null));
    this.#asking = false;
    this.#askedAt = now;
    if (answers === null) this.#showUnknown();
    else this.#show(...answers);
  }

  /** No answer: the stream is gone as well, and it is for the link to say so. */
  #showUnknown() {
    this.#readings = null;
    mark(this.#parts.health, "data-state", "unknown");
    write(this.#parts.word, "health unknown");
    write(this.#parts.rate, "–");
  }

  #show(health, devices) {
    const troubles = Object.values(health.checks).filter(({ status }) => status !== "pass").length;
    write(this.#parts.gateway, health.gateway);
    mark(this.#parts.health, "data-state", STATES[health.status]);
    write(this.#parts.word, troubles > 0 ? `${health.status}: ${counted(troubles, "problem")}` : health.status);
    write(this.#parts.devices, counted(devices.length, "device"));
    write(this.#parts.version, `version ${health.version}, started ${this.#when(health.started)}`);
    this.#showRate(devices.reduce((sum, { counts }) => sum + counts.readings, 0));
    this.#parts.checks.replaceChildren(...this.#rows(health.checks, devices));
  }

  #showRate(readings) {
    const now = performance.now();
    const before = this.#readings;
    this.#readings = { count: readings, at: now };
    if (before === null || readings < before.count) return; // started anew
    const perSecond = ((readings - before.count) * 1000) / (now - before.at);
    write(this.#parts.rate, `${number(perSecond, perSecond < 10 ? 1 : 0)} readings/s`);
  }

  /** What is wrong comes first. */
  #rows(checks, devices) {
    const known = new Map(devices.map((device) => [`device ${device.name}`, device]));
    const entries = Object.entries(checks).map(([name, check]) => ({ name, check, device: known.get(name) }));
    entries.sort((one, other) => WORST_FIRST.indexOf(one.check.status) - WORST_FIRST.indexOf(other.check.status));
    return entries.map(({ name, check, device }) => this.#row(name, check, device));
  }

  #row(name, check, device) {
    const row = copyOf("check-row");
    const parts = partsOf(row);
    mark(parts.state, "data-state", STATES[check.status]);
    write(parts.word, check.status);
    write(parts.name, name);
    write(parts.detail, check.detail);
    write(parts.since, this.#when(check.since));
    if (device === undefined) return row;
    const heard = device.last === null ? "never heard" : `heard ${age(this.#gateway.now() - Date.parse(device.last))}`;
    write(parts.device, [device.address, counted(device.tags, "tag"), heard].join(" · "));
    return row;
  }

  #when(timestamp) {
    if (timestamp === null) return "–";
    const [now, time] = [this.#gateway.now(), Date.parse(timestamp)];
    return `${moment(time, now)} (${duration(Math.max(0, now - time))})`;
  }
}
