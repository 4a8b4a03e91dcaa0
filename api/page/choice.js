/**
 * What the reader has chosen: an asset, tags for the trend, a range. It lives in the address of the page, so that a
 * bookmark, a reload and the back button find it again.
 *
 *   #acme/dresden/utilities/pump1?trend=flow,speed&range=1h
 *
 * Knows the address and nothing of the plant: what it names may not exist.
 */

export const RANGES = ["10min", "1h", "8h", "24h"];

/** Return {asset, trend, range}; `trend` has paths of tags, `asset` is "" when nothing is chosen. */
export function read() {
  const [asset, query] = decodeURIComponent(location.hash.slice(1)).split("?");
  const parameters = new URLSearchParams(query);
  const range = parameters.get("range");
  return {
    asset,
    trend: (parameters.get("trend") ?? "").split(",").filter((path) => path !== ""),
    range: RANGES.includes(range) ? range : RANGES[0],
  };
}

/** Choose an asset, and what its trend shows: a step that the back button takes back. */
export function choose(asset, trend = []) {
  write("pushState", { ...read(), asset, trend });
}

/** Choose tags or a range: a detail of the present step. */
export function refine(change) {
  write("replaceState", { ...read(), ...change });
}

/** Call a function whenever the choice has changed, however. */
export function onChoice(changed) {
  window.addEventListener("popstate", changed);
  window.addEventListener("choice", changed);
}

function write(step, { asset, trend, range }) {
  const query = [trend.length > 0 && `trend=${trend.join(",")}`, range !== RANGES[0] && `range=${range}`];
  const written = query.filter(Boolean).join("&");
  history[step](null, "", `#${asset}${written && `?${written}`}`);
  window.dispatchEvent(new Event("choice"));
}
