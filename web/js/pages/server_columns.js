// The columns of servers on the page of a pool.

import * as actions from "../actions.js";
import { h, rebuild, setAttribute, setText } from "../dom.js";
import { count, duration, ms, percent, rate } from "../format.js";
import { shareBar } from "../parts.js";
import { link } from "../router.js";
import { badge, stateOf } from "../states.js";
import { errorCell } from "./pool_columns.js";

/** `of()` is the pool, or null once it is gone. */
export function serverColumns(of) {
  const share = (server) => {
    const all = of()?.now?.rps;
    return all > 0 ? (server.now?.rps ?? 0) / all : server.share ?? 0;
  };
  return [
    { key: "state", label: "State", className: "state-cell", sort: (server) => stateOf(server.state).order, make: makeState },
    { key: "id", label: "Server", isHeader: true, className: "server-cell", sort: (server) => server.id, make: (cell) => makeName(cell, of) },
    { key: "share", label: "Share", numeric: true, className: "medium-only", title: "Of the pool's requests", sort: share, make: (cell) => {
      const bar = shareBar(percent);
      cell.append(bar.element);
      return (server) => bar.show(share(server));
    } },
    { key: "rps", label: "Req/s", numeric: true, sort: (server) => server.now?.rps, text: (server) => rate(server.now?.rps) },
    { key: "errors", label: "Errors", numeric: true, sort: (server) => server.now?.errors, make: errorCell },
    ...["p50", "p95", "p99"].map((key) => (
      { key, label: key, numeric: true, className: key === "p95" ? "medium-only" : "wide-only", sort: (server) => server.now?.[key], text: (server) => ms(server.now?.[key]) })),
    { key: "in_flight", label: "In flight", numeric: true, sort: (server) => server.in_flight, text: (server) => count(server.in_flight) },
    { key: "weight", label: "Weight", numeric: true, className: "medium-only", sort: (server) => server.weight, make: makeWeight },
    { key: "actions", label: "Actions", hideLabel: true, className: "actions-cell medium-only", make: (cell) => {
      const { element, update } = actions.buttons();
      cell.append(element);
      return (server) => update(of(), server);
    } },
  ];
}

function makeState(cell) {
  const [word, since] = [h("span", { class: "state-word" }), h("span", { class: "below" })];
  cell.append(word, since);
  return (server) => {
    rebuild(word, server.state, () => badge(server.state));
    setText(since, `for ${duration(server.since_seconds)}`);
  };
}

function makeName(cell, of) {
  const [anchor, address, reason] = [h("a", {}), h("span", { class: "quiet" }), h("span", { class: "below" })];
  cell.append(h("span", { class: "server-name" }, anchor, address), reason);
  return (server) => {
    setText(anchor, server.id);
    setAttribute(anchor, "href", link(["pools", of()?.name ?? "", "servers", server.id]));
    const origin = server.origin === undefined || server.origin === "configuration" ? null : `from ${server.origin}`;
    const notes = [server.address === server.id ? null : server.address, server.backup ? "backup" : null, server.role, origin];
    setText(address, notes.filter(Boolean).join(" · "));
    const breaker = server.breaker && server.breaker !== "closed" ? `; circuit breaker ${server.breaker}` : "";
    setText(reason, (server.reason || stateOf(server.state).says) + breaker);
    setAttribute(reason, "title", reason.textContent);
  };
}

function makeWeight(cell) {
  const [weight, effective] = [h("span", {}), h("span", { class: "below" })];
  cell.append(weight, effective);
  return (server) => {
    setText(weight, count(server.weight));
    const differs = Math.abs(server.effective_weight - server.weight) > 0.01;
    setText(effective, differs ? `counts ${server.effective_weight.toFixed(1)}` : "");
  };
}
