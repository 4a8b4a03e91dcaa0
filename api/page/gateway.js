/**
 * The gateway's API: requests with the token, answers, errors, and the stream of events.
 *
 * Knows HTTP and nothing of the plant or the page.
 */

import { GatewayClock } from "./clock.js";
import { EventParser } from "./sse.js";

const TOKEN_KEY = "gateway-token";
/** The gateway says something at least every 15 s, if only that there is nothing to say. */
const SILENCE_MAX_MS = 25_000;
const HISTORY_PAGES_MAX = 5;

/** The gateway cannot be reached, or does not do what it was asked for. */
export class GatewayError extends Error {}

/** The gateway wants a token, or another one. */
export class TokenNeeded extends GatewayError {}

/** Return a handler for a promise: what is the gateway's fault gives the fallback, what is a bug of ours is thrown. */
export function otherwise(fallback) {
  return (error) => {
    if (error instanceof GatewayError) return fallback;
    throw error;
  };
}

export class Gateway {
  #clock = new GatewayClock(performance.timeOrigin);

  /** Return the gateway's time, ms since 1970 UTC. */
  now() {
    return this.#clock.at(performance.now());
  }

  /** Whether requests carry a token; links do not, so they would be refused. */
  get locked() {
    return sessionStorage.getItem(TOKEN_KEY) !== null;
  }

  useToken(token) {
    sessionStorage.setItem(TOKEN_KEY, token);
  }

  /** Log in, and use the token that this gives. Throws a GatewayError that says why not. */
  async login(user, password) {
    const headers = { "Content-Type": "application/json" };
    const request = { method: "POST", headers, body: JSON.stringify({ user, password }), cache: "no-store" };
    const answer = await fetch("/api/v1/login", request).catch(unreachable);
    if (!answer.ok) throw new GatewayError(await reason(answer));
    this.useToken((await answer.json()).token);
  }

  /** Return health, which is an answer whatever its status. */
  async health() {
    return (await this.#ask("/healthz", { accepted: [503] })).json().catch(unreachable);
  }

  /** Return the alarms that are not normal, or hidden. */
  async alarms() {
    return (await this.#json("/api/v1/alarms?limit=200")).alarms;
  }

  /** Do something to alarms. Throws a GatewayError that says why it is refused. */
  async answer(deed, wish) {
    const headers = { "Content-Type": "application/json" };
    await this.#ask(`/api/v1/alarms/${deed}`, { method: "POST", headers, body: JSON.stringify(wish) });
  }

  devices() {
    return this.#json("/api/v1/devices");
  }

  /** Return how the machines are, and what is advised. */
  machines() {
    return this.#json("/api/v1/maintenance");
  }

  /** Return the picture of why a machine is said to be as it is, SVG. */
  async evidence(asset) {
    return (await this.#ask(`/api/v1/maintenance/${asset}/evidence.svg`)).text().catch(unreachable);
  }

  /** Say what became of an advice. */
  async rate(id, said) {
    const headers = { "Content-Type": "application/json" };
    await this.#ask(`/api/v1/maintenance/advice/${encodeURIComponent(id)}/rating`, {
      method: "POST",
      headers,
      body: JSON.stringify(said),
    });
  }

  /** Return who asks, and what they may. */
  session() {
    return this.#json("/api/v1/session");
  }

  /** Return every tag there is. */
  async tags() {
    const tags = [];
    let cursor = "";
    do {
      const page = await this.#json(`/api/v1/tags?${new URLSearchParams({ limit: 10_000, cursor })}`);
      tags.push(...page.tags);
      cursor = page.next ?? "";
    } while (cursor !== "");
    return tags;
  }

  /** Return the latest reading of every tag. */
  values() {
    return this.#json("/api/v1/values");
  }

  /** Return the work units, with what they do now; none where production is not configured. */
  units() {
    return this.#json("/api/v1/units");
  }

  /** Return the KPIs of a work unit over a range such as 10min, with what they are made of. */
  kpis(unit, range) {
    return this.#json(`/api/v1/kpis/${unit}?${new URLSearchParams({ start: `-${range}` })}`);
  }

  /** Return the latest stops of some work units in the last 8 hours, the newest first. */
  async stops(units) {
    const names = units.map((unit) => `'${unit}'`).join(",");
    const asked = { start: "-8h", $filter: `Unit in (${names})`, $orderby: "Begin desc", $top: "8" };
    return (await this.#json(`/api/v1/odata/Downtime?${new URLSearchParams(asked)}`)).value;
  }

  /** Say why a work unit stood. */
  explain(unit, begin, code) {
    const key = [...crypto.getRandomValues(new Uint32Array(4))].join("-");
    const headers = { "Content-Type": "application/json", "Idempotency-Key": `"${key}"` };
    return this.#ask("/api/v1/downtime", { method: "POST", headers, body: JSON.stringify({ unit, begin, code }) });
  }

  /** Return the raw readings of a tag in [from, to), ms since 1970 UTC, oldest first. */
  async readings(path, from, to, signal) {
    const readings = [];
    let cursor = "";
    for (let page = 0; page < HISTORY_PAGES_MAX; page++) {
      const answer = await this.#json(history(path, from, to, { cursor }), signal);
      readings.push(...answer.readings);
      if (answer.next === null) break;
      cursor = answer.next;
    }
    return readings;
  }

  /** Return the roll-ups of a tag in [from, to), one per bucket that has readings. */
  async buckets(path, from, to, minutes, signal) {
    return (await this.#json(history(path, from, to, { bucket: `${minutes}min` }), signal)).buckets;
  }

  /**
   * Yield {type, data, id} for as long as the connection lasts, beginning with what changed after an event.
   * Throws GatewayError when the gateway is gone or falls silent, and when the reader goes to another page: a browser
   * keeps this one for the way back, and its stream would occupy one of six connections.
   */
  async *events(lastId) {
    const ending = new AbortController();
    const end = () => ending.abort();
    let timer = setTimeout(end, SILENCE_MAX_MS);
    window.addEventListener("pagehide", end, { signal: ending.signal });
    try {
      const headers = lastId === "" ? {} : { "Last-Event-ID": lastId };
      const answer = await this.#ask("/api/v1/stream", { headers, signal: ending.signal });
      const parser = new EventParser();
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { value, done } = await reader.read().catch(unreachable);
        if (done) return;
        clearTimeout(timer);
        timer = setTimeout(end, SILENCE_MAX_MS);
        yield* parser.feed(value);
      }
    } finally {
      clearTimeout(timer);
      end();
    }
  }

  async #json(path, signal) {
    return (await this.#ask(path, { signal })).json().catch(unreachable);
  }

  /** Throws TokenNeeded, or a GatewayError that says what the gateway says (RFC 9457). */
  async #ask(path, { headers = {}, accepted = [], ...more } = {}) {
    const token = sessionStorage.getItem(TOKEN_KEY);
    const authorization = token === null ? {} : { Authorization: `Bearer ${token}` };
    const sent = performance.now();
    const request = { headers: { ...headers, ...authorization }, cache: "no-store", ...more };
    const answer = await fetch(path, request).catch(unreachable);
    this.#clock.observe(sent, Date.parse(answer.headers.get("Date")), performance.now());
    if (answer.status === 401) throw new TokenNeeded(token === null ? "" : "The gateway does not know this token.");
    if (!answer.ok && !accepted.includes(answer.status)) throw new GatewayError(await reason(answer));
    return answer;
  }
}

/** The address of a tag's history; times are whole ms. */
function history(path, from, to, options) {
  const range = { from: Math.round(from), to: Math.round(to) };
  return `/api/v1/history/${path}?${new URLSearchParams({ ...range, ...options })}`;
}

function unreachable(error) {
  throw new GatewayError(`the gateway cannot be reached (${error.message})`, { cause: error });
}

async function reason(answer) {
  const isProblem = answer.headers.get("Content-Type")?.startsWith("application/problem+json");
  return isProblem ? (await answer.json().catch(unreachable)).detail : `the gateway answers ${answer.status}`;
}
