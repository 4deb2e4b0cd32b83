// What a page shows, cell by cell, and what it must show for a tick of `/live`: written by the rules of docs/dashboard.md, without the
// code of the page.

import assert from "node:assert/strict";

import { until } from "./browser.mjs";

/** Ticks for which the page is compared, one after the other: the figures of a busy process differ from one to the next. */
const TICKS = 3;

/** Runs in the page before its own code: keeps the newest tick that the page's own stream brings it. */
export function noteTicks() {
  const fetched = window.fetch;
  window.newestTick = null;
  const note = async (body) => {
    let rest = "";
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const messages = (rest + value).split("\n\n");
      rest = messages.pop();
      for (const message of messages) {
        const [, kind, data] = /^event: ?(\w+)\ndata: ?(.*)$/m.exec(message) ?? [];
        if (kind === "tick") window.newestTick = JSON.parse(data);
      }
    }
  };
  window.fetch = async (...request) => {
    const response = await fetched(...request);
    if (!response.ok || new URL(response.url).pathname !== "/live") return response;
    const [theirs, ours] = response.body.tee();
    note(ours).catch(() => {});
    return new Response(theirs, { status: response.status, headers: response.headers });
  };
}

/** Runs in the page: the newest tick, and the texts that can be seen of tiles, of tables by caption, row and column, and of facts. */
function snapshot() {
  const text = (element) => element.innerText.replace(/\s+/g, " ").trim();
  const main = document.getElementById("main");
  const tiles = Object.fromEntries([...main.querySelectorAll("[data-tile]")].filter((tile) => tile.offsetParent !== null).map((tile) => [tile.dataset.tile, text(tile)]));
  const tables = Object.fromEntries([...main.querySelectorAll("table")].map((table) => {
    const columns = [...table.querySelectorAll("thead th")].map((head) => /key-(\w+)/.exec(head.className)[1]);
    const rows = [...table.querySelectorAll("tbody tr[data-key]")].map((row) => [row.dataset.key, Object.fromEntries([...row.cells].map((cell, at) => [columns[at], text(cell)]))]);
    return [table.caption.textContent, Object.fromEntries(rows)];
  }));
  const facts = Object.fromEntries([...main.querySelectorAll(".facts > div")].map((fact) => [text(fact.querySelector("dt")), text(fact.querySelector("dd"))]));
  return { tick: window.newestTick, shown: { tiles, tables, facts, summary: [...main.querySelectorAll(".problems-none .quiet, .pool-state, .server-state")].map(text).join() } };
}

/** Waits until the page shows exactly `wanted(tick, shown)`, the parts of `shown` that it gives, of several ticks one after the other. */
export async function shows(page, wanted) {
  for (let [count, last] = [0, 0]; count < TICKS; count += 1) {
    last = await until(async () => {
      const { tick, shown } = await page.evaluate(snapshot);
      if (tick === null || tick.at <= last) return false;
      const parts = wanted(tick, shown);
      assert.deepEqual(Object.fromEntries(Object.keys(parts).map((part) => [part, shown[part]])), parts);
      return tick.at;
    }, `${page.url()} shows the figures of a tick`);
  }
}

const NONE = "–";
const digits = (value, places) => value.toLocaleString("en", { minimumFractionDigits: places, maximumFractionDigits: places });
const present = (write) => (value) => (value === null || value === undefined ? NONE : write(value));

export const count = present((value) => digits(value, 0));
/** One place below 10. */
export const rate = present((value) => (value === 0 ? "0" : value < 0.1 ? "< 0.1" : digits(value, value < 9.95 ? 1 : 0)));
/** Two places below 1 %, one below 10 %. */
export const percent = present((value) => {
  if (value === 0) return "0 %";
  return value < 0.0001 ? "< 0.01 %" : `${digits(value * 100, value < 0.01 ? 2 : value < 0.0995 ? 1 : 0)} %`;
});
/** Two places below 1 ms, one below 10 ms; seconds from 1,000 ms on. */
export const ms = present((value) => {
  if (value === 0) return "0 ms";
  if (value >= 999.5) return `${digits(value / 1000, value < 9950 ? 2 : 1)} s`;
  return `${digits(value, value < 0.995 ? 2 : value < 9.95 ? 1 : 0)} ms`;
});
export const bytes = present((value) => {
  const power = value < 1024 ? 0 : [1, 2, 3, 4].find((it) => value / 1024 ** it < 1023.5);
  const shown = value / 1024 ** power;
  return `${digits(shown, power > 0 && shown < 9.95 ? 1 : 0)} ${["B", "KiB", "MiB", "GiB", "TiB"][power]}`;
});
/** Of less than an hour. */
const duration = (seconds) => (seconds < 60 ? `${Math.floor(seconds)} s` : `${Math.floor(seconds / 60)} min`);

/** Errors of all requests. */
const errors = ({ errors: failed, rps }) => percent(rps > 0 ? Math.min(1, failed / rps) : 0);
const latencies = ({ p50, p95, p99 }) => ({ p50: ms(p50), p95: ms(p95), p99: ms(p99) });
const figures = (now) => ({ rps: rate(now.rps), errors: errors(now), ...latencies(now) });
const byKey = (list, key, row) => Object.fromEntries(list.map((it) => [it[key], row(it)]));
/** `3 up`, or `2 up 1 down`, the worst first. */
const states = (servers) => {
  const order = ["down", "ejected", "unfit", "starting", "draining", "disabled", "up"];
  return order.map((state) => [servers.filter((server) => server.state === state).length, state]).filter(([number]) => number > 0).map(([number, state]) => `${number} ${state}`).join(" ");
};

const pools = ({ status }) => byKey(status.pools, "name", ({ name, algorithm, servers, now }) => (
  { name: `${name} ${algorithm}`, servers: states(servers), ...figures(now), in_flight: count(now.in_flight) }));

const listeners = ({ status }) => byKey(status.listeners, "name", ({ name, addresses, now, streams }) => (
  { name: `${name} ${addresses.join(", ")}`, tls: "no TLS", rps: rate(now.rps), errors: errors(now), open: count(streams?.open) }));

/** The first page. */
export function overview(tick) {
  const { now, requests_in_flight: inFlight, connections, totals, pools: all } = tick.status;
  const servers = all.flatMap((pool) => pool.servers);
  const up = servers.filter(({ state }) => state === "up").length;
  return {
    tiles: { ...figures(now), in_flight: count(inFlight), connections: count(connections) },
    tables: { Pools: pools(tick), Listeners: listeners(tick) },
    summary: `${up} of ${servers.length} servers up in ${all.length} pools, ${count(totals.requests)} requests since the start`,
  };
}

/** The page of all pools. */
export const allPools = (tick) => ({ tables: { Pools: pools(tick) } });

/** The page of one pool; what a row's buttons are called is compared elsewhere. */
export const onePool = (name) => ({ status }, { tables }) => {
  const { now, servers } = status.pools.find((pool) => pool.name === name);
  const caption = `Servers of pool ${name}`;
  const rows = byKey(servers, "id", (server) => ({
    state: `${server.state} for ${duration(server.since_seconds)}`, id: `${server.id} ${server.address} ${server.reason}`,
    share: percent(now.rps > 0 ? server.now.rps / now.rps : server.share), ...figures(server.now), in_flight: count(server.in_flight),
    weight: count(server.weight), actions: tables[caption]?.[server.id]?.actions,
  }));
  return { tiles: { ...figures(now), in_flight: count(now.in_flight) }, tables: { [caption]: rows }, summary: states(servers) };
};

/** The page of one server; the times of day are left out. */
export const oneServer = (name, id) => ({ status }, { facts }) => {
  const server = status.pools.find((pool) => pool.name === name).servers.find((it) => it.id === id);
  const { now, check, latency_ms: since } = server;
  const timeOfDay = (fact) => / (at|since) [^,]*$/.exec(facts[fact])?.[0];
  return {
    tiles: { ...figures(now), in_flight: count(server.in_flight) },
    summary: `${server.state} ${server.reason}`,
    facts: {
      Address: server.address, "In this state": `for ${duration(server.since_seconds)},${timeOfDay("In this state")}`,
      "Last check": `${check.answer} after ${ms(check.latency_ms)},${timeOfDay("Last check")}`, "Last failures": "none", Weight: count(server.weight),
      "Since the start": `${count(server.requests)} requests, ${count(server.errors)} errors, ${percent(server.share)} of the pool`,
      "Latency since the start": `p50 ${ms(since.p50)}, p95 ${ms(since.p95)}, p99 ${ms(since.p99)}`,
      "Idle connections": count(server.connections_idle), Origin: "configuration",
    },
  };
};

/** The page of the cache. */
export function cachePage({ status, point }) {
  const { cache } = status;
  const requests = (route) => Object.values(route.requests).reduce((sum, number) => sum + number, 0);
  return {
    tiles: {
      hit_ratio: percent(cache.hit_ratio), hits: rate(point.cache.hits), misses: rate(point.cache.misses), objects: count(cache.objects),
      memory_bytes: bytes(cache.memory_bytes), served_bytes: bytes(cache.served_bytes),
    },
    tables: { "Routes with a cache": byKey(cache.routes, "name", (route) => ({
      name: route.name, hit_ratio: percent(route.hit_ratio), requests: count(requests(route)), served: bytes(route.served_bytes), stored: count(route.stored),
      coalesced: count(route.coalesced),
    })) },
  };
}
