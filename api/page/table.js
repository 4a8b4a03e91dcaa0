/**
 * The tags of an asset and of all below it, as a table.
 *
 * Only the rows on the screen exist; a row is written when its tag has changed, its age and sparkline once per second.
 * Knows tags, and neither the network nor how a trend is drawn.
 */

import { copyOf, mark, partsOf, write } from "./dom.js";
import { age, counted, reason, unit, value } from "./format.js";
import { inNextFrame } from "./frame.js";

/** Rows beyond each edge of the screen, so that scrolling and the tab key find something there. */
const MARGIN_ROWS = 8;
const GROUP_TITLES = {
  _alarm: "Alarms",
  _events: "Events",
  _maintenance: "Maintenance",
  _production: "Production",
  _shadow: "On trial",
};

export class Table {
  #parts;
  #recents;
  #now;
  #asset = null;
  /** What the table has, from the top: tags, and headings as text. */
  #lines = [];
  /** The rows that exist, by their line. */
  #rows = new Map();
  #changed = new Set();
  #trend = [];
  #live = true;

  /**
   * `parts` are the elements {scroller, body, filter, troubled, summary}; `now` tells the gateway's time.
   * `show` is called with the tag that the trend shall show, `toggle` with one to add to it or to take out.
   */
  constructor(parts, { recents, now, show, toggle }) {
    this.#parts = parts;
    this.#recents = recents;
    this.#now = now;
    parts.body.addEventListener("click", (event) => {
      const tag = this.#tagOf(event.target);
      if (tag !== undefined && event.target.closest("label") === null) show(tag);
    });
    parts.body.addEventListener("change", (event) => toggle(this.#tagOf(event.target)));
    parts.filter.addEventListener("input", () => this.#listAnew());
    parts.troubled.addEventListener("change", () => this.#listAnew());
    for (const type of ["scroll", "resize"]) {
      window.addEventListener(type, () => inNextFrame(this.#layOut), { capture: true, passive: true });
    }
  }

  /** Show the tags of an asset. */
  show(asset) {
    this.#asset = asset;
    this.#listAnew();
  }

  /** Tell which tags are in the trend. */
  pick(tags) {
    this.#trend = tags;
    for (const row of this.#rows.values()) row.pick(tags);
  }

  /** Tell whether values are live; those that are not are never shown as good. */
  setLive(live) {
    this.#live = live;
    for (const row of this.#rows.values()) row.write(live);
  }

  /** Take note that tags have new readings. */
  take(tags) {
    for (const tag of tags) if (this.#rows.has(tag)) this.#changed.add(tag);
    if (this.#changed.size > 0) inNextFrame(this.#writeChanged);
  }

  /** Write what changes with time alone. */
  tick() {
    if (this.#parts.troubled.checked) this.#list();
    const now = this.#now();
    for (const row of this.#rows.values()) row.tick(now);
  }

  #listAnew() {
    this.#parts.scroller.scrollTop = 0;
    this.#list();
  }

  /** Make the list of what the table has, by its filters. */
  #list() {
    const { body, filter, troubled, summary } = this.#parts;
    const text = filter.value.trim().toLowerCase();
    const isWanted = (tag) => tag.path.includes(text) && !(troubled.checked && tag.state === "good");
    this.#lines = [...this.#asset.all()].flatMap((asset) => linesOf(asset, this.#asset, isWanted));
    const [all, shown] = [this.#asset.tagCount, this.#lines.filter((line) => typeof line !== "string").length];
    write(summary, shown < all ? `${shown} of ${counted(all, "tag")}` : counted(all, "tag"));
    mark(body.parentElement, "aria-rowcount", this.#lines.length + 1);
    body.style.setProperty("--rows", this.#lines.length);
    this.#layOut();
  }

  /** Make the rows that have come onto the screen and drop those that have left it. */
  #layOut = () => {
    const [first, end] = this.#onScreen();
    const lines = this.#lines.slice(first, end);
    const kept = new Set(lines);
    for (const [line, row] of this.#rows) {
      if (kept.has(line)) continue;
      row.remove();
      this.#rows.delete(line);
    }
    let next = this.#parts.body.firstElementChild; // in the order of the screen, for those who listen and tab
    lines.forEach((line, i) => {
      const row = this.#row(line);
      row.place(first + i);
      if (row.element === next) next = next.nextElementSibling;
      else this.#parts.body.insertBefore(row.element, next);
    });
  };

  #row(line) {
    const known = this.#rows.get(line);
    if (known !== undefined) return known;
    const row = typeof line === "string" ? new Heading(line) : new TagRow(line, this.#recents);
    this.#rows.set(line, row);
    row.pick(this.#trend);
    row.write(this.#live);
    row.tick(this.#now());
    return row;
  }

  /** Return the first position on the screen and the one after the last. */
  #onScreen() {
    const [body, frame] = [this.#parts.body, this.#parts.scroller].map((part) => part.getBoundingClientRect());
    const rowHeight = Math.max(1, body.height / Math.max(1, this.#lines.length));
    const top = Math.max(frame.top, 0) - body.top;
    const bottom = Math.min(frame.bottom, window.innerHeight) - body.top;
    return [
      Math.max(0, Math.floor(top / rowHeight) - MARGIN_ROWS),
      Math.max(0, Math.ceil(bottom / rowHeight) + MARGIN_ROWS),
    ];
  }

  #tagOf(element) {
    const found = element.closest("[role=row]");
    return [...this.#rows.values()].find((row) => row.element === found)?.tag;
  }

  #writeChanged = () => {
    for (const tag of this.#changed) this.#rows.get(tag)?.write(this.#live);
    this.#changed.clear();
  };
}

/** The lines of one asset within the chosen one: its groups of tags, each below a heading that says whose they are. */
function linesOf(asset, chosen, isWanted) {
  const groups = new Map();
  for (const tag of asset.tags.filter(isWanted)) {
    if (!groups.has(tag.group)) groups.set(tag.group, []);
    groups.get(tag.group).push(tag);
  }
  const where = asset.path.slice(chosen.path.length + 1).replaceAll("/", " / ");
  return [...groups.keys()].sort().flatMap((group) => {
    const heading = [where, GROUP_TITLES[group] ?? group.slice(1)].filter(Boolean).join(" · ");
    return heading === "" ? groups.get(group) : [heading, ...groups.get(group)];
  });
}

/** What the two kinds of row share: a place in the list. */
function place(element, i) {
  element.style.setProperty("--at", i);
  mark(element, "aria-rowindex", i + 2); // from 1, and the first is the table's head
}

class Heading {
  constructor(text) {
    this.element = copyOf("heading-row");
    write(this.element.firstElementChild, text);
  }

  place(i) {
    place(this.element, i);
  }

  remove() {
    this.element.remove();
  }

  pick() {}
  write() {}
  tick() {}
}

class TagRow {
  #parts;
  #recents;

  constructor(tag, recents) {
    this.tag = tag;
    this.element = copyOf("tag-row");
    this.#parts = partsOf(this.element);
    this.#recents = recents;
    write(this.#parts.name, tag.shortName);
    write(this.#parts.unit, unit(tag.unit));
    mark(this.#parts.name, "title", [tag.description, tag.path, tag.source].filter(Boolean).join("\n"));
    mark(this.#parts.pick, "aria-label", `${tag.shortName} in the trend`);
    recents.watch(tag);
  }

  place(i) {
    place(this.element, i);
  }

  remove() {
    this.#recents.unwatch(this.tag);
    this.element.remove();
  }

  pick(tags) {
    this.#parts.pick.checked = tags.includes(this.tag);
    mark(this.element, "aria-selected", String(tags.includes(this.tag)));
  }

  write(live) {
    const { tag } = this;
    const text = value(tag.value, { labels: tag.labels, decimals: tag.precision.decimals });
    write(this.#parts.value, text);
    mark(this.#parts.value, "title", text);
    mark(this.#parts.state, "data-state", live ? tag.state : "unknown");
    write(this.#parts.word, live ? tag.state : "not live");
    write(this.#parts.reason, live && tag.state !== "waiting" ? reason(tag.reason) : "");
  }

  tick(now) {
    write(this.#parts.age, this.tag.time > 0 ? age(now - this.tag.time) : "–");
    mark(this.#parts.spark, "d", this.#recents.path(this.tag, now));
  }
}
