// The events: changes of health, ejections, circuit breakers, reloads and changes by people, the newest first.

import { h, rebuild, setText } from "../dom.js";
import { choice, matches, textFilter } from "../filters.js";
import { clock, count } from "../format.js";
import { heading, time } from "../parts.js";
import { link } from "../router.js";
import { severityBadge } from "../states.js";
import { store } from "../store.js";
import { Table } from "../table.js";

const KINDS = ["health", "ejection", "breaker", "reload", "operator", "discovery", "certificate", "overload", "upgrade"];

export const title = () => "Events";

export function open() {
  const table = new Table({ caption: "Events, the newest first", columns: columns(), rowKey: ({ seq }) => String(seq), empty: "No event matches.", className: "events" });
  const shown = h("span", { class: "quiet" });
  const changed = () => update({ filterChanged: true });
  const text = textFilter("Filter events", "q", changed);
  const kind = choice("Kind", "kind", [["", "all kinds"], ...KINDS.map((word) => [word, word])], changed);
  const severity = choice("Severity", "severity", [["", "all severities"], ["warning", "warning and worse"], ["critical", "critical"]], changed);

  function update({ filterChanged = false } = {}) {
    const fits = store.events.filter((event) => (kind.value() === "" || event.kind === kind.value())
      && (severity.value() === "" || event.severity === "critical" || event.severity === severity.value())
      && (text.value() === "" || matches(text.value(), event.what, event.pool, event.server, event.who, event.why, event.kind)));
    table.show(fits, { filterChanged });
    setText(shown, fits.length === store.events.length ? count(fits.length) : `${count(fits.length)} of ${count(store.events.length)}`);
  }
  const element = [
    heading("Events", shown), h("div", { class: "filters", role: "search" }, text.element, kind.element, severity.element),
    h("section", { class: "panel", "aria-label": "Events" }, table.element),
  ];
  return { element, update, close: () => table.close() };
}

function columns() {
  return [
    { key: "at", label: "When", className: "when-cell", make: (cell) => {
      const [ago, local] = [time(), h("span", { class: "below" })];
      cell.append(ago.element, local);
      return (event) => {
        ago.show(event.at);
        setText(local, clock(event.at));
      };
    } },
    { key: "severity", label: "Severity", className: "medium-only", make: (cell) => (event) => rebuild(cell, event.severity, () => severityBadge(event.severity)) },
    { key: "kind", label: "Kind", className: "medium-only", text: (event) => event.kind },
    { key: "what", label: "What happened", className: "what-cell", make: (cell) => (event) => rebuild(cell, event, () => what(event)) },
    { key: "where", label: "Where", className: "medium-only", make: (cell) => (event) => rebuild(cell, [event.pool, event.server], () => where(event)) },
  ];
}

function what({ what: sentence, who, why }) {
  const person = [who ? `by ${who}` : null, why ? `because: ${why}` : null].filter(Boolean).join(", ");
  return [h("span", { title: sentence }, sentence), person ? h("span", { class: "below", title: person }, person) : null];
}

function where({ pool, server }) {
  if (!pool) return h("span", { class: "quiet" }, "–");
  if (!server) return h("a", { href: link(["pools", pool]) }, pool);
  return [h("a", { href: link(["pools", pool, "servers", server]) }, server), h("span", { class: "below" }, pool)];
}
