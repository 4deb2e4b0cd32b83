// The columns of pools, on the overview and on the page of pools.

import { h, setText } from "../dom.js";
import { count, ms, percent, rate } from "../format.js";
import { icon } from "../icons.js";
import { errorRatio, ratioSeverity } from "../parts.js";
import { link } from "../router.js";
import { spark } from "../spark.js";
import { isAmiss, stateBar } from "../states.js";
import { store } from "../store.js";

export function poolColumns() {
  return [
    { key: "name", label: "Pool", isHeader: true, sort: (pool) => pool.name, make: makeName },
    { key: "servers", label: "Servers", sort: (pool) => -pool.servers.filter(isAmiss).length, make: (cell) => (pool) => stateBar(cell, pool) },
    { key: "rps", label: "Requests/s", numeric: true, sort: (pool) => pool.now?.rps, make: makeRate },
    { key: "errors", label: "Errors", numeric: true, sort: (pool) => errorRatio(pool.now), make: errorCell },
    { key: "p50", label: "p50", numeric: true, className: "wide-only", sort: (pool) => pool.now?.p50, text: (pool) => ms(pool.now?.p50) },
    { key: "p95", label: "p95", numeric: true, className: "narrow-hidden", sort: (pool) => pool.now?.p95, text: (pool) => ms(pool.now?.p95) },
    { key: "p99", label: "p99", numeric: true, className: "wide-only", sort: (pool) => pool.now?.p99, text: (pool) => ms(pool.now?.p99) },
    { key: "in_flight", label: "In flight", numeric: true, className: "medium-only", sort: (pool) => pool.now?.in_flight, text: (pool) => count(pool.now?.in_flight) },
  ];
}

function makeName(cell) {
  const [anchor, below] = [h("a", {}), h("span", { class: "below narrow-hidden" })];
  cell.append(anchor, below);
  return (pool) => {
    setText(anchor, pool.name);
    anchor.href = link(["pools", pool.name]);
    setText(below, pool.algorithm);
  };
}

function makeRate(cell) {
  const [shape, value] = [spark("medium-only"), h("span", {})];
  cell.append(h("span", { class: "with-spark" }, shape.element, value));
  return (pool) => {
    shape.show(store.points.map((point) => point.pools?.[pool.name]?.rps ?? 0));
    setText(value, rate(pool.now?.rps));
  };
}

/** The ratio of errors of what has `now`. */
export function errorCell(cell) {
  const [value, mark] = [h("span", {}), h("span", { class: "mark" })];
  cell.append(h("span", { class: "marked" }, mark, value));
  let shown = null;
  return ({ now }) => {
    const ratio = errorRatio(now);
    setText(value, percent(ratio));
    const severity = ratioSeverity(ratio);
    if (severity === shown) return;
    shown = severity;
    cell.dataset.severity = severity ?? "";
    mark.replaceChildren(...(severity === null ? [] : [icon("warning")]));
  };
}
