/**
 * How the machines are: a word at the top of the page, and behind it health, advice, and the picture of why.
 *
 * Asks for the machines when a signal says something new of one, and every few seconds for what nobody says.
 */

import { copyOf, mark, partsOf, write } from "./dom.js";
import { counted, duration, moment } from "./format.js";
import { otherwise } from "./gateway.js";

const PERIOD_MS = 5000;
const PERIOD_MIN_MS = 1000;
/** The worst of so many machines are shown: more nobody reads. */
const MACHINES_MAX = 50;
const STATES = { normal: "good", alert: "uncertain", alarm: "bad" };
const RATING_ROLES = ["operator", "engineer", "admin"];

export class Upkeep {
  #parts;
  #gateway;
  #choose;
  #asking = false;
  #askedAt = -Infinity;
  #news = false;
  #mayRate = false;
  #rows = new Map();

  /** `parts` are the elements {upkeep, upkeepword, upkeeppanel, machines}; `choose` is called with the path of one. */
  constructor(parts, gateway, choose) {
    this.#parts = parts;
    this.#gateway = gateway;
    this.#choose = choose;
    parts.machines.addEventListener("click", (event) => this.#clicked(event));
  }

  /** Hear which tags changed: alarms, and what signals say in words, which is rare, tell that a machine is another. */
  take(tags) {
    this.#news ||= tags.some((tag) => tag.isAlarm || (tag.group === "_maintenance" && tag.kind !== "number"));
  }

  /** Ask how the machines are, if it is time to. */
  async tick() {
    const waited = performance.now() - this.#askedAt;
    if (this.#asking || waited < (this.#news ? PERIOD_MIN_MS : PERIOD_MS)) return;
    this.#asking = true;
    this.#news = false;
    const machines = await this.#gateway.machines().catch(otherwise(null));
    if (machines !== null) this.#mayRate = mayRate(await this.#gateway.session().catch(otherwise(null)));
    this.#asking = false;
    this.#askedAt = performance.now();
    if (machines === null) this.#showUnknown();
    else this.#show(machines);
  }

  /** No answer: what was said last is there still, but it is not how the machines are. */
  #showUnknown() {
    mark(this.#parts.upkeep, "data-state", "waiting");
    write(this.#parts.upkeepword, "machines unknown");
  }

  #show(machines) {
    const worst = [...machines].sort(worstFirst);
    const advices = machines.reduce((sum, machine) => sum + machine.advices.length, 0);
    const well = machines.filter(({ state }) => !["alert", "alarm"].includes(state)).length;
    mark(this.#parts.upkeep, "hidden", machines.length === 0 && "");
    mark(this.#parts.upkeep, "data-state", stateOf(worst[0]?.state));
    const troubled = counted(machines.length - well, "machine");
    const words = [machines.length === well ? "machines well" : `${troubled} not well`];
    if (advices > 0) words.push(counted(advices, "finding"));
    write(this.#parts.upkeepword, words.join(", "));
    const shown = worst.slice(0, MACHINES_MAX);
    const rows = new Map(shown.map((machine) => [machine.asset, this.#rows.get(machine.asset) ?? copyOf("machine-row")]));
    const order = [...rows.keys()].join();
    if (order !== [...this.#rows.keys()].join()) this.#parts.machines.replaceChildren(...rows.values());
    this.#rows = rows;
    for (const machine of shown) this.#fill(rows.get(machine.asset), machine);
  }

  #fill(row, machine) {
    const parts = partsOf(row);
    const now = this.#gateway.now();
    const cut = machine.asset.lastIndexOf("/");
    row.dataset.asset = machine.asset;
    write(parts.name, machine.asset.slice(cut + 1));
    mark(parts.name, "title", machine.asset);
    mark(parts.state, "data-state", stateOf(machine.state));
    write(parts.word, machine.state);
    write(parts.number, machine.health === null ? "–" : machine.health.toFixed(0));
    mark(parts.bar, "data-state", stateOf(machine.state));
    mark(parts.bar, "aria-valuenow", machine.health ?? 0);
    mark(parts.bar, "aria-valuetext", `${parts.number.textContent}, ${machine.state}`);
    parts.fill.style.width = `${machine.health ?? 0}%`;
    write(parts.since, machine.since === null ? "" : since(Date.parse(machine.since), now));
    write(parts.left, left(machine.life, now));
    this.#showAdvices(parts.advices, machine.advices, now);
    if (parts.why.getAttribute("aria-expanded") === "true") this.#draw(row);
  }

  #showAdvices(list, advices, now) {
    const known = new Map([...list.children].map((item) => [item.dataset.id, item]));
    const items = advices.map((advice) => known.get(advice.id) ?? copyOf("advice-item"));
    const order = advices.map(({ id }) => id).join();
    if (order !== [...known.keys()].join()) list.replaceChildren(...items);
    for (const [i, advice] of advices.entries()) {
      const parts = partsOf(items[i]);
      items[i].dataset.id = advice.id;
      write(parts.sentence, advice.message);
      write(parts.said, said(advice, now));
      mark(parts.rating, "hidden", !this.#mayRate && "");
      for (const button of parts.rating.children) mark(button, "aria-pressed", String(isSaid(advice, button.value)));
    }
  }

  async #clicked({ target }) {
    const button = target.closest("button");
    const row = target.closest("[data-asset]");
    if (button === null) return;
    if (button.dataset.part === "name") {
      this.#parts.upkeeppanel.hidePopover();
      this.#choose(row.dataset.asset);
    } else if (button.dataset.part === "why") {
      const open = button.getAttribute("aria-expanded") !== "true";
      mark(button, "aria-expanded", String(open));
      mark(partsOf(row).picture, "hidden", !open && "");
      if (open) await this.#draw(row);
    } else await this.#rate(target.closest("[data-id]"), button.value);
  }

  /** Draw the evidence; the picture stays while a newer one comes. */
  async #draw(row) {
    const { picture } = partsOf(row);
    const svg = await this.#gateway.evidence(row.dataset.asset).catch(otherwise(null));
    if (svg === null) return;
    picture.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
    mark(picture, "alt", `What is said of ${row.dataset.asset}, and why`);
  }

  async #rate(item, verdict) {
    const { problem } = partsOf(item);
    const refused = await this.#gateway.rate(item.dataset.id, { verdict }).then(() => "", ({ message }) => message);
    write(problem, refused);
    this.#askedAt = -Infinity;
    await this.tick();
  }
}

/** Whether whoever has this session may say what became of an advice. */
export function mayRate(session) {
  if (session === null || !RATING_ROLES.includes(session.role)) return false;
  return session.tags.length === 0 && (session.scopes === null || session.scopes.includes("write"));
}

/** Those with advice and the least health come first, those of which nothing is known last; else by path. */
export function worstFirst(one, other) {
  return (
    other.advices.length - one.advices.length ||
    (one.health ?? 101) - (other.health ?? 101) ||
    one.asset.localeCompare(other.asset)
  );
}

/** Return what is left of a machine in words; nothing if nothing honest can be said. */
export function left(life, now) {
  if (life === null || life.hours === null) return "";
  const hours = (x) => duration(x * 3_600_000);
  const range = life.low === life.high ? "" : ` (${hours(life.low)} to ${hours(life.high)})`;
  return `${hours(life.hours)} left${range}, until ${moment(Date.parse(life.until), now)}, by ${life.basis}`;
}

function said(advice, now) {
  const when = (timestamp) => moment(Date.parse(timestamp), now);
  const seen = advice.acknowledged && `seen by ${advice.acknowledged_by || "somebody"} ${when(advice.acknowledged)}`;
  const rated = advice.rating && `said to be ${advice.rating.verdict} by ${advice.rating.by || "somebody"}`;
  return [`raised ${when(advice.raised)}`, seen, rated].filter(Boolean).join(" · ");
}

function isSaid(advice, verdict) {
  return verdict === "seen" ? advice.acknowledged !== null : advice.rating?.verdict === verdict;
}

function stateOf(state) {
  return STATES[state] ?? "waiting";
}

function since(time, now) {
  return `since ${moment(time, now)} (${duration(Math.max(0, now - time))})`;
}
