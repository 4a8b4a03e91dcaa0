/**
 * The plant as a tree to choose an asset from (WAI-ARIA Authoring Practices, tree view pattern).
 *
 * An asset wears the worst state of its tags and of all below it. Knows assets, and nothing of readings or the network.
 *
 * Keys: up, down, home and end move; right opens or goes in, left closes or goes out; enter and space choose; a letter
 * goes to the next asset that begins with it.
 */

import { copyOf, mark, write } from "./dom.js";
import { counted } from "./format.js";

/** A plant with more assets than this opens with its upper levels only. */
const OPEN_ASSETS_MAX = 100;
const OPEN_LEVELS = 2;

export class Tree {
  #root;
  #choose;
  #branches = new Map();
  #openLevels = Infinity;

  /** `choose` is called with the path of an asset. */
  constructor(root, choose) {
    this.#root = root;
    this.#choose = choose;
    root.addEventListener("click", (event) => this.#clicked(event));
    root.addEventListener("keydown", (event) => this.#pressed(event));
  }

  show(plant) {
    this.#branches.clear();
    this.#openLevels = plant.assets.length > OPEN_ASSETS_MAX ? OPEN_LEVELS : Infinity;
    this.#root.replaceChildren(...this.#grown(plant.roots, 1));
    mark(this.#items[0] ?? this.#root, "tabindex", "0");
  }

  /** Let every asset wear its present state. */
  refresh() {
    for (const branch of this.#branches.values()) branch.refresh();
  }

  /** Show which asset is chosen, opening what it is in. */
  select(asset) {
    for (const above of [...asset.ancestors()].reverse()) this.#open(this.#branches.get(above.path), true);
    for (const branch of this.#branches.values()) mark(branch.item, "aria-selected", String(branch.asset === asset));
    this.#moveTo(this.#branches.get(asset.path).item);
  }

  /** The items that are not within a closed one, from the top down. */
  get #items() {
    const items = [...this.#root.querySelectorAll("[role=treeitem]")];
    return items.filter((item) => item.parentElement.closest("[hidden]") === null);
  }

  #grown(assets, level) {
    return assets.map((asset, i) => {
      const branch = new Branch(asset, level, i + 1, assets.length);
      this.#branches.set(asset.path, branch);
      if (level <= this.#openLevels) this.#open(branch, true);
      return branch.item;
    });
  }

  /** Open or close a branch; what is in it is made when it is opened first. */
  #open(branch, open) {
    if (branch.asset.assets.length === 0) return;
    if (open && branch.group.childElementCount === 0) {
      branch.group.append(...this.#grown(branch.asset.assets, branch.level + 1));
    }
    branch.group.hidden = !open;
    mark(branch.item, "aria-expanded", String(open));
  }

  /** Make an item the one that the tab key comes to. */
  #moveTo(item) {
    for (const other of this.#root.querySelectorAll("[tabindex='0']")) mark(other, "tabindex", "-1");
    mark(item, "tabindex", "0");
  }

  #clicked(event) {
    const item = event.target.closest("[role=treeitem]");
    if (item === null) return;
    const branch = this.#branches.get(item.dataset.path);
    if (event.target.closest(".twig") !== null) this.#open(branch, branch.group.hidden);
    else this.#choose(branch.asset.path);
  }

  #pressed(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const items = this.#items;
    const here = items.indexOf(document.activeElement);
    if (here < 0) return;
    const branch = this.#branches.get(items[here].dataset.path);
    const target = this.#reached(event.key, items, here, branch);
    if (target === undefined) return;
    event.preventDefault();
    if (target !== null) {
      this.#moveTo(target);
      target.focus();
    }
  }

  /** Do what a key means; return the item it leads to, null if it leads nowhere, undefined if it means nothing. */
  #reached(key, items, here, branch) {
    const isOpen = branch.item.getAttribute("aria-expanded") === "true";
    switch (key) {
      case "ArrowDown":
        return items[here + 1] ?? null;
      case "ArrowUp":
        return items[here - 1] ?? null;
      case "Home":
        return items[0];
      case "End":
        return items.at(-1);
      case "ArrowRight":
        if (isOpen) return items[here + 1];
        this.#open(branch, true);
        return null;
      case "ArrowLeft":
        if (!isOpen) return branch.item.parentElement.closest("[role=treeitem]");
        this.#open(branch, false);
        return null;
      case "Enter":
      case " ":
        this.#choose(branch.asset.path);
        return null;
      default:
        return key.length === 1 ? this.#startingWith(key.toLowerCase(), items, here) : undefined;
    }
  }

  #startingWith(letter, items, here) {
    const order = [...items.slice(here + 1), ...items.slice(0, here)];
    return order.find((item) => this.#branches.get(item.dataset.path).asset.name.startsWith(letter)) ?? null;
  }
}

/** One asset in the tree. */
class Branch {
  constructor(asset, level, position, siblings) {
    this.asset = asset;
    this.level = level;
    this.item = copyOf("branch");
    this.group = this.item.querySelector(".group");
    this.note = this.item.querySelector(".note");
    this.alarm = this.item.querySelector(".alarm");
    this.state = this.item.querySelector(".state");
    this.item.dataset.path = asset.path;
    mark(this.item, "aria-level", level);
    mark(this.item, "aria-posinset", position);
    mark(this.item, "aria-setsize", siblings);
    if (asset.assets.length === 0) this.group.remove();
    write(this.item.querySelector(".name"), asset.name);
    this.refresh();
  }

  refresh() {
    const { state, counts, activeAlarms } = this.asset;
    const note = state === "bad" || state === "uncertain" ? `${counts[state]} ${state}` : "";
    const alarms = activeAlarms > 0 ? counted(activeAlarms, "alarm") : "";
    mark(this.state, "data-state", state);
    write(this.note, note);
    write(this.alarm, activeAlarms > 0 ? String(activeAlarms) : "");
    mark(this.item, "aria-label", [this.asset.name, note || state, alarms].filter(Boolean).join(", "));
  }
}
