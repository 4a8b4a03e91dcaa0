/**
 * What the work units at or below the chosen asset do: their order, OEE with its factors and how much of the time is
 * known, and their stops, for which the reader can say why.
 *
 * Asks by itself every few seconds, and nothing where no work unit is. Knows production and nothing of tags.
 */

import { copyOf, mark, partsOf, write } from "./dom.js";
import { duration, moment, number } from "./format.js";
import { GatewayError, otherwise } from "./gateway.js";

const PERIOD_MS = 5000;
const UNITS_MAX = 12;
/** A KPI of which less than this is known is marked; the gateway calls it uncertain on the bus. */
const KNOWN = 0.999;
const FACTORS = ["oee", "availability", "effectiveness", "quality", "coverage"];
const STATES = {
  producing: "good",
  setup: "waiting",
  delay: "uncertain",
  waiting: "uncertain",
  failure: "bad",
  corrective: "bad",
  unknown: "unknown",
};

export class Production {
  #parts;
  #gateway;
  #asset = "";
  #range = "";
  #asking = false;
  #askedAt = -Infinity;
  /** The rows that exist: of units by name, of stops by key. */
  #units = new Map();
  #stops = new Map();

  /** `parts` are the elements {production, units, stops, stopcount, reasons, producing}. */
  constructor(parts, gateway) {
    this.#parts = parts;
    this.#gateway = gateway;
    parts.stops.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#explain([...this.#stops.values()].find(({ row }) => row.contains(event.target)));
    });
  }

  /** Show the work units of an asset, their KPIs over a range such as 10min. */
  show(asset, range) {
    if (this.#asset === asset && this.#range === range) return;
    [this.#asset, this.#range] = [asset, range];
    this.#askedAt = -Infinity;
    this.tick();
  }

  /** Ask how production is, if it is time to. */
  async tick() {
    const now = performance.now();
    if (this.#asking || now - this.#askedAt < PERIOD_MS) return;
    this.#asking = true;
    const [asset, range] = [this.#asset, this.#range];
    const found = await this.#found(asset, range).catch(otherwise(null));
    this.#asking = false;
    if (asset !== this.#asset || range !== this.#range) return; // it will be asked again at once
    this.#askedAt = now;
    if (found !== null) this.#show(found);
  }

  async #found(asset, range) {
    const below = (unit) => `${unit.asset}/`.startsWith(`${asset}/`);
    const units = (await this.#gateway.units()).filter(below).slice(0, UNITS_MAX);
    if (units.length === 0) return { units, kpis: [], stops: [] };
    const kpis = await Promise.all(units.map(({ name }) => this.#gateway.kpis(name, range)));
    return { units, kpis, stops: await this.#gateway.stops(units.map(({ name }) => name)) };
  }

  #show({ units, kpis, stops }) {
    mark(this.#parts.production, "hidden", units.length === 0 ? "" : null);
    write(this.#parts.producing, `OEE, ${this.#range.replace(/(?=[a-z])/, " ")}`);
    this.#units = rows(this.#parts.units, this.#units, units, ({ name }) => name, "unit-row");
    units.forEach((unit, i) => this.#writeUnit(this.#units.get(unit.name), unit, kpis[i].kpis));
    const before = this.#stops;
    this.#stops = rows(this.#parts.stops, before, stops, ({ Key }) => Key, "stop-row");
    for (const stop of stops) this.#writeStop(Object.assign(this.#stops.get(stop.Key), { stop }));
    write(this.#parts.stopcount, stops.length > 0 ? "Stops, the latest first" : "No stops in the last 8 hours");
    const known = [...new Set(stops.map(({ Reason }) => Reason).filter(Boolean))];
    this.#parts.reasons.replaceChildren(...known.map((reason) => new Option(reason)));
  }

  #writeUnit({ parts }, { name, state, order }, kpis) {
    write(parts.name, name);
    mark(parts.state, "data-state", STATES[state] ?? "waiting");
    write(parts.word, state.replaceAll("_", " "));
    for (const factor of FACTORS) write(parts[factor], percent(kpis[factor].value));
    mark(parts.coverage, "data-known", String((kpis.coverage.value ?? 0) >= KNOWN));
    mark(parts.oee, "title", `${kpis.oee.formula}; known: ${kpis.coverage.formula}`);
    if (order === null) return;
    const { JobOrderID, JobState, JobResponseData } = order.response;
    const data = Object.fromEntries(JobResponseData.map(({ ID, Value }) => [ID, Value[0].ValueString]));
    const good = Number(data.GoodQuantity);
    write(parts.order, JobOrderID);
    write(parts.orderstate, JobState.toLowerCase());
    mark(parts.progress, "hidden", order.planned === null ? "" : null);
    mark(parts.progress, "max", order.planned ?? 1);
    mark(parts.progress, "value", Math.min(good, order.planned ?? 1));
    const planned = order.planned === null ? "" : ` of ${number(order.planned, 0)}`;
    const resets = Number(data.CounterResets) > 0 ? ", counter was reset" : "";
    write(parts.made, `${number(good, 0)}${planned} good, ${number(Number(data.ScrapQuantity), 0)} scrap${resets}`);
  }

  #writeStop({ parts, stop }) {
    const [begin, now] = [Date.parse(stop.Begin), this.#gateway.now()];
    write(parts.unit, stop.Unit);
    write(parts.begin, moment(begin, now));
    write(parts.lasted, stop.End === null ? `${duration(Math.max(0, now - begin))}, goes on` : duration(stop.Seconds * 1000));
    mark(parts.kind, "data-state", STATES[stop.Kind] ?? "waiting");
    write(parts.word, stop.Breakdown ? `${stop.Kind.replaceAll("_", " ")}, breakdown` : stop.Kind.replaceAll("_", " "));
    mark(parts.code, "aria-label", `Why ${stop.Unit} stood at ${stop.Begin}`);
    write(parts.said, stop.SaidBy === "" ? "" : `said by ${stop.SaidBy}`);
    if (document.activeElement !== parts.code && !parts.code.dataset.sent) parts.code.value = stop.Reason;
  }

  /** Tell the gateway why a unit stood, as the reader wrote it. */
  async #explain({ parts, stop }) {
    const code = parts.code.value.trim();
    if (code === "") return;
    parts.code.dataset.sent = "yes";
    const told = await this.#gateway.explain(stop.Unit, stop.Begin, code).then(
      () => "saved",
      (error) => refusal(error),
    );
    delete parts.code.dataset.sent;
    write(parts.said, told);
    parts.code.blur();
  }
}

/** Keep the rows of what is still there, make those of what is new, and put them in order. */
function rows(body, before, items, keyOf, template) {
  const after = new Map(items.map((item) => [keyOf(item), before.get(keyOf(item)) ?? made(template)]));
  const wanted = [...after.values()].map(({ row }) => row);
  if (wanted.some((row, i) => body.children[i] !== row) || body.children.length !== wanted.length) {
    body.replaceChildren(...wanted);
  }
  return after;
}

function made(template) {
  const row = copyOf(template);
  return { row, parts: partsOf(row) };
}

function percent(ratio) {
  return ratio === null ? "–" : `${number(ratio * 100, 1)} %`;
}

/** What to tell whoever may not say it; a bug of ours is thrown. */
function refusal(error) {
  if (!(error instanceof GatewayError)) throw error;
  return error.message;
}
