// One pool: its figures, and its servers with their states and reasons.

import { h, rebuild, setText } from "../dom.js";
import { matches, sortFromQuery, sortToQuery, textFilter, toggle } from "../filters.js";
import { count, duration, ms, percent, plural, rate } from "../format.js";
import { icon } from "../icons.js";
import { errorRatio, heading, notice, panel, ratioSeverity, tile, tiles } from "../parts.js";
import { link } from "../router.js";
import { isAmiss, stateBar } from "../states.js";
import { store } from "../store.js";
import { Table } from "../table.js";
import { latencyChart, requestsChart } from "./charts.js";
import { serverColumns } from "./server_columns.js";

export const title = ([, name]) => `Pool ${name}`;

export function open([, name]) {
  const of = () => store.pool(name);
  const figures = {
    rps: tile("Requests/s", "rps"), errors: tile("Errors", "errors"), p50: tile("p50", "p50"), p95: tile("p95", "p95"),
    p99: tile("p99", "p99"), in_flight: tile("In flight", "in_flight"),
  };
  const at = (point) => point.pools?.[name];
  const charts = [requestsChart(at), latencyChart(at)];
  const table = new Table({
    caption: `Servers of pool ${name}`, columns: serverColumns(of), rowKey: ({ id }) => id, rowHeight: 48,
    empty: "No server matches.", sort: sortFromQuery(), onSort: sortToQuery, className: "servers",
  });
  const shown = h("span", { class: "quiet", role: "status" });
  const changed = () => update({ filterChanged: true });
  const text = textFilter("Filter servers", "q", changed);
  const down = toggle("Only not up", "down", changed);
  const state = h("div", { class: "pool-state" });
  const facts = h("p", { class: "pool-facts" });
  const missing = h("div", {});
  const rest = h("div", { class: "stack" }, state, facts, tiles("Figures of the last seconds", Object.values(figures)),
    h("div", { class: "charts two" }, charts.map((chart) => chart.element)),
    panel(null, h("header", { class: "panel-head" }, h("h2", {}, "Servers"), shown,
      h("div", { class: "filters", role: "search" }, text.element, down.element)), table.element));

  function update({ filterChanged = false } = {}) {
    const pool = of();
    rest.hidden = pool === null;
    rebuild(missing, pool === null && store.status !== null ? "missing" : "", () =>
      pool === null && store.status !== null ? notice(`There is no pool ${name} in the configuration in force.`, "warning") : []);
    if (pool === null) return;
    stateBar(state, pool);
    showFacts(facts, pool);
    showFigures(figures, pool, (key) => store.points.map((point) => at(point)?.[key] ?? null));
    for (const chart of charts) chart.show(store.points);
    const fits = pool.servers.filter((server) => (!down.value() || isAmiss(server))
      && (text.value() === "" || matches(text.value(), server.id, server.address, server.state, server.reason)));
    table.show(fits, { filterChanged });
    setText(shown, fits.length === pool.servers.length ? count(fits.length) : `${count(fits.length)} of ${count(pool.servers.length)}`);
  }
  const crumb = h("a", { class: "crumb", href: link(["pools"]) }, icon("back"), "Pools");
  const element = [crumb, heading(name), missing, rest];
  return { element, update, close: () => [...charts, table].forEach((it) => it.close()) };
}

function showFigures(figures, { now }, line) {
  const ratio = errorRatio(now);
  figures.rps.show(rate(now?.rps), line("rps"));
  figures.errors.show(percent(ratio), line("errors"), ratioSeverity(ratio));
  for (const key of ["p50", "p95", "p99"]) figures[key].show(ms(now?.[key]), line(key));
  figures.in_flight.show(count(now?.in_flight), line("in_flight"));
}

/** What limits the pool and where its servers come from. */
function showFacts(element, pool) {
  const parts = [pool.algorithm, `${plural(pool.usable, "server")} may get requests`];
  if (pool.panic) parts.push("ejected servers are used too, because too few others are left");
  if (pool.breaker) {
    const { state, reason, in_flight, limit, waiting } = pool.breaker;
    parts.push(`circuit breaker ${state}${reason ? ` (${reason})` : ""}`);
    if (limit !== null) parts.push(`${count(in_flight)} of ${count(limit)} permits in use`);
    if (waiting > 0) parts.push(`${plural(waiting, "request")} queued`);
  }
  if (pool.waiting_for_server > 0) parts.push(`${plural(pool.waiting_for_server, "request")} wait for a server`);
  if (pool.discovery) parts.push(discovery(pool.discovery));
  setText(element, parts.join(" · "));
}

function discovery({ source, found, asked_seconds_ago: asked, error }) {
  const when = asked === null ? "not asked yet" : `asked ${duration(asked)} ago`;
  return `${source}: ${plural(found, "server")} found, ${when}${error === null ? "" : `, ${error}`}`;
}
