// Numbers and times as users read them.

const NUMBER = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const RELATIVE = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });
const DATE = new Intl.DateTimeFormat("en", { dateStyle: "medium" });
const STEPS = [[60, "second", 1], [3600, "minute", 60], [86_400, "hour", 3600], [604_800, "day", 86_400]];

export const number = (value) => NUMBER.format(value);

export const counted = (value, one, many) => `${number(value)} ${value === 1 ? one : many}`;

/** How long ago, within a week; a date before that. */
export function ago(time) {
  const seconds = Math.max(0, (Date.now() - time.getTime()) / 1000);
  if (seconds < 10) return "just now";
  for (const [below, unit, length] of STEPS) if (seconds < below) return RELATIVE.format(-Math.floor(seconds / length), unit);
  return DATE.format(time);
}

/** The name to show of a user. */
export const nameOf = (user) => user.display_name || user.name;
