// One server: state and reason, figures, last check, last failed requests and its events.

import * as actions from "../actions.js";
import { get } from "../api.js";
import { h, rebuild } from "../dom.js";
import { bytes, clock, count, duration, ms, percent, rate } from "../format.js";
import { icon } from "../icons.js";
import { errorRatio, facts, heading, notice, panel, ratioSeverity, tile, tiles, time } from "../parts.js";
import { link } from "../router.js";
import { badge, severityBadge, stateOf } from "../states.js";
import { store } from "../store.js";

/** Failed requests and events that are shown. */
const SHOWN = 10;
const REFRESH_MS = 3000;

export const title = ([, , , id]) => `Server ${id}`;

export function open([, name, , id]) {
  const figures = {
    rps: tile("Requests/s", "rps", { line: false }), errors: tile("Errors", "errors", { line: false }), p50: tile("p50", "p50", { line: false }),
    p95: tile("p95", "p95", { line: false }), p99: tile("p99", "p99", { line: false }), in_flight: tile("In flight", "in_flight", { line: false }),
  };
  const buttons = actions.buttons("");
  const [state, details, failures, events] = [h("div", { class: "server-state" }), h("div", {}), h("div", {}), h("ul", { class: "event-list" })];
  const missing = h("div", {});
  const rest = h("div", { class: "stack" }, h("div", { class: "server-head" }, state, buttons.element),
    tiles("Figures of the last seconds", Object.values(figures)),
    h("div", { class: "columns" }, panel("Facts", details), panel("Last failed requests", failures)), panel("Events", events));

  const loadFailures = async () => {
    try {
      const query = new URLSearchParams({ pool: name, server: id, failed: "true", limit: String(SHOWN) });
      const { requests } = await get("requests?" + query);
      showFailures(failures, requests, name, id);
    } catch (fault) {
      rebuild(failures, fault.message, () => h("p", { class: "quiet" }, fault.status === 404 ? "This process keeps no record of requests." : fault.message));
    }
  };
  loadFailures();
  const timer = setInterval(loadFailures, REFRESH_MS);

  const update = () => {
    const [pool, server] = [store.pool(name), store.server(name, id)];
    rest.hidden = server === null;
    rebuild(missing, server === null && store.status !== null ? "missing" : "", () =>
      server === null && store.status !== null ? notice(`Pool ${name} has no server ${id}.`, "warning") : []);
    if (server === null) return;
    rebuild(state, [server.state, server.reason], () =>
      [badge(server.state), h("span", { class: "server-reason" }, server.reason || stateOf(server.state).says)]);
    buttons.update(pool, server);
    const { now } = server;
    const ratio = errorRatio(now);
    figures.rps.show(rate(now?.rps));
    figures.errors.show(percent(ratio), null, ratioSeverity(ratio));
    for (const key of ["p50", "p95", "p99"]) figures[key].show(ms(now?.[key]));
    figures.in_flight.show(count(server.in_flight));
    rebuild(details, { ...server, now: null, in_flight: 0 }, () => facts(rows(server)));
    showEvents(events, name, id);
  };
  const crumb = h("a", { class: "crumb", href: link(["pools", name]) }, icon("back"), `Pool ${name}`);
  return { element: [crumb, heading(id), missing, rest], update, close: () => clearInterval(timer) };
}

function rows(server) {
  const { check } = server;
  return [
    ["Address", server.address],
    ["In this state", `for ${duration(server.since_seconds)}, since ${clock(store.at - server.since_seconds)}`],
    ["Last check", check ? [h("span", { class: "is-" + (check.passed ? "good" : "critical") }, check.answer), ` after ${ms(check.latency_ms)}, at ${clock(check.at)}`] : "none"],
    ["Last failures", server.failures?.length > 0 ? h("ul", {}, server.failures.map(failure)) : "none"],
    ["Weight", server.effective_weight === server.weight ? count(server.weight) : `${server.weight}, counts ${server.effective_weight} now`],
    ["Since the start", `${count(server.requests)} requests, ${count(server.errors)} errors, ${percent(server.share)} of the pool`],
    ["Latency since the start", `p50 ${ms(server.latency_ms?.p50)}, p95 ${ms(server.latency_ms?.p95)}, p99 ${ms(server.latency_ms?.p99)}`],
    ["Idle connections", count(server.connections_idle)],
    ["Origin", server.origin + (server.backup ? ", backup" : "")],
    server.breaker ? ["Circuit breaker", server.breaker] : null,
    server.role ? ["Role", server.role + (server.lag_bytes === undefined ? "" : `, lags ${bytes(server.lag_bytes)}`)] : null,
    server.streams ? ["Relayed", `${count(server.streams.open)} connections open, ${bytes(server.streams.sent_bytes)} sent to clients`] : null,
  ];
}

function failure({ at, what, times }) {
  return h("li", {}, what, h("span", { class: "quiet" }, `${times > 1 ? `, ${count(times)} times` : ""}, ${clock(at)}`));
}

function showFailures(element, requests, pool, id) {
  rebuild(element, requests.map((request) => request.id), () => {
    if (requests.length === 0) return h("p", { class: "quiet" }, "None of the recorded requests failed here.");
    return [h("ul", { class: "plain-list" }, requests.map((request) => h("li", {}, h("a", { href: link(["requests", request.id]) },
      `${request.method} ${request.target}`), " ", h("span", { class: "quiet" }, `${request.status || ""} ${request.reason ?? request.ended.replaceAll("_", " ")} · ${clock(request.at)}`)))),
    h("p", {}, h("a", { href: link(["requests"], { pool, server: id, failed: "1" }) }, "All failed requests of this server"))];
  });
}

function showEvents(element, pool, id) {
  const own = store.events.filter((event) => event.pool === pool && event.server === id).slice(0, SHOWN);
  rebuild(element, own.map(({ seq }) => seq), () => own.length === 0
    ? h("li", { class: "empty" }, "No event concerns this server.")
    : own.map((event) => {
      const at = time();
      const item = h("li", {}, severityBadge(event.severity), h("span", { class: "event-what" }, event.what), at.element);
      item.at = () => at.show(event.at);
      return item;
    }));
  for (const item of element.children) item.at?.();
}
