// Made-up figures of a proxy, the same for the same seed: what the dashboard shows when no real process can show it, such as 1,000
// servers, many problems or a stalled stream.

const HISTORY_S = 300;

/** Numbers from 0 to 1 (mulberry32). */
function random(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

const round = (value, digits = 1) => Number(value.toFixed(digits));

/** A proxy with `servers` servers in its largest pool. */
export class Figures {
  #random;
  #started = Date.now() / 1000 - 86_400 * 3;
  #seq = 0;
  points = [];
  events = [];
  generation = 4;
  pid = 4711;
  /** When the configuration goes back, in seconds since the Unix epoch. */
  awaiting = null;

  constructor({ servers = 4, calm = false, seed = 7 } = {}) {
    this.#random = random(seed);
    this.calm = calm;
    this.pools = [this.#pool("api", servers, 1200, 9), this.#pool("web", 3, 640, 22), this.#pool("images", 2, 90, 60)];
    if (!calm) {
      Object.assign(this.pools[0].servers[2], { state: "down", reason: "check failed: connection refused", since: Date.now() / 1000 - 214 });
      Object.assign(this.pools[0].servers[3] ?? {}, { state: "draining", reason: "an operator drains it", since: Date.now() / 1000 - 65 });
      Object.assign(this.pools[1].servers[1], { state: "ejected", reason: "3 failures within 30 s: answered 502; out for 30s", since: Date.now() / 1000 - 12 });
    }
    const now = Math.floor(Date.now() / 1000);
    for (let at = now - HISTORY_S + 1; at <= now; at += 1) this.points.push(this.#point(at));
    this.#firstEvents(now);
  }

  #pool(name, count, rps, latency) {
    const servers = Array.from({ length: count }, (_, index) => ({
      id: `${name}-${index + 1}`, address: `10.0.${Math.floor(index / 250)}.${(index % 250) + 1}:3000`, state: "up", reason: "first check passed",
      since: Date.now() / 1000 - 7200 - index, weight: 1, requests: 120_000 + index * 17, errors: index % 3, speed: 0.7 + this.#random() * 0.6,
    }));
    return { name, rps, latency, servers };
  }

  #point(at) {
    const wave = 1 + 0.22 * Math.sin(at / 47) + 0.08 * Math.sin(at / 11) + (this.#random() - 0.5) * 0.08;
    const spike = !this.calm && at % 140 > 122 ? 3.2 : 1;
    const pools = {};
    for (const pool of this.pools) {
      const rps = round(pool.rps * wave);
      const base = pool.latency * (0.9 + this.#random() * 0.2) * spike;
      pools[pool.name] = {
        rps, errors: round(this.calm ? 0 : rps * (pool.name === "web" ? 0.018 : 0.0006) * spike), p50: round(base * 0.4, 2), p95: round(base, 2),
        p99: round(base * 2.1, 2), in_flight: Math.round((rps * base) / 1500),
      };
    }
    const sum = (key) => round(Object.values(pools).reduce((total, pool) => total + pool[key], 0));
    const listeners = { web: { rps: round(sum("rps") * 0.2), errors: 0 }, secure: { rps: round(sum("rps") * 0.8), errors: sum("errors") } };
    return {
      at, rps: sum("rps"), errors: sum("errors"), p50: pools.api.p50, p95: pools.api.p95, p99: pools.api.p99, in_flight: sum("in_flight"),
      connections: 840 + Math.round(60 * wave), pools, listeners, cache: { hits: round(140 * wave), misses: round(18 * wave) },
    };
  }

  /** Moves on to this second. */
  tick() {
    const at = Math.floor(Date.now() / 1000);
    if (at > this.points.at(-1).at) this.points.push(this.#point(at));
    if (this.points.length > HISTORY_S) this.points.shift();
    const point = this.points.at(-1);
    return { at: Date.now() / 1000, point, status: this.status(), problems: this.problems() };
  }

  status() {
    const point = this.points.at(-1);
    const now = Date.now() / 1000;
    return {
      version: "0.1.0", pid: this.pid, uptime_seconds: now - this.#started, generation: this.generation, leaving: false,
      ...(this.awaiting === null ? {} : { awaiting_confirmation: { seconds_left: this.awaiting - now, generation_before: this.generation - 1 } }), connections: point.connections,
      requests_in_flight: point.in_flight, listeners: this.#listeners(point), pools: this.pools.map((pool) => this.#poolStatus(pool, point, now)),
      totals: { requests: 482_113_904, errors: 1207, latency_ms: { p50: 4.1, p95: 11.2, p99: 24.8 } }, now: { ...point, pools: undefined }, overload: { memory: 0, descriptors: 0, delay: 0 },
      cache: this.cache(),
    };
  }

  #listeners(point) {
    const certificates = [{
      cert: "certs/shop.pem", names: ["shop.example.com", "*.shop.example.com"], expires: "2026-12-08T00:00:00Z", days_left: this.calm ? 61 : 9,
      ...(this.calm ? {} : { warning: "expires in 9 days" }),
    }];
    return [
      { name: "web", addresses: ["[::]:80"], now: { ...point.listeners.web } },
      { name: "secure", addresses: ["[::]:443"], tls: { certificates }, now: { ...point.listeners.secure } },
    ];
  }

  #poolStatus(pool, point, now) {
    const figures = point.pools[pool.name];
    const usable = pool.servers.filter(({ state, weight }) => state === "up" && weight > 0);
    const weights = usable.reduce((sum, { weight }) => sum + weight, 0);
    const servers = pool.servers.map(({ since, speed, ...server }) => {
      const part = usable.some(({ id }) => id === server.id) ? server.weight / weights : 0;
      return {
        ...server, origin: "configuration", since_seconds: now - since, effective_weight: server.weight, backup: false,
        in_flight: Math.round(figures.in_flight * part), share: round(1 / pool.servers.length, 4), latency_ms: { p50: 4, p95: 11, p99: 25 }, connections_idle: 3,
        now: {
          rps: round(figures.rps * part), errors: round(figures.errors * part, 2), p50: part > 0 ? round(figures.p50 * speed, 2) : null,
          p95: part > 0 ? round(figures.p95 * speed, 2) : null, p99: part > 0 ? round(figures.p99 * speed, 2) : null, in_flight: Math.round(figures.in_flight * part),
        },
        check: { at: now - 2, passed: server.state !== "down", answer: server.state === "down" ? "connection refused" : "passed", latency_ms: 1.2 },
        failures: server.state === "up" ? [] : [{ at: now - 14, what: "connection refused", times: 17 }, { at: now - 190, what: "connection reset", times: 2 }],
      };
    });
    return {
      name: pool.name, algorithm: "least-connections", usable: usable.length, panic: false, requests: 1_200_400, errors: 312, share: 0.4,
      latency_ms: { p50: 4, p95: 11, p99: 25 }, servers, now: { ...figures },
    };
  }

  problems() {
    if (this.calm) return [];
    const sick = this.pools.flatMap((pool) => pool.servers.filter(({ state }) => state === "down" || state === "ejected").map((server) => ({
      severity: "critical", what: `Server ${server.id} of pool ${pool.name} is ${server.state}: ${server.reason}.`, since: server.since, kind: "health", pool: pool.name, server: server.id,
    })));
    const certificate = { severity: "warning", what: "The certificate of shop.example.com expires in 9 days.", since: Date.now() / 1000 - 86_400, kind: "certificate", listener: "secure" };
    const errors = { severity: "critical", what: "1.8 % of the requests of pool web failed in the last 10 s.", since: Date.now() / 1000 - 41, kind: "errors", pool: "web" };
    return [...sick, errors, certificate];
  }

  cache() {
    const route = (name, ratio, requests) => ({
      name, hit_ratio: ratio, requests: { hit: Math.round(requests * ratio), miss: Math.round(requests * (1 - ratio)) }, coalesced: 412,
      served_bytes: requests * 9100, stored: Math.round(requests * 0.1), past_parents: 0, fetches: 1,
    });
    return {
      memory_bytes: 412_000_000, memory_limit_bytes: 536_870_912, fetching_bytes: 120_000, objects: 18_204, evictions: 992, purged_objects: 17,
      disk: { bytes: 3_200_000_000, limit_bytes: 10_737_418_240, objects: 120_412, written: 140_000, read: 90_000, failures: 0 },
      ...route("all", 0.884, 9_100_000), routes: [route("images", 0.961, 7_000_000), route("catalogue", 0.62, 2_100_000)],
    };
  }

  event(kind, severity, what, more = {}) {
    this.#seq += 1;
    const event = { seq: this.#seq, at: more.at ?? Date.now() / 1000, kind, severity, what, ...more };
    this.events.unshift(event);
    this.events.length = Math.min(this.events.length, 1000);
    return event;
  }

  #firstEvents(now) {
    const add = (ago, kind, severity, what, more) => this.event(kind, severity, what, { at: now - ago, ...more });
    add(9000, "reload", "info", "The configuration was reloaded: generation 4.", { who: "anna" });
    add(7200, "health", "info", "Server api-1 of pool api is up: first check passed.", { pool: "api", server: "api-1" });
    add(4000, "breaker", "warning", "The circuit breaker of pool images opened: 5 of 10 requests failed.", { pool: "images" });
    add(3990, "breaker", "info", "The circuit breaker of pool images closed.", { pool: "images" });
    if (this.calm) return;
    add(214, "health", "critical", "Server api-3 of pool api is down: check failed: connection refused.", { pool: "api", server: "api-3" });
    add(65, "operator", "info", "Server api-4 of pool api is draining.", { pool: "api", server: "api-4", who: "anna", why: "new kernel" });
    add(12, "ejection", "critical", "Server web-2 of pool web was ejected for 30 s: 3 failures within 30 s.", { pool: "web", server: "web-2" });
  }
}
