/**
 * The live page put together: what the stream brings goes to the plant, and from there to the views.
 *
 *   gateway.js -> link.js -> plant.js -> tree.js, table.js, trend.js, alarms.js
 *              status.js, upkeep.js, production.js, register.js ask by themselves
 *
 * Views know tags and assets and never each other. What the reader chooses in one of them goes into the address of the
 * page (choice.js), and from there to all.
 */

import { Alarms } from "./alarms.js";
import { choose, onChoice, read, refine } from "./choice.js";
import { mark, partsOf, write } from "./dom.js";
import { inNextFrame } from "./frame.js";
import { Gateway, GatewayError } from "./gateway.js";
import { follow } from "./link.js";
import { Plant } from "./plant.js";
import { Production } from "./production.js";
import { Recents } from "./recents.js";
import { Register } from "./register.js";
import { Status } from "./status.js";
import { Table } from "./table.js";
import { Tree } from "./tree.js";
import { LINES_MAX, Trend } from "./trend.js";
import { Upkeep } from "./upkeep.js";

const TICK_MS = 1000;
/** As in style.css; on a smaller screen the tree is a drawer, closed at first. */
const roomForTree = matchMedia("(width >= 800px)");

const parts = partsOf(document);
const gateway = new Gateway();
const recents = new Recents(gateway);
const status = new Status(parts, gateway);
const upkeep = new Upkeep(parts, gateway, (path) => choose(path));
const production = new Production(parts, gateway);
const register = new Register(parts, gateway);
const tree = new Tree(parts.tree, (path) => choose(path));
const alarms = new Alarms(parts, showAlarm);
const show = (tag) => refine({ trend: [tag.path] });
const table = new Table(parts, { recents, now: () => gateway.now(), show, toggle });
const trend = new Trend(parts, { gateway, drop: toggle, choose: (range) => refine({ range }) });

let plant = new Plant([]);
let boot = null;
let live = false;
let keepsAlarms = false;
let shownAsset = null;
let shownTags = [];

roomForTree.addEventListener("change", fitTree);
fitTree();
onChoice(showChoice);
setInterval(tick, TICK_MS);
tick();
follow(gateway, { take, lost, askToken });

// --- what the stream brings ---------------------------------------------------------------

/** Take an event: the readings that changed. After a start of the gateway it may be another plant that they are of. */
async function take({ type, data, id }) {
  if (type !== "values") return; // what was dropped is followed by what is now
  const readings = JSON.parse(data);
  const [itsBoot] = id.split("-");
  if (itsBoot !== boot || !plant.knows(readings)) {
    const found = new Plant(await gateway.tags());
    found.apply(readings);
    found.apply(await gateway.values());
    plant = found;
    boot = itsBoot;
    showPlant();
  } else {
    const tags = plant.apply(readings);
    for (const view of [recents, trend, table, upkeep]) view.take(tags);
    inNextFrame(refresh);
  }
  setLive(true);
}

function lost(error) {
  setLive(false);
  status.showLink("lost", "connection lost, retrying", error.message);
}

/** Nothing on the page looks live that is not. */
function setLive(now) {
  if (live === now) return;
  live = now;
  mark(document.body, "data-live", String(live));
  for (const view of [table, trend]) view.setLive(live);
  refresh();
  if (!live) return;
  status.showLink("live", "live");
  recents.reload();
}

async function askToken(problem) {
  write(parts.tokenproblem, problem);
  parts.tokendialog.showModal();
  await new Promise((resolve) => parts.tokendialog.addEventListener("close", resolve, { once: true }));
  const user = parts.user.value.trim();
  const secret = parts.token.value;
  if (user === "") gateway.useToken(secret.trim());
  else await gateway.login(user, secret).catch((error) => askToken(refusal(error)));
}

/** What to tell whoever could not log in; a bug of ours is thrown. */
function refusal(error) {
  if (!(error instanceof GatewayError)) throw error;
  return error.message;
}

// --- what the page shows ------------------------------------------------------------------

function showPlant() {
  shownAsset = null;
  keepsAlarms = plant.keepsAlarms;
  tree.show(plant);
  status.showTags(plant.tagCount);
  showChoice();
  refresh();
}

function fitTree() {
  parts.drawer.open = roomForTree.matches;
}

/** Show what the address says, as far as it exists; else the first machine, and its first measured value. */
function showChoice() {
  const choice = read();
  const asset = plant.asset(choice.asset) ?? plant.assets.find(({ tags }) => tags.length > 0);
  if (asset === undefined) return;
  const named = choice.trend.map((path) => plant.tag(path)).filter((tag) => tag !== undefined);
  shownTags = named.length > 0 ? named.slice(0, LINES_MAX) : [worthSeeing(asset)];
  if (asset !== shownAsset) {
    shownAsset = asset;
    write(parts.where, asset.path.slice(0, -asset.name.length).replaceAll("/", " / "));
    write(parts.asset, asset.name);
    tree.select(asset);
    table.show(asset);
  }
  production.show(asset.path, choice.range);
  table.pick(shownTags);
  trend.show(shownTags, choice.range);
}

/** The tag to begin with: of the first asset here or below that has any, a measured value before all else. */
function worthSeeing(asset) {
  const { tags } = [...asset.all()].find((each) => each.tags.length > 0);
  const own = tags.filter((tag) => tag.group === "");
  const numbers = own.filter((tag) => !tag.isDiscrete && ["number", ""].includes(tag.kind));
  return numbers.find((tag) => tag.unit !== "") ?? numbers[0] ?? own[0] ?? tags[0];
}

/** Put a tag into the trend, instead of the first if there is no room, or take it out. */
function toggle(tag) {
  const others = shownTags.filter((each) => each !== tag);
  const chosen = others.length < shownTags.length ? others : [...shownTags, tag].slice(-LINES_MAX);
  refine({ trend: chosen.map(({ path }) => path) });
}

/** Show the machine of an alarm, and the signal of the same name that raised it. */
function showAlarm(alarm) {
  const evidence = plant.tag(`${alarm.asset.path}/_maintenance/${alarm.shortName}`) ?? alarm;
  choose(alarm.asset.path, [evidence.path]);
}

function refresh() {
  tree.refresh();
  alarms.refresh(plant, gateway.now(), live);
  const active = plant.activeAlarms.length;
  const title = `${active > 0 ? `▲ ${active} ` : ""}${plant.roots.map(({ name }) => name).join(", ")}`;
  document.title = live ? title : `(not live) ${title}`;
}

function tick() {
  status.tick();
  if (boot === null) return;
  upkeep.tick();
  production.tick();
  if (keepsAlarms) register.tick();
  table.tick();
  trend.tick();
  refresh();
}
