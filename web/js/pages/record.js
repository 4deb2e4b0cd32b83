// One recorded request as a timeline: what the proxy did with it, when, and why.

import { explainFault, get } from "../api.js";
import { h } from "../dom.js";
import { clock, ms } from "../format.js";
import { icon } from "../icons.js";
import { facts, heading, notice, panel } from "../parts.js";
import { link } from "../router.js";
import { badge } from "../states.js";
import { outcome } from "./requests.js";

export const title = ([, id]) => `Request ${id}`;

export function open([, id]) {
  const body = h("div", { class: "stack", "aria-live": "polite" }, h("p", { class: "quiet" }, "Loading."));
  get("requests/" + encodeURIComponent(id)).then(
    (record) => body.replaceChildren(...show(record)),
    (fault) => body.replaceChildren(notice(fault.status === 404
      ? `No record of request ${id}: it was not kept, or newer ones took its place.` : explainFault(fault, "a record of requests"), "warning")),
  );
  const crumb = h("a", { class: "crumb", href: link(["requests"]) }, icon("back"), "Requests");
  return { element: [crumb, heading(`Request ${id}`), body] };
}

function show(record) {
  const { method, host, target, pool, server, duration_ms: took } = record;
  const summary = h("section", { class: "record-head" }, outcome(record), h("code", { class: "record-line" }, `${method} ${host ?? ""}${target}`),
    h("span", {}, "took ", h("strong", {}, ms(took))), record.reason ? h("span", { class: "record-reason" }, record.reason) : null);
  const closed = { client: "the client", server: "the server", proxy: "the proxy" }[record.closed_first];
  const rows = [
    ["When", clock(record.at)], ["Client", record.client], ["Listener", [record.listener, record.version].filter(Boolean).join(", ")],
    ["Route", record.route ?? "none"],
    pool ? ["Pool", h("a", { href: link(["pools", pool]) }, pool)] : null,
    server ? ["Server", h("a", { href: link(["pools", pool, "servers", server]) }, server)] : null,
    ["Tries", String(record.tries ?? 0)], ["Ended", record.ended ?? "–"], closed ? ["Closed first by", closed] : null,
    ["Kept because", record.why_kept ? `it ${{ failed: "failed", slow: "was slow", sampled: "is a sample" }[record.why_kept] ?? record.why_kept}` : "–"],
  ];
  const replay = link(["explain"], {
    method, url: `${record.scheme ?? "http"}://${host ?? "localhost"}${target}`, client: (record.client ?? "").replace(/:\d+$/, "").replace(/^\[|\]$/g, ""), listener: record.listener,
    headers: (record.headers ?? []).filter(([, value]) => value !== "(redacted)").map(([name, value]) => `${name}: ${value}`).join("\n"),
  });
  return [
    summary, panel("What happened", timeline(record), h("p", {}, h("a", { class: "button", href: replay }, icon("explain"), "Explain the same request now"))),
    h("div", { class: "columns" }, panel("Facts", facts(rows)), considered(record), nearly(record), headers(record)),
  ].filter(Boolean);
}

/** Each step with a bar from its beginning to the next one. */
function timeline({ steps = [], duration_ms: took }) {
  const end = Math.max(took ?? 0, ...steps.map(({ at_ms: at }) => at), 0.001);
  const rows = steps.map((step, index) => {
    const until = step.until_ms ?? (step.took_ms === undefined ? steps[index + 1]?.at_ms ?? end : step.at_ms + step.took_ms);
    const bar = h("span", { class: "bar kind-" + step.kind });
    bar.style.left = (step.at_ms / end) * 100 + "%";
    bar.style.width = Math.max(0.5, ((until - step.at_ms) / end) * 100) + "%";
    return h("tr", { class: "timeline-row" },
      h("td", { class: "numeric" }, ms(step.at_ms)), h("td", {}, h("span", { class: "kind kind-" + step.kind }, step.kind)),
      h("td", { class: "prose" }, step.what), h("td", { class: "timeline-cell medium-only", "aria-hidden": "true" }, h("span", { class: "timeline-track" }, bar)));
  });
  return h("table", { class: "table plain timeline" }, h("caption", { class: "hidden-text" }, "Steps of the request, from its first byte on"),
    h("thead", {}, h("tr", {}, h("th", { scope: "col", class: "numeric" }, "At"), h("th", { scope: "col" }, "Step"), h("th", { scope: "col" }, "What happened"),
      h("th", { scope: "col", class: "medium-only", "aria-hidden": "true" }, `0 to ${ms(end)}`))),
    h("tbody", {}, rows));
}

function considered({ candidates = [], server }) {
  if (candidates.length === 0) return null;
  const hasScores = candidates.some(({ score }) => score !== undefined && score !== null);
  return panel("Servers considered", h("table", { class: "table plain" }, h("caption", { class: "hidden-text" }, "Servers considered"),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Server"), h("th", { scope: "col" }, "State"), hasScores ? h("th", { scope: "col", class: "numeric" }, "Score") : null, h("th", { scope: "col" }, "Why"))),
    h("tbody", {}, candidates.map((it) => h("tr", { class: it.server === server ? "is-chosen" : "" }, h("th", { scope: "row" }, it.server),
      h("td", {}, it.state ? badge(it.state) : "–"), hasScores ? h("td", { class: "numeric" }, String(it.score ?? "–")) : null, h("td", { class: "prose" }, it.why ?? ""))))));
}

function nearly({ nearly: list = [] }) {
  if (list.length === 0) return null;
  return panel("Routes that nearly matched", h("ul", { class: "plain-list" }, list.map(({ route, why_not: why }) => h("li", {}, h("strong", {}, route), `: ${why}`))));
}

function headers({ headers: list = [] }) {
  if (list.length === 0) return null;
  return panel("Headers", h("table", { class: "table plain headers" }, h("caption", { class: "hidden-text" }, "Headers of the request"),
    h("thead", { class: "hidden-text" }, h("tr", {}, h("th", { scope: "col" }, "Name"), h("th", { scope: "col" }, "Value"))),
    h("tbody", {}, list.map(([name, value]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", { class: "mono prose" }, value))))));
}
