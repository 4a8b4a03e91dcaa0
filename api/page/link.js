/**
 * Keeps the page connected to the stream, for as long as it is open.
 *
 * A stream that ends, breaks or falls silent is opened again after a moment, from the last event that was taken. Knows
 * nothing of what is in the events.
 */

import { GatewayError, TokenNeeded } from "./gateway.js";

const WAIT_MS = [500, 1000, 2000, 5000];

/**
 * Never returns. `take` is called with each event and awaited; `lost` with the error whenever the stream is gone;
 * `askToken` when the gateway wants a token, and awaited.
 */
export async function follow(gateway, { take, lost, askToken }) {
  let lastId = "";
  let failures = 0;
  for (;;) {
    try {
      for await (const event of gateway.events(lastId)) {
        await take(event);
        lastId = event.id;
        failures = 0;
      }
      lost(new GatewayError("the gateway has ended the connection"));
    } catch (error) {
      lost(error);
      if (!(error instanceof GatewayError)) console.error(error); // a bug of ours; the page goes on as well as it can
      if (error instanceof TokenNeeded) {
        await askToken(error.message);
        continue;
      }
    }
    await waited(WAIT_MS[Math.min(failures, WAIT_MS.length - 1)]);
    failures += 1;
  }
}

/** Wait, but not longer than until the browser says that it has a network. */
function waited(milliseconds) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    window.addEventListener("online", () => (clearTimeout(timer), resolve()), { once: true });
  });
}
