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
      ? `${fault.message.slice(0, 1).toUpperCase()}${fault.message.slice(1)}.` : explainFault(fault, "a record of requests"), "warning")),
  );
  const crumb = h("a", { class: "crumb", href: link(["requests"]) }, icon("back"), "Requests");
  return { element: [crumb, heading(`Request ${id}`), body] };
}

function show(record) {
  const { method, host, target, pool, server, duration_ms: took } = record;
  const summary = h("section", { class: "record-head" }, outcome(record), h("code", { class: "record-line" }, `${method} ${host}${target}`),
    h("span", {}, "took ", h("strong", {}, ms(took))),
    record.verdict ? h("p", { class: "record-verdict" }, record.verdict) : null,
    record.reason ? h("p", { class: "record-reason" }, record.reason) : null, record.look_at ? h("p", { class: "record-reason" }, `Look at: ${record.look_at}`) : null);
  const closed = { client: "the client", server: "the server", proxy: "the proxy" }[record.closed_first];
  const rows = [
    ["When", clock(record.at)], ["Client", [record.client, record.client_port].filter(Boolean).join(" port ")], ["Listener", [record.listener, record.scheme, record.version].filter(Boolean).join(", ")],
    ["Route", record.route ?? "none"],
    pool ? ["Pool", h("a", { href: link(["pools", pool]) }, pool)] : null,
    server ? ["Server", h("a", { href: link(["pools", pool, "servers", server]) }, server)] : null,
    ["Tries", String(record.tries)], ["Ended", record.ended.replaceAll("_", " ")],
    record.wait_ms > 0 ? ["Waited", ms(record.wait_ms)] : null, record.first_byte_ms ? ["First byte of the server", `after ${ms(record.first_byte_ms)}`] : null, closed ? ["Closed first by", closed] : null,
    ["Kept because", record.why_kept ? `it ${{ failed: "failed", retried: "was sent to more than one server", slow: "was slow", sampled: "is one of the sample" }[record.why_kept] ?? record.why_kept}` : "–"],
  ];
  const replay = link(["explain"], {
    method, url: `${record.scheme}://${host}${target}`, client: record.client === "unix" ? "" : record.client, listener: record.listener,
    headers: record.headers.filter(([name, value]) => value !== "(redacted)" && name.toLowerCase() !== "host").map(([name, value]) => `${name}: ${value}`).join("\n"),
  });
  return [
    summary, panel("What happened", timeline(record), h("p", {}, h("a", { class: "button", href: replay }, icon("explain"), "Explain the same request now"))),
    h("div", { class: "columns" }, panel("Facts", facts(rows)), considered(record), nearly(record.nearest?.length > 0 ? record.nearest : record.nearly), headers(record)),
  ].filter(Boolean);
}

/** Each step with a bar for as long as it took, or a mark where it took no time. */
function timeline({ steps, duration_ms: took, steps_left_out: more }) {
  const end = Math.max(took, ...steps.map(({ at_ms: at }) => at), 0.001);
  const rows = steps.map((step) => {
    const bar = h("span", { class: "bar kind-" + step.kind });
    const from = Math.max(0, step.at_ms - (step.took_ms ?? 0));
    bar.style.left = Math.min(99.2, (from / end) * 100) + "%";
    bar.style.width = Math.max(0.8, ((step.at_ms - from) / end) * 100) + "%";
    return h("tr", { class: "timeline-row" },
      h("td", { class: "numeric" }, ms(step.at_ms)), h("td", {}, h("span", { class: "kind kind-" + step.kind }, step.kind)),
      h("td", { class: "prose" }, step.what, step.took_ms ? h("span", { class: "quiet" }, ` took ${ms(step.took_ms)}`) : null), h("td", { class: "timeline-cell medium-only", "aria-hidden": "true" }, h("span", { class: "timeline-track" }, bar)));
  });
  return h("table", { class: "table plain timeline" }, h("caption", { class: "hidden-text" }, "Steps of the request, from its first byte on"),
    h("thead", {}, h("tr", {}, h("th", { scope: "col", class: "numeric" }, "At"), h("th", { scope: "col" }, "Step"), h("th", { scope: "col" }, "What happened"),
      h("th", { scope: "col", class: "medium-only", "aria-hidden": "true" }, `0 to ${ms(end)}`))),
    h("tbody", {}, rows, more > 0 ? h("tr", {}, h("td"), h("td", { colspan: 2, class: "quiet" }, `and ${more} more steps`)) : null));
}

function considered({ candidates = [], server }) {
  if (candidates.length === 0) return null;
  const hasScores = candidates.some(({ score }) => score !== undefined && score !== null);
  return panel("Servers considered", h("table", { class: "table plain" }, h("caption", { class: "hidden-text" }, "Servers considered"),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Server"), h("th", { scope: "col" }, "State"), hasScores ? h("th", { scope: "col", class: "numeric" }, "Score") : null, h("th", { scope: "col" }, "Why"))),
    h("tbody", {}, candidates.map((it) => h("tr", { class: it.server === server ? "is-chosen" : "" }, h("th", { scope: "row" }, it.server),
      h("td", {}, it.state ? badge(it.state) : "–"), hasScores ? h("td", { class: "numeric" }, String(it.score ?? "–")) : null, h("td", { class: "prose" }, it.why ?? ""))))));
}

function nearly(list = []) {
  if (list.length === 0) return null;
  return panel("Routes that nearly matched", h("ul", { class: "plain-list" }, list.map(({ route, why_not: why }) => h("li", {}, h("strong", {}, route), `: ${why}`))));
}

function headers({ headers: list = [] }) {
  if (list.length === 0) return null;
  return panel("Headers", h("table", { class: "table plain headers" }, h("caption", { class: "hidden-text" }, "Headers of the request"),
    h("thead", { class: "hidden-text" }, h("tr", {}, h("th", { scope: "col" }, "Name"), h("th", { scope: "col" }, "Value"))),
    h("tbody", {}, list.map(([name, value]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", { class: "mono prose" }, value))))));
}
