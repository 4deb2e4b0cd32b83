// Names, pictures and severities of states, so that a state looks the same on every page: never by colour alone.

import { h, rebuild } from "./dom.js";
import { icon } from "./icons.js";

/** Severity and order of each state of a server; the worst comes first when a table is sorted by it. */
const STATES = {
  down: { severity: "critical", order: 0, says: "Its checks fail." },
  ejected: { severity: "critical", order: 1, says: "Live traffic failed on it." },
  unfit: { severity: "warning", order: 2, says: "It does not have the role that the pool demands, or lags." },
  starting: { severity: "info", order: 3, says: "It has not passed a check yet." },
  draining: { severity: "paused", order: 4, says: "It finishes its requests in flight and gets no new ones." },
  disabled: { severity: "paused", order: 5, says: "An operator took it out." },
  up: { severity: "good", order: 6, says: "It gets requests." },
};
const UNKNOWN = { severity: "info", order: 3, says: "" };

export function stateOf(word) {
  return STATES[word] ?? UNKNOWN;
}

/** Picture and word. */
export function badge(state) {
  const { severity, says } = stateOf(state);
  return h("span", { class: "badge is-" + severity, title: says }, icon(state in STATES ? state : "info"), h("span", {}, state));
}

/** Picture and word of a severity: of a problem or an event. */
export function severityBadge(severity) {
  const name = { critical: "down", warning: "warning" }[severity] ?? "info";
  return h("span", { class: "badge is-" + severity }, icon(name), h("span", {}, severity));
}

/** Whether an operator took a server out. */
export function isOut(server) {
  return server.state === "draining" || server.state === "disabled";
}

/** Whether the filter "Only not up" shows a server: it is not up, or its circuit breaker is not closed. */
export function isAmiss(server) {
  return server.state !== "up" || (server.breaker !== undefined && server.breaker !== "closed");
}

/** How many servers a pool has in each state, worst first. */
export function tally(pool) {
  const counts = new Map();
  for (const { state } of pool.servers) counts.set(state, (counts.get(state) ?? 0) + 1);
  return [...counts].sort(([a], [b]) => stateOf(a).order - stateOf(b).order);
}

/** A bar with a segment for each state, and the same in words: `2 up, 1 down`. */
export function stateBar(element, pool) {
  const counts = tally(pool);
  rebuild(element, counts, () => {
    const bar = h("span", { class: "state-bar", "aria-hidden": "true" });
    for (const [state, number] of counts) {
      const segment = h("span", { class: "is-" + stateOf(state).severity });
      segment.style.flexGrow = String(number);
      bar.append(segment);
    }
    const words = counts.map(([state, number]) =>
      h("span", { class: "state-count is-" + stateOf(state).severity }, icon(state), `${number} ${state}`));
    if (counts.length === 0) words.push(h("span", { class: "state-count is-warning" }, icon("warning"), "no server"));
    return [bar, h("span", { class: "state-counts" }, words)];
  });
}
