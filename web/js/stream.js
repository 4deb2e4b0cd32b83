// Follows the process by server-sent events. It reads them with fetch, because EventSource cannot send a token.

import { get, send } from "./api.js";
import { store } from "./store.js";

const RETRY_MS_MIN = 500;
const RETRY_MS_MAX = 8000;
/** The page asks a process without a stream again after this time, because an upgrade may bring it. */
const ABSENT_MS = 10_000;
/** The page gives up a connection on which nothing arrives for so long. */
const SILENCE_MS = 8000;

let running = null;

/** Starts to follow, anew if it does already. */
export function follow() {
  running?.abort();
  running = new AbortController();
  loop(running.signal);
}

async function loop(signal) {
  let pause = RETRY_MS_MIN;
  while (!signal.aborted) {
    let wait = pause;
    try {
      await read(signal, () => { pause = RETRY_MS_MIN; });
      // The process ends each connection after some minutes; the next one follows at once.
      wait = RETRY_MS_MIN;
      store.connected("lost", "The process closed the stream.");
    } catch (fault) {
      if (signal.aborted) return;
      if (fault.status === 401) {
        store.connected("locked", fault.message);
        return;
      }
      const isAbsent = fault.status === 404;
      store.connected(isAbsent ? "absent" : "lost", isAbsent ? "This process offers no live figures (GET /live)." : fault.message);
      wait = isAbsent ? ABSENT_MS : pause;
      pause = Math.min(pause * 2, RETRY_MS_MAX);
    }
    // Spread, so that many open dashboards do not return in the same instant.
    await sleep(wait * (0.75 + Math.random() / 2), signal);
  }
}

async function read(signal, onTick) {
  const attempt = new AbortController();
  const stop = () => attempt.abort();
  signal.addEventListener("abort", stop);
  let silence = setTimeout(stop, SILENCE_MS);
  try {
    const response = await send("live", { signal: attempt.signal, headers: { accept: "text/event-stream" } });
    loadEvents();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    const parser = new Parser((kind, data) => {
      if (kind === "tick") onTick();
      receive(kind, data);
    });
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(silence);
      silence = setTimeout(stop, SILENCE_MS);
      parser.push(value);
    }
  } catch (fault) {
    if (fault.name !== "AbortError" && fault.status !== undefined) throw fault;
    throw Object.assign(new Error("The process does not answer."), { status: 0 });
  } finally {
    clearTimeout(silence);
    signal.removeEventListener("abort", stop);
  }
}

/** The events before the stream began. */
async function loadEvents() {
  try {
    const { events } = await get("events?limit=1000");
    store.addEvents(events);
  } catch {
    // The page of events says why.
  }
}

function receive(kind, data) {
  const value = JSON.parse(data);
  if (kind === "history") store.history(value);
  else if (kind === "tick") tick(value);
  else if (kind === "event") store.addEvents([value]);
}

function tick(value) {
  // After an upgrade or a restart another process answers, which numbers its events anew.
  const isAnother = store.status !== null && store.status.pid !== value.status.pid;
  if (isAnother) store.forgetEvents();
  store.tick(value);
  if (isAnother) loadEvents();
}

/** The fields of an event stream, from pieces of any length (WHATWG HTML, 9.2.6). */
export class Parser {
  #rest = "";
  #kind = "message";
  #data = [];
  #receive;

  constructor(receive) {
    this.#receive = receive;
  }

  push(piece) {
    const lines = (this.#rest + piece).split("\n");
    this.#rest = lines.pop();
    for (const line of lines) this.#line(line.endsWith("\r") ? line.slice(0, -1) : line);
  }

  #line(line) {
    if (line === "") {
      if (this.#data.length > 0) this.#receive(this.#kind, this.#data.join("\n"));
      this.#kind = "message";
      this.#data = [];
      return;
    }
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (name === "event") this.#kind = value;
    else if (name === "data") this.#data.push(value);
  }
}

function sleep(time, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, time);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
