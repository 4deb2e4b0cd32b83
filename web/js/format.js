// Writes numbers, durations, sizes and times the same way on every page.

/** A narrow space that does not break, between a number and its unit. */
const GAP = "\u202f";
/** What stands where there is no value. */
export const NONE = "–";

/** By how many digits follow the point. They are made once, because that takes longer than hundreds of numbers do. */
const NUMBERS = [0, 1, 2].map((count) => new Intl.NumberFormat("en", { minimumFractionDigits: count, maximumFractionDigits: count }));
const [WHOLE] = NUMBERS;

function digits(value, count) {
  return NUMBERS[count].format(value);
}

const ABSENT = (value) => value === null || value === undefined || Number.isNaN(value);

/** A whole number, its thousands apart. */
export function count(value) {
  return ABSENT(value) ? NONE : WHOLE.format(value);
}

/** So many a second. */
export function rate(value) {
  if (ABSENT(value)) return NONE;
  if (value === 0) return "0";
  if (value < 0.1) return "<" + GAP + "0.1";
  return value < 9.95 ? digits(value, 1) : WHOLE.format(value);
}

/** A share from 0 to 1. */
export function percent(value) {
  if (ABSENT(value)) return NONE;
  const hundredths = value * 100;
  if (hundredths === 0) return "0" + GAP + "%";
  if (hundredths < 0.01) return "<" + GAP + "0.01" + GAP + "%";
  if (hundredths < 1) return digits(hundredths, 2) + GAP + "%";
  return digits(hundredths, hundredths < 9.95 ? 1 : 0) + GAP + "%";
}

/** Milliseconds. */
export function ms(value) {
  if (ABSENT(value)) return NONE;
  if (value === 0) return "0" + GAP + "ms";
  if (value < 0.995) return digits(value, 2) + GAP + "ms";
  if (value < 9.95) return digits(value, 1) + GAP + "ms";
  if (value < 999.5) return WHOLE.format(value) + GAP + "ms";
  return digits(value / 1e3, value < 9950 ? 2 : 1) + GAP + "s";
}

/** Bytes. */
export function bytes(value) {
  if (ABSENT(value)) return NONE;
  if (value < 1024) return WHOLE.format(value) + GAP + "B";
  const units = ["KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = -1;
  do {
    value /= 1024;
    unit += 1;
  } while (value >= 1023.5 && unit < units.length - 1);
  return digits(value, value < 9.95 ? 1 : 0) + GAP + units[unit];
}

/** A duration in its largest unit: `4 s`, `3 min`, `2 h`, `5 days`. */
export function duration(seconds) {
  if (ABSENT(seconds)) return NONE;
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return whole + GAP + "s";
  if (whole < 3600) return Math.floor(whole / 60) + GAP + "min";
  if (whole < 86400) {
    const minutes = Math.floor((whole % 3600) / 60);
    return Math.floor(whole / 3600) + GAP + "h" + (minutes > 0 ? " " + minutes + GAP + "min" : "");
  }
  const days = Math.floor(whole / 86400);
  return days + GAP + (days === 1 ? "day" : "days");
}

/** How long ago a unix time was. */
export function ago(at, now) {
  const seconds = now - at;
  return seconds < 1 ? "just now" : duration(seconds) + " ago";
}

/** The local time of day of a unix time, with the date if it is not today. */
export function clock(at) {
  const date = new Date(at * 1000);
  const time = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
  if (date.toDateString() === new Date().toDateString()) return time;
  return date.toLocaleDateString([], { year: "numeric", month: "short", day: "numeric" }) + " " + time;
}

/** `1 server`, `2 servers`. */
export function plural(number, noun) {
  return count(number) + " " + noun + (number === 1 ? "" : "s");
}
