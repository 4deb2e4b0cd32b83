// What the dashboard knows: the stream fills it, the pages read it.

/** The graphs show this many seconds. */
export const HISTORY_S = 300;
/** Events that are kept, as many as the process keeps. */
const EVENTS_MAX = 1000;
/** Without a tick for so long, what the page shows counts as stale. */
export const STALE_S = 3;

class Store extends EventTarget {
  status = null;
  /** The newest second. */
  point = null;
  /** The last seconds, oldest first. */
  points = [];
  problems = [];
  /** Newest first. */
  events = [];
  /** The unix time of the process's last tick. */
  at = null;
  /** When it arrived, by this machine's clock, which may differ from the process's. */
  arrived = null;
  /** `connecting`, `live`, `lost`, `absent` or `locked`. */
  connection = "connecting";
  /** Why it is not live. */
  fault = "";

  /** The process's unix time, as far as it can be known between ticks. */
  now() {
    if (this.at === null) return Date.now() / 1000;
    return this.at + (performance.now() - this.arrived) / 1000;
  }

  /** The same, but it stands still while the stream is stale: what was so then may not be so any more. */
  lastKnown() {
    return this.now() - Math.max(0, this.age() - STALE_S);
  }

  /** Seconds since the last tick; 0 before the first. */
  age() {
    return this.arrived === null ? 0 : (performance.now() - this.arrived) / 1000;
  }

  isStale() {
    return this.arrived !== null && this.age() > STALE_S;
  }

  history({ points }) {
    this.points = points.slice(-HISTORY_S);
    this.point = this.points.at(-1) ?? null;
    this.#changed("tick");
  }

  tick({ at, point, status, problems }) {
    this.at = at;
    this.arrived = performance.now();
    this.status = status;
    this.problems = problems ?? status.problems ?? [];
    this.point = point;
    if (point && (this.points.length === 0 || point.at > this.points.at(-1).at)) {
      this.points.push(point);
      const oldest = point.at - HISTORY_S;
      while (this.points[0].at < oldest) this.points.shift();
    }
    this.connected("live");
    this.#changed("tick");
  }

  /** Adds events that are not yet known. */
  addEvents(events) {
    const known = new Set(this.events.map((event) => event.seq));
    const fresh = events.filter((event) => !known.has(event.seq));
    if (fresh.length === 0) return;
    this.events = [...fresh, ...this.events].sort((a, b) => b.seq - a.seq).slice(0, EVENTS_MAX);
    this.#changed("events");
  }

  /** Forgets the events of a process that is gone. */
  forgetEvents() {
    this.events = [];
  }

  connected(connection, fault = "") {
    if (this.connection === connection && this.fault === fault) return;
    this.connection = connection;
    this.fault = fault;
    this.#changed("connection");
  }

  pool(name) {
    return this.status?.pools.find((pool) => pool.name === name) ?? null;
  }

  server(pool, id) {
    return this.pool(pool)?.servers.find((server) => server.id === id) ?? null;
  }

  #changed(what) {
    this.dispatchEvent(new Event(what));
  }
}

/** The one store of this page. */
export const store = new Store();
