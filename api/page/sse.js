/**
 * Server-sent events: text in, events out (HTML Living Standard, 9.2.6, "Interpreting an event stream").
 *
 * Pure: knows nothing of requests. EventSource would do this by itself, but cannot send a token.
 */

export class EventParser {
  #rest = "";
  #afterReturn = false;
  #data = [];
  #type = "";
  #id = "";

  /** Take the next piece of the stream, cut anywhere; return the events that it completes: {type, data, id}. */
  feed(text) {
    if (text === "") return [];
    const piece = this.#afterReturn && text.startsWith("\n") ? text.slice(1) : text; // CR LF, cut in the middle
    this.#afterReturn = text.endsWith("\r");
    const lines = (this.#rest + piece).split(/\r\n|\r|\n/);
    this.#rest = lines.pop();
    return lines.map((line) => this.#line(line)).filter((event) => event !== null);
  }

  #line(line) {
    if (line === "") return this.#dispatch();
    const colon = line.indexOf(":");
    if (colon !== 0) {
      const [field, rest] = colon < 0 ? [line, ""] : [line.slice(0, colon), line.slice(colon + 1)];
      this.#field(field, rest.startsWith(" ") ? rest.slice(1) : rest);
    }
    return null;
  }

  #field(field, value) {
    if (field === "data") this.#data.push(value);
    else if (field === "event") this.#type = value;
    else if (field === "id" && !value.includes("\0")) this.#id = value;
  }

  /** An event without data is none; its type is forgotten, its id is not. */
  #dispatch() {
    const event = { type: this.#type || "message", data: this.#data.join("\n"), id: this.#id };
    const empty = this.#data.length === 0;
    this.#type = "";
    this.#data = [];
    return empty ? null : event;
  }
}
