/**
 * The register of alarms: what is not normal or hidden, and acknowledging and shelving it.
 *
 * Asks every few seconds. Whether somebody may is for the gateway to say; this only leaves out what it would refuse.
 */

import { copyOf, mark, partsOf, write } from "./dom.js";
import { counted, moment } from "./format.js";
import { GatewayError, otherwise } from "./gateway.js";

const PERIOD_MS = 3000;
const SHELVE_MINUTES = 30;
const MAY_ANSWER = ["operator", "engineer", "admin"];
const UNACKNOWLEDGED = ["unacknowledged", "returned", "latched_unacknowledged"];

export class Register {
  #parts;
  #gateway;
  #rows = new Map();
  #may = false;
  #asking = false;
  #askedAt = -Infinity;

  /** `parts` are the elements {register, registered, refused}. */
  constructor(parts, gateway) {
    this.#parts = parts;
    this.#gateway = gateway;
  }

  /** Ask for the alarms, if it is time to. */
  async tick() {
    const now = performance.now();
    if (this.#asking || now - this.#askedAt < PERIOD_MS) return;
    this.#asking = true;
    const answers = await Promise.all([this.#gateway.alarms(), this.#gateway.session()]).catch(otherwise(null));
    this.#asking = false;
    this.#askedAt = now;
    if (answers === null) return;
    const [alarms, { name, role }] = answers;
    this.#may = name === "" || MAY_ANSWER.includes(role);
    this.#show(alarms);
  }

  #show(alarms) {
    mark(this.#parts.register, "hidden", false);
    const rows = new Map(alarms.map((alarm) => [alarm.id, this.#rows.get(alarm.id) ?? this.#row(alarm.id)]));
    for (const alarm of alarms) this.#fill(partsOf(rows.get(alarm.id)), alarm);
    const order = [...rows.values()];
    if (order.some((row, place) => this.#parts.registered.children[place] !== row) || rows.size < this.#rows.size) {
      this.#parts.registered.replaceChildren(...order);
    }
    this.#rows = rows;
    const waiting = alarms.filter(({ state }) => UNACKNOWLEDGED.includes(state)).length;
    write(this.#parts.register, `${counted(alarms.length, "alarm")} in the register, ${waiting} to acknowledge`);
    mark(this.#parts.register, "data-state", waiting > 0 ? "alarm" : "quiet");
  }

  #row(id) {
    const row = copyOf("register-row");
    const { acknowledge, shelve } = partsOf(row);
    const shelving = { minutes: SHELVE_MINUTES, comment: "shelved on the live page" };
    acknowledge.addEventListener("click", () => this.#answer("acknowledge", { alarms: [id] }));
    shelve.addEventListener("click", () => this.#answer("shelve", { alarms: [id], ...shelving }));
    return row;
  }

  #fill(parts, alarm) {
    write(parts.state, alarm.certain ? alarm.state.replaceAll("_", " ") : `${alarm.state.replaceAll("_", " ")}, uncertain`);
    mark(parts.sign, "data-state", alarm.active ? "alarm" : "good");
    write(parts.priority, alarm.priority);
    write(parts.asset, alarm.asset.split("/").at(-1));
    write(parts.message, alarm.message);
    write(parts.response, alarm.response);
    write(parts.since, alarm.raised === null ? "" : moment(Date.parse(alarm.raised), this.#gateway.now()));
    mark(parts.acknowledge, "hidden", !this.#may || !UNACKNOWLEDGED.includes(alarm.state));
    mark(parts.shelve, "hidden", !this.#may || alarm.state === "shelved");
  }

  async #answer(deed, wish) {
    const refusal = (error) => {
      if (error instanceof GatewayError) return error.message;
      throw error;
    };
    write(this.#parts.refused, (await this.#gateway.answer(deed, wish).catch(refusal)) ?? "");
    this.#askedAt = -Infinity;
    await this.tick();
  }
}
