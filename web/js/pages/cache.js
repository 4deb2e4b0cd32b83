// The cache: how often it answers, what it holds, each route, and purging.

import { change, explainFault, get } from "../api.js";
import { confirm } from "../dialog.js";
import { h, rebuild } from "../dom.js";
import { bytes, count, percent, rate } from "../format.js";
import { heading, notice, panel, tile, tiles } from "../parts.js";
import { store } from "../store.js";
import { Table } from "../table.js";
import { toast } from "../toast.js";

const SCOPES = {
  url: { word: "one URL", hint: "https://shop.example.com/image.png" },
  prefix: { word: "all URLs that begin with", hint: "https://shop.example.com/images/" },
  host: { word: "a host", hint: "shop.example.com" },
  tag: { word: "a tag", hint: "product-17" },
  all: { word: "everything", hint: null },
};

export const title = () => "Cache";

export function open() {
  const figures = {
    ratio: tile("Hit ratio", "hit_ratio", { line: false, title: "Of the requests that the cache may answer, since the start" }),
    hits: tile("Hits/s", "hits"), misses: tile("Misses/s", "misses"),
    objects: tile("Responses kept", "objects", { line: false }), memory: tile("Memory", "memory_bytes", { line: false }),
    served: tile("Served", "served_bytes", { line: false }), disk: tile("Disk", "disk_bytes", { line: false }),
  };
  const table = new Table({ caption: "Routes with a cache", columns: columns(), rowKey: ({ name }) => name, empty: "No route with a cache has had a request yet." });
  const fault = h("div", {});
  const element = [
    heading("Cache"), fault, tiles("Figures of the cache", Object.values(figures)), panel("Routes", table.element), panel("Purge", purgeForm()),
  ];
  let fetched = null;
  const load = async () => {
    try {
      fetched = await get("cache");
      rebuild(fault, "", () => []);
    } catch (error) {
      rebuild(fault, error.message, () => notice(explainFault(error, "figures of its cache"), "warning"));
    }
    update();
  };

  function update() {
    const cache = store.status?.cache ?? fetched;
    if (!cache) return;
    figures.ratio.show(percent(cache.hit_ratio));
    for (const key of ["hits", "misses"]) figures[key].show(rate(store.point?.cache?.[key]), store.points.map((point) => point.cache?.[key] ?? 0));
    figures.objects.show(count(cache.objects));
    figures.memory.show(bytes(cache.memory_bytes), null, null, `Memory, of ${bytes(cache.memory_limit_bytes)}`);
    figures.served.show(bytes(cache.served_bytes));
    figures.disk.element.hidden = !cache.disk;
    if (cache.disk) figures.disk.show(bytes(cache.disk.bytes), null, null, `Disk, of ${bytes(cache.disk.limit_bytes)}`);
    table.show(cache.routes);
  }
  load();
  return { element, update, close: () => table.close() };
}

function columns() {
  const requests = (route) => Object.values(route.requests).reduce((sum, number) => sum + number, 0);
  return [
    { key: "name", label: "Route", isHeader: true, sort: (route) => route.name, text: (route) => route.name },
    { key: "hit_ratio", label: "Hit ratio", numeric: true, sort: (route) => route.hit_ratio, text: (route) => percent(route.hit_ratio) },
    { key: "requests", label: "Requests", numeric: true, sort: requests, text: (route) => count(requests(route)) },
    { key: "served", label: "Served", numeric: true, sort: (route) => route.served_bytes, text: (route) => bytes(route.served_bytes) },
    { key: "stored", label: "Stored", numeric: true, className: "medium-only", sort: (route) => route.stored, text: (route) => count(route.stored) },
    { key: "coalesced", label: "Coalesced", numeric: true, className: "wide-only", title: "Requests that were sent what another request was fetching", sort: (route) => route.coalesced, text: (route) => count(route.coalesced) },
  ];
}

function purgeForm() {
  const value = h("input", { type: "text", class: "input wide", autocomplete: "off", spellcheck: "false", required: true, "aria-label": "What to purge" });
  const scope = h("select", { class: "input", "aria-label": "Kind of purge" }, Object.entries(SCOPES).map(([key, { word }]) => h("option", { value: key }, word)));
  const soft = h("input", { type: "checkbox" });
  const show = () => {
    const { hint } = SCOPES[scope.value];
    value.hidden = hint === null;
    value.required = hint !== null;
    value.placeholder = hint ?? "";
  };
  scope.addEventListener("change", show);
  show();
  return h("form", { class: "form-row", on: { submit: (event) => {
    event.preventDefault();
    ask(scope.value, value.value.trim(), soft.checked);
  } } }, h("span", {}, "Purge"), scope, value,
  h("label", { class: "toggle", title: "Keep the responses, but revalidate each with the server before its next use" }, soft, h("span", {}, "soft")),
  h("button", { type: "submit", class: "button danger" }, "Purge"));
}

async function ask(scope, value, soft) {
  const body = { [scope]: scope === "all" ? true : value };
  if (soft) body.soft = true;
  const what = scope === "all" ? "every response" : `${SCOPES[scope].word}: ${value}`;
  const then = soft ? "The responses stay, and the proxy revalidates each with the server before its next use." : "The proxy fetches each response again at the next request for it.";
  const done = await confirm({
    title: "Purge the cache", says: `Purge ${what}. ${then} This cannot be undone.`, action: "Purge", danger: true,
    submit: (why) => change("POST", "cache/purge", body, why),
  });
  if (done !== null) toast(`Purged ${done.scope === "all" ? "everything" : done.purged}${soft ? ", softly" : ""}: ${done.outcome}.`);
}
