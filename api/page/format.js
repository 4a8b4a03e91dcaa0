/**
 * Values, units, times and ages as people read them.
 *
 * Pure: knows neither the document nor the network nor what time it is.
 */

const THIN_SPACE = "\u202f";
const SIGNIFICANT_DIGITS = 4;
const FLOAT32_DIGITS = 7;
const DECIMALS_MAX = 6;
const SUPERSCRIPT = { 2: "²", 3: "³" };

/** Units whose everyday sign does not follow from UCUM by rule. */
const SIGNS = new Map([
  ["1", ""],
  ["Cel", "°C"],
  ["[degF]", "°F"],
  ["deg", "°"],
  ["Ohm", "Ω"],
]);

/** Return a UCUM unit as it stands on an instrument: Cel is °C, m3/h is m³/h, {rev}/min is rev/min. */
export function unit(ucum) {
  return (
    SIGNS.get(ucum) ??
    ucum
      .replace(/[{}[\]]/g, "")
      .replace(/(^|[./])u(?=[A-Za-z])/g, "$1µ")
      .replace(/(?<=[A-Za-z])[23](?!\d)/g, (digit) => SUPERSCRIPT[digit])
      .replaceAll(".", "·")
  );
}

/**
 * How finely the numbers of one tag are written: as finely as they come, but no more than four significant digits
 * of the largest. It only ever grows, so that a column of figures does not twitch.
 */
export class Precision {
  #largest = 0;
  #finest = 0;

  see(number) {
    this.#largest = Math.max(this.#largest, Math.abs(number));
    this.#finest = Math.max(this.#finest, decimalsOf(number));
  }

  get decimals() {
    const integerDigits = this.#largest > 0 ? Math.floor(Math.log10(this.#largest)) + 1 : 1;
    const affordable = Math.max(0, SIGNIFICANT_DIGITS - integerDigits);
    return Math.min(this.#finest, affordable, DECIMALS_MAX);
  }
}

/** Return a number with so many decimals, its integer digits in groups of three: 48 213 077, -0.52, 1.2e-9. */
export function number(x, decimals) {
  const size = Math.abs(x);
  if (size >= 1e15 || (size > 0 && size < 0.5 * 10 ** -DECIMALS_MAX)) return x.toExponential(3);
  const [integer, fraction] = x.toFixed(decimals).split(".");
  const grouped = integer.length > 4 ? integer.replace(/\B(?=(\d{3})+$)/g, THIN_SPACE) : integer;
  return fraction === undefined ? grouped : `${grouped}.${fraction}`;
}

/** Return any value of the API as text; `labels` name the numbers of a state. */
export function value(raw, { labels = {}, decimals = 3 } = {}) {
  if (raw === null || raw === undefined) return "–";
  const label = labels[Number(raw)];
  if (label !== undefined) return `${label} (${Number(raw)})`;
  if (typeof raw === "number") return number(raw, decimals);
  if (Array.isArray(raw)) return `${raw.length} samples`;
  return typeof raw === "object" ? JSON.stringify(raw) : String(raw);
}

/** Return how long ago something was, in its largest unit: now, 7 s ago, 3 min ago; or ahead, by a wrong clock. */
export function age(milliseconds) {
  if (milliseconds <= -2000) return `${duration(-milliseconds)} ahead`;
  return milliseconds < 1000 ? "now" : `${duration(milliseconds)} ago`;
}

/** Return a length of time in its largest unit, rounded down: 7 s, 3 min, 26 h, 4 d. */
export function duration(milliseconds) {
  const seconds = Math.floor(milliseconds / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/** Return a time of day where the reader is, with the date unless it is the day of `now`: 06:14:03. */
export function moment(milliseconds, now) {
  const date = new Date(milliseconds);
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(twoDigits).join(":");
  return date.toDateString() === new Date(now).toDateString() ? time : `${day(date)} ${time}`;
}

/** Return a tick of a time axis: seconds only if the ticks are closer than a minute, the day at midnight. */
export function timeTick(milliseconds, step) {
  const date = new Date(milliseconds);
  const minutes = `${twoDigits(date.getHours())}:${twoDigits(date.getMinutes())}`;
  if (step < 60_000) return `${minutes}:${twoDigits(date.getSeconds())}`;
  return minutes === "00:00" ? day(date) : minutes;
}

/** Return the name of an OPC UA StatusCode in plain words: BadNotConnected is not connected. */
export function reason(name) {
  return name
    .replace(/^(Bad|Uncertain|Good)(?=[A-Z])/, "")
    .replace(/(?<=[a-z])(?=[A-Z])/g, " ")
    .toLowerCase();
}

/** Return a count of things with its noun: 1 tag, 2 tags. */
export function counted(n, noun) {
  return `${number(n, 0)} ${noun}${n === 1 ? "" : "s"}`;
}

/** How many decimals a number has; most instruments send 32-bit floats, which carry seven digits and then noise. */
function decimalsOf(x) {
  const [mantissa, exponent = "0"] = String(Number(x.toPrecision(FLOAT32_DIGITS))).split("e");
  const fraction = mantissa.split(".")[1] ?? "";
  return Math.max(0, fraction.length - Number(exponent));
}

function day(date) {
  return `${date.getFullYear()}-${twoDigits(date.getMonth() + 1)}-${twoDigits(date.getDate())}`;
}

function twoDigits(n) {
  return String(n).padStart(2, "0");
}
