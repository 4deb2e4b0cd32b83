// Where a request would go, and why: the process answers with the functions that its data path uses.

import { change, explainFault } from "../api.js";
import { h } from "../dom.js";
import { count, ms } from "../format.js";
import { icon } from "../icons.js";
import { facts, heading, notice, panel } from "../parts.js";
import { link, query, setQuery } from "../router.js";
import { badge } from "../states.js";
import { store } from "../store.js";

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
/** Parts of an answer that have a place of their own. */
const PLACED = new Set(["listener", "host", "path", "route", "pool", "server", "address", "status", "location", "reason", "considered", "others", "candidates", "other_candidates"]);

export const title = () => "Explain";

export function open() {
  const given = query();
  const field = (name, attributes) => h("input", { type: "text", class: "input", name, autocomplete: "off", spellcheck: "false", value: given.get(name) ?? "", ...attributes });
  const method = h("select", { class: "input", "aria-label": "Method" }, METHODS.map((word) => h("option", { value: word, selected: word === (given.get("method") ?? "GET") }, word)));
  const url = field("url", { class: "input grow", "aria-label": "URL", placeholder: "https://shop.example.com/api/cart?page=2", required: true, "data-filter": true, value: given.get("url") ?? "" });
  const client = field("client", { placeholder: "127.0.0.1" });
  const listener = h("select", { class: "input" });
  const headers = h("textarea", { class: "input grow mono", rows: "3", spellcheck: "false", placeholder: "x-canary: 1" });
  headers.value = given.get("headers") ?? "";
  const answer = h("div", { class: "answer", "aria-live": "polite" });
  const submit = h("button", { type: "submit", class: "button primary" }, "Explain");

  const run = async () => {
    setQuery({ method: method.value, url: url.value, client: client.value, listener: listener.value, headers: headers.value });
    const body = { method: method.value, url: url.value.trim(), headers: parseHeaders(headers.value) };
    if (client.value.trim() !== "") body.client = client.value.trim();
    if (listener.value !== "") body.listener = listener.value;
    submit.disabled = true;
    try {
      answer.replaceChildren(...show(await change("POST", "explain", body), body));
    } catch (fault) {
      answer.replaceChildren(fault.status === 404 ? notice(explainFault(fault, "explanations"), "warning") : h("pre", { class: "fault", role: "alert" }, fault.message));
    }
    submit.disabled = false;
  };
  const form = h("form", { class: "explain-form", on: { submit: (event) => {
    event.preventDefault();
    run();
  } } },
  h("div", { class: "form-row" }, method, url, submit),
  h("div", { class: "form-row" },
    h("label", { class: "field grow" }, h("span", {}, "Headers, one a line"), headers),
    h("div", { class: "stack tight" },
      h("label", { class: "field" }, h("span", {}, "Client's address"), client),
      h("label", { class: "field" }, h("span", {}, "Listener"), listener))));

  let names = null;
  const update = () => {
    const found = (store.status?.listeners ?? []).map(({ name }) => name);
    if (names === found.join() || store.status === null) return;
    names = found.join();
    const wanted = listener.value || given.get("listener") || "";
    listener.replaceChildren(h("option", { value: "" }, "the first that fits"), ...found.map((name) => h("option", { value: name, selected: name === wanted }, name)));
  };
  listener.append(h("option", { value: given.get("listener") ?? "" }, given.get("listener") || "the first that fits"));
  if (given.get("url")) run();
  return { element: [heading("Explain"), panel(null, h("p", { class: "quiet" }, "Type a request. No request is sent: the process says where it would go now, and why."), form), answer], update };
}

/** `name: value` lines as an object; the values of a header that comes twice are a list. */
function parseHeaders(text) {
  const headers = {};
  for (const line of text.split("\n")) {
    const colon = line.indexOf(":");
    if (colon <= 0) continue;
    const [name, value] = [line.slice(0, colon).trim(), line.slice(colon + 1).trim()];
    headers[name] = name in headers ? [headers[name], value].flat() : value;
  }
  return headers;
}

function show(found, asked) {
  return [verdict(found, asked), steps(found), candidates(found), considered(found), more(found)].filter(Boolean);
}

/** One sentence that says how it ends. */
function verdict(found, { method, url }) {
  const bad = found.status >= 400;
  const end = found.server
    ? ["goes to server ", h("strong", {}, found.server), found.address && found.address !== found.server ? ` (${found.address})` : "", " of pool ", h("strong", {}, found.pool)]
    : found.location ? [`is answered ${found.status} to `, h("strong", {}, found.location)]
      : found.status ? ["is answered ", h("strong", {}, String(found.status))]
        : found.file ? ["is answered with the file ", h("strong", {}, found.file)]
          : found.pool ? ["goes to pool ", h("strong", {}, found.pool)] : ["has no answer"];
  const why = found.reason ? [", because: ", h("span", {}, found.reason)] : "";
  return h("section", { class: "verdict is-" + (bad ? "critical" : "good") }, icon(bad ? "down" : "up"),
    h("p", {}, h("code", {}, `${method} ${url}`), " ", end, why, "."));
}

function steps({ listener, host, path, route, pool, server, address, status }) {
  const step = (name, value, href) => value === undefined || value === null ? null
    : h("li", { class: "step" }, h("span", { class: "step-name" }, name), href ? h("a", { href }, value) : h("span", { class: "step-value" }, value));
  return h("ol", { class: "steps", "aria-label": "The way of the request" },
    step("listener", listener), step("host", host === "" ? "none" : host), step("path", path), step("route", route),
    step("pool", pool, pool ? link(["pools", pool]) : null),
    step("server", server, server ? link(["pools", pool, "servers", server]) : null),
    address !== server ? step("address", address) : null,
    server ? null : step("status", status === undefined || status === null ? null : String(status)));
}

function candidates({ candidates: list, other_candidates: others, server }) {
  if (!list?.length) return null;
  const rows = list.map((candidate) => {
    const isIt = candidate.server === server;
    return h("tr", { class: isIt ? "is-chosen" : "" },
      h("th", { scope: "row" }, candidate.server, isIt ? h("span", { class: "chosen" }, "chosen") : null), h("td", {}, candidate.state ? badge(candidate.state) : "–"),
      h("td", { class: "numeric" }, count(candidate.in_flight)), h("td", { class: "numeric medium-only" }, ms(candidate.latency_ms)),
      h("td", { class: "prose" }, candidate.why ?? ""));
  });
  return panel("Servers considered", h("table", { class: "table plain" }, h("caption", { class: "hidden-text" }, "Servers considered, and why each was or was not chosen"),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Server"), h("th", { scope: "col" }, "State"), h("th", { scope: "col", class: "numeric" }, "In flight"), h("th", { scope: "col", class: "numeric medium-only" }, "Latency"), h("th", { scope: "col" }, "Why"))),
    h("tbody", {}, rows)), others ? h("p", { class: "quiet" }, `and ${others} more`) : null);
}

function considered({ considered: rows, others }) {
  if (!rows?.length) return null;
  const mark = { won: ["up", "good"], "less specific": ["info", "info"], refused: ["down", "paused"] };
  return panel("Routes considered, the most specific first", h("table", { class: "table plain" },
    h("caption", { class: "hidden-text" }, "Routes considered, the most specific first"),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Route"), h("th", { scope: "col" }, "Verdict"), h("th", { scope: "col" }, "Why"))),
    h("tbody", {}, rows.map((row) => {
      const [picture, severity] = mark[row.verdict] ?? mark.refused;
      return h("tr", { class: row.verdict === "won" ? "is-chosen" : "" }, h("th", { scope: "row" }, row.route),
        h("td", {}, h("span", { class: "badge is-" + severity }, icon(picture), row.verdict)), h("td", { class: "prose" }, row.reason ?? ""));
    }))),
  others ? h("p", { class: "quiet" }, `and ${others} more, which match less of the request`) : null);
}

/** All else that the process says. */
function more(found) {
  const rows = Object.entries(found).filter(([key, value]) => !PLACED.has(key) && value !== null && value !== undefined)
    .map(([key, value]) => [key.replaceAll("_", " "), typeof value === "string" || typeof value === "number" ? String(value) : JSON.stringify(value)]);
  return rows.length > 0 ? panel("What applies to it", facts(rows)) : null;
}
