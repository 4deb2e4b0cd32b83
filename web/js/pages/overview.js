// The first page answers "is it fine?": problems with their duration, then the figures, then pools and listeners.

import { Chart } from "../chart.js";
import { confirmation } from "../confirmation.js";
import { h, rebuild, setText } from "../dom.js";
import { clock, count, duration, ms, percent, plural, rate, NONE } from "../format.js";
import { icon } from "../icons.js";
import { errorRatio, heading, panel, ratioSeverity, tile, tiles, time } from "../parts.js";
import { link } from "../router.js";
import { severityBadge } from "../states.js";
import { store } from "../store.js";
import { Table } from "../table.js";
import { latencyChart, requestsChart } from "./charts.js";
import { listenerColumns } from "./listener_columns.js";
import { poolColumns } from "./pool_columns.js";

/** Events at the end of the page. */
const EVENTS_SHOWN = 6;
/** Problems that are shown; the count says how many there are. */
const PROBLEMS_SHOWN = 12;

export const title = () => "Overview";

export function open() {
  const problems = h("section", { class: "problems", "aria-label": "Problems" });
  const awaiting = confirmation();
  const figures = {
    rps: tile("Requests/s", "rps"), errors: tile("Errors", "errors", { title: "Answers of 5xx and failed requests, of all requests" }),
    p50: tile("p50", "p50"), p95: tile("p95", "p95"), p99: tile("p99", "p99"),
    in_flight: tile("In flight", "in_flight"), connections: tile("Connections", "connections"),
  };
  const charts = [
    requestsChart((point) => point), latencyChart((point) => point),
    new Chart({ title: "Open requests and connections", format: count, whole: true, lines: [
      { label: "requests in flight", colour: "line-1", area: true, value: (point) => point.in_flight },
      { label: "connections", colour: "line-3", value: (point) => point.connections },
    ] }),
  ];
  const poolTable = new Table({ caption: "Pools", columns: poolColumns(), rowKey: ({ name }) => name, empty: "No pool is configured." });
  const listenerTable = new Table({ caption: "Listeners", columns: listenerColumns(), rowKey: ({ name }) => name, empty: "No listener is configured." });
  const events = h("ul", { class: "event-list short" });
  const element = [
    heading("Overview"), awaiting.element, problems, tiles("Figures of the last seconds", Object.values(figures)),
    h("div", { class: "charts" }, charts.map((chart) => chart.element)),
    panel("Pools", poolTable.element), panel("Listeners", listenerTable.element),
    panel("Latest events", events),
  ];
  const times = new Map();

  const update = () => {
    const { status, point, points } = store;
    if (status === null) return showConnecting(problems);
    awaiting.show();
    showProblems(problems, times);
    const of = (key) => points.map((it) => it[key]);
    const now = status.now ?? point;
    const ratio = errorRatio(now);
    figures.rps.show(rate(now?.rps), of("rps"));
    figures.errors.show(percent(ratio), of("errors"), ratioSeverity(ratio));
    for (const key of ["p50", "p95", "p99"]) figures[key].show(ms(now?.[key]), of(key));
    figures.in_flight.show(count(status.requests_in_flight), of("in_flight"));
    figures.connections.show(count(status.connections), of("connections"));
    for (const chart of charts) chart.show(points);
    poolTable.show(status.pools);
    listenerTable.show(status.listeners);
    showEvents(events);
  };
  const close = () => {
    for (const it of [...charts, poolTable, listenerTable]) it.close();
  };
  return { element, update, close };
}

function showConnecting(element) {
  rebuild(element, "connecting:" + store.fault, () =>
    h("p", { class: "problems-none is-info" }, icon("starting"), h("span", {}, store.fault || "Connecting to the process.")));
}

/** The page that shows more of a problem. */
function place(problem) {
  if (problem.server) return link(["pools", problem.pool, "servers", problem.server]);
  if (problem.pool) return link(["pools", problem.pool]);
  if (problem.kind === "reload") return link(["config"]);
  return link(["events"]);
}

function showProblems(element, times) {
  const { problems, status } = store;
  rebuild(element, problems.length === 0 ? "none" : problems, () => {
    times.clear();
    if (problems.length === 0) {
      return h("p", { class: "problems-none is-good" }, icon("up"), h("strong", {}), h("span", { class: "quiet" }));
    }
    const items = problems.slice(0, PROBLEMS_SHOWN).map((problem, index) => {
      const since = h("span", {});
      times.set(index, { since, at: problem.since });
      since.title = clock(problem.since);
      return h("li", { class: "problem is-" + problem.severity }, h("a", { href: place(problem) },
        severityBadge(problem.severity), h("span", { class: "problem-what" }, problem.what),
        h("span", { class: "problem-since" }, "for ", since)));
    });
    const rest = problems.length - items.length;
    return h("ol", { class: "problem-list" }, items, rest > 0 ? h("li", { class: "quiet" }, `and ${plural(rest, "more problem")}`) : null);
  });
  for (const { since, at } of times.values()) setText(since, duration(store.lastKnown() - at));
  const quiet = element.querySelector(".problems-none .quiet");
  if (quiet === null) return;
  setText(quiet.previousSibling, store.isStale() ? `All was well ${duration(store.age())} ago` : "All is well");
  setText(quiet, summary(status));
}

function summary(status) {
  const servers = status.pools.flatMap((pool) => pool.servers);
  const up = servers.filter(({ state }) => state === "up").length;
  return `${count(up)} of ${plural(servers.length, "server")} up in ${plural(status.pools.length, "pool")}, ${count(status.totals?.requests ?? NONE)} requests since the start`;
}

function showEvents(element) {
  const newest = store.events.slice(0, EVENTS_SHOWN);
  rebuild(element, newest.map(({ seq }) => seq), () => newest.length === 0
    ? h("li", { class: "empty" }, "Nothing has happened yet.")
    : newest.map((event) => {
      const at = time();
      const item = h("li", {}, severityBadge(event.severity), h("span", { class: "event-what" }, event.what), at.element);
      item.at = () => at.show(event.at);
      return item;
    }));
  for (const item of element.children) item.at?.();
}
