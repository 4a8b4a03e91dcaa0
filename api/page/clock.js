/**
 * What time it is at the gateway, from the Date headers of its answers.
 *
 * Ages are told by the gateway's clock: the one of a browser on the shop floor may be an hour wrong. Pure: what the
 * browser's clocks say comes in.
 *
 * A Date header has whole seconds, so an answer that was asked for at `sent` and was here at `received` bounds the
 * difference of the two clocks from both sides; a few answers narrow it down.
 */

const RESOLUTION_MS = 1000;

export class GatewayClock {
  #low = -Infinity;
  #high = Infinity;
  #offset;

  /** `wallOffset` is what to add to the monotonic clock as long as no answer has come. */
  constructor(wallOffset) {
    this.#offset = wallOffset;
  }

  /** Take note of an answer; `sent` and `received` are by the browser's monotonic clock, `date` is in ms. */
  observe(sent, date, received) {
    const low = date - received;
    const high = date + RESOLUTION_MS - sent;
    const consistent = low <= this.#high && high >= this.#low;
    this.#low = consistent ? Math.max(this.#low, low) : low; // else one of the clocks was set
    this.#high = consistent ? Math.min(this.#high, high) : high;
    this.#offset = (this.#low + this.#high) / 2;
  }

  /** Return the gateway's time, ms since 1970 UTC, for a time of the monotonic clock. */
  at(monotonic) {
    return monotonic + this.#offset;
  }
}
