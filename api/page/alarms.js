/**
 * The strip of active alarms, the newest first.
 *
 * Knows tags; what an alarm means is in its description.
 */

import { copyOf, mark, partsOf, write } from "./dom.js";
import { counted, duration, moment } from "./format.js";

export class Alarms {
  #parts;
  #chips = new Map();

  /** `parts` are the elements {list, count, news}; `choose` is called with the alarm that was clicked. */
  constructor(parts, choose) {
    this.#parts = parts;
    parts.list.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      const alarm = [...this.#chips.keys()].find((tag) => this.#chips.get(tag).contains(button));
      if (alarm !== undefined) choose(alarm);
    });
  }

  /** Show the active alarms of a plant, as they are now or, if that is not `live`, as they were. */
  refresh(plant, now, live) {
    const active = plant.activeAlarms;
    const chips = new Map(active.map((tag) => [tag, this.#chips.get(tag) ?? chip(tag)]));
    const news = active.filter((tag) => !this.#chips.has(tag)).map((tag) => `${tag.asset.name} ${tag.shortName}`);
    if (news.length > 0) write(this.#parts.news, `Alarm: ${news.join(", ")}`);
    if (news.length > 0 || chips.size !== this.#chips.size) this.#parts.list.replaceChildren(...chips.values());
    this.#chips = chips;
    const count = active.length > 0 ? counted(active.length, "active alarm") : "No active alarms";
    write(this.#parts.count, live ? count : `${count} when last seen`);
    mark(this.#parts.count, "data-state", active.length > 0 ? "alarm" : "quiet");
    for (const [tag, element] of chips) {
      write(partsOf(element).since, `since ${moment(tag.time, now)} (${duration(Math.max(0, now - tag.time))})`);
    }
  }
}

function chip(tag) {
  const element = copyOf("alarm-chip");
  const parts = partsOf(element);
  write(parts.asset, tag.asset.name);
  write(parts.name, tag.shortName.replaceAll("_", " "));
  mark(element.firstElementChild, "title", [tag.description, tag.path].filter(Boolean).join("\n"));
  return element;
}
