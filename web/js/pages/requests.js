// The flight recorder: failed, slow and sampled requests that the process keeps, narrowed down by what an operator looks for.

import { explainFault, get } from "../api.js";
import { h, rebuild, setText } from "../dom.js";
import { textFilter, toggle } from "../filters.js";
import { clock, count, ms } from "../format.js";
import { icon } from "../icons.js";
import { heading, notice, time } from "../parts.js";
import { link } from "../router.js";
import { Table } from "../table.js";

const LIMIT = 500;
const REFRESH_MS = 2000;
const TYPING_MS = 200;

export const title = () => "Requests";

export function open() {
  const table = new Table({ caption: "Recorded requests, the newest first", columns: columns(), rowKey: ({ id }) => id, empty: "No recorded request matches.", className: "requests" });
  const shown = h("span", { class: "quiet" });
  const fault = h("div", {});
  let timer = null;
  const changed = () => {
    clearTimeout(timer);
    timer = setTimeout(() => load(true), TYPING_MS);
  };
  const small = (label, name, attributes) => textFilter(label, name, changed, { type: "text", width: "short", attributes });
  const filters = {
    q: textFilter("Filter by path, host, client or id", "q", changed, { width: "grow" }),
    pool: small("Pool", "pool"), server: small("Server", "server"), route: small("Route", "route"),
    status: small("Status", "status"), min_ms: small("At least ms", "min_ms", { inputmode: "numeric" }),
    failed: toggle("Only failed", "failed", changed),
  };
  let isPaused = false;
  const pause = h("button", { type: "button", class: "button small", "aria-pressed": "false", on: { click: () => {
    isPaused = !isPaused;
    pause.setAttribute("aria-pressed", String(isPaused));
    pause.textContent = isPaused ? "Follow" : "Pause";
    if (!isPaused) load(false);
  } } }, "Pause");

  let [number, requests] = [0, []];
  async function load(filterChanged) {
    number += 1;
    const mine = number;
    clearTimeout(timer);
    try {
      const wanted = new URLSearchParams({ limit: String(LIMIT) });
      for (const [name, filter] of Object.entries(filters)) {
        const value = filter.value();
        if (value !== "" && value !== false) wanted.set(name, value === true ? "true" : value);
      }
      const found = await get("requests?" + wanted);
      // A slow answer to an older question says nothing about the filters of now.
      if (mine !== number) return;
      // By what "When" shows; the process has them in the order in which they ended.
      requests = found.requests.sort((a, b) => b.at - a.at);
      rebuild(fault, "", () => []);
      table.show(requests, { filterChanged });
      setText(shown, `${count(requests.length)} shown, ${count(found.kept)} kept of at most ${count(found.capacity)}`);
    } catch (error) {
      if (mine !== number || error.status === 401) return;
      rebuild(fault, error.message, () => notice(explainFault(error, "a record of requests"), "warning"));
      if (error.status === 404) return;
    }
    if (!isPaused) timer = setTimeout(() => load(false), REFRESH_MS);
  }
  load(true);
  const list = Object.values(filters).map(({ element }) => element);
  const element = [
    heading("Requests", shown, pause), h("div", { class: "filters", role: "search" }, list), fault,
    h("section", { class: "panel", "aria-label": "Recorded requests" }, table.element),
  ];
  const close = () => {
    number += 1;
    clearTimeout(timer);
    table.close();
  };
  return { element, update: () => table.show(requests), close };
}

function columns() {
  return [
    { key: "at", label: "When", className: "when-cell", make: (cell) => {
      const [ago, local] = [time(), h("span", { class: "below" })];
      cell.append(ago.element, local);
      return (request) => {
        ago.show(request.at);
        setText(local, clock(request.at));
      };
    } },
    { key: "status", label: "Answer", className: "status-cell", make: (cell) => (request) => rebuild(cell, [request.status, request.ended, request.why_kept], () => outcome(request)) },
    { key: "request", label: "Request", isHeader: true, className: "request-cell", make: (cell) => {
      const [anchor, below] = [h("a", {}), h("span", { class: "below" })];
      cell.append(anchor, below);
      return (request) => {
        setText(anchor, `${request.method} ${request.target}`);
        anchor.href = link(["requests", request.id]);
        anchor.title = anchor.textContent;
        setText(below, [request.host, request.reason].filter(Boolean).join(" · "));
        below.title = below.textContent;
      };
    } },
    { key: "duration", label: "Took", numeric: true, sort: (request) => request.duration_ms, text: (request) => ms(request.duration_ms) },
    { key: "tries", label: "Tries", numeric: true, className: "medium-only", sort: (request) => request.tries, text: (request) => count(request.tries) },
    { key: "route", label: "Route", className: "wide-only", text: (request) => request.route ?? "–" },
    { key: "server", label: "Server", className: "medium-only", make: (cell) => (request) => rebuild(cell, [request.pool, request.server], () => place(request)) },
  ];
}

/** The status, or how a request without an answer ended; whether it failed, the recorder says. */
export function outcome({ status, ended, why_kept: kept }) {
  const isFailed = kept === "failed";
  const severity = isFailed ? "critical" : status >= 400 ? "warning" : "good";
  return h("span", { class: "badge is-" + severity }, icon(isFailed ? "down" : status >= 400 ? "warning" : "up"),
    h("span", {}, status > 0 ? String(status) : ended.replaceAll("_", " ")));
}

function place({ pool, server }) {
  if (!pool) return h("span", { class: "quiet" }, "–");
  if (!server) return h("a", { href: link(["pools", pool]) }, pool);
  return [h("a", { href: link(["pools", pool, "servers", server]) }, server), h("span", { class: "below" }, pool)];
}
