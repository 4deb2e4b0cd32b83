// Serves the files of the dashboard from the working tree and answers like a proxy, with made-up figures.
//
//     node tests/browser/mock/server.mjs [--port N] [--servers N] [--calm] [--token TOKEN]
//
// `POST /mock` with {"stall": true}, {"refuse": true}, {"wrong": true} or {"absent": ["/explain"]} makes it misbehave.

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { Figures } from "./figures.mjs";
import { CONFIGURATION, WRONG, explain, record, whole } from "./records.mjs";

const WEB = fileURLToPath(new URL("../../../web/", import.meta.url));
export const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml" };
/** As the real process sends it. */
export const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; font-src 'self'; base-uri 'none'; "
  + "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";
const RECORDS = 240;

/** Starts one; resolves to `{ url, figures, mode, close }`. */
export async function start({ port = 0, token = null, ...options } = {}) {
  const figures = new Figures(options);
  const mode = { stall: false, refuse: false, wrong: false, absent: [] };
  const streams = new Set();
  const sendAll = (kind, data) => {
    if (mode.stall) return;
    for (const stream of streams) stream.write(`event: ${kind}\ndata: ${JSON.stringify(data)}\n\n`);
  };
  const timer = setInterval(() => sendAll("tick", figures.tick()), 1000);
  const mock = { figures, mode, token, streams, sendAll, changes: [], configuration: {} };
  const server = createServer((request, response) => {
    answer(mock, request, response).catch((fault) => json(response, 400, { error: fault.message }));
  });
  await new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
  const close = () => {
    clearInterval(timer);
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  return { url: `http://127.0.0.1:${server.address().port}/`, close, ...mock };
}

function json(response, status, body) {
  response.writeHead(status, { "content-type": "application/json", "cache-control": "no-store" });
  response.end(JSON.stringify(body));
}

async function answer(mock, request, response) {
  const url = new URL(request.url, "http://mock");
  const { pathname } = url;
  if (mock.mode.refuse && !pathname.startsWith("/mock")) return request.socket.destroy();
  if (pathname === "/" || pathname.startsWith("/assets/")) return file(pathname, response);
  const body = await read(request);
  if (pathname === "/mock") {
    Object.assign(mock.mode, body);
    return json(response, 200, mock.mode);
  }
  if (mock.token !== null && request.headers.authorization !== `Bearer ${mock.token}`) return json(response, 401, { error: "the token in `Authorization` is wrong" });
  if (mock.mode.absent.includes(pathname)) return json(response, 404, { error: `the API has no path ${pathname}; GET / lists its paths` });
  return api(mock, request, response, url, body);
}

async function read(request) {
  let text = "";
  for await (const piece of request) text += piece;
  return text === "" ? {} : JSON.parse(text);
}

async function file(pathname, response) {
  const name = pathname === "/" ? "index.html" : normalize(pathname.slice("/assets/".length));
  if (name.startsWith("..")) return json(response, 404, { error: "there is no such file" });
  try {
    const content = await readFile(join(WEB, name));
    response.writeHead(200, { "content-type": TYPES[extname(name)] ?? "text/plain", "content-security-policy": CSP, "cache-control": "no-cache" });
    return response.end(content);
  } catch {
    return json(response, 404, { error: `there is no ${pathname}` });
  }
}

function api(mock, request, response, url, body) {
  const { figures } = mock;
  const { pathname, searchParams } = url;
  const parts = pathname.split("/").filter(Boolean).map(decodeURIComponent);
  switch (`${request.method} ${parts.length === 4 ? "/server" : parts.length === 2 && parts[0] === "requests" ? "/record" : pathname}`) {
    case "GET /live": return live(mock, request, response);
    case "GET /status": return json(response, 200, figures.status());
    case "GET /events": return json(response, 200, { events: figures.events });
    case "GET /cache": return json(response, 200, figures.cache());
    case "GET /config": return json(response, 200, { ...CONFIGURATION, ...mock.configuration });
    case "GET /requests": return json(response, 200, mock.mode.requests ? { requests: mock.mode.requests, kept: 4, capacity: 4096 } : requests(searchParams));
    case "GET /record": {
      const found = Array.from({ length: RECORDS }, (_, index) => record(index)).find(({ id }) => id === parts[1]);
      return found ? json(response, 200, whole(found)) : json(response, 404, { error: `there is no request ${parts[1]}` });
    }
    case "POST /explain": return json(response, 200, explain(body));
    case "POST /cache/purge": return json(response, 200, { scope: Object.keys(body)[0], purged: Object.values(body)[0], mode: body.soft ? "soft" : "hard", sequence: 1, objects: 2, outcome: "2 responses in memory" });
    case "POST /reload":
      if (mock.mode.wrong) return json(response, 422, { error: WRONG });
      figures.generation += 1;
      if (body.confirm_seconds) figures.awaiting = Date.now() / 1000 + body.confirm_seconds;
      return json(response, 200, { generation: figures.generation });
    case "POST /confirm":
      figures.awaiting = null;
      if (body.go_back) figures.generation += 1;
      return json(response, 200, { generation: figures.generation, confirmed: !body.go_back });
    case "GET /server": return server(mock, response, parts[1], parts[3]);
    case "PUT /server": return change(mock, request, response, parts[1], parts[3], body);
    default: return json(response, 404, { error: `the API has no path ${pathname}; GET / lists its paths` });
  }
}

function live({ figures, streams }, request, response) {
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  response.write(`event: history\ndata: ${JSON.stringify({ interval_s: 1, points: figures.points })}\n\n`);
  response.write(`event: tick\ndata: ${JSON.stringify(figures.tick())}\n\n`);
  streams.add(response);
  request.on("close", () => streams.delete(response));
}

function requests(wanted) {
  const text = wanted.get("q") ?? "";
  const all = Array.from({ length: RECORDS }, (_, index) => record(index)).filter((it) => (wanted.get("failed") !== "true" || it.status >= 500)
    && it.duration_ms >= Number(wanted.get("min_ms") ?? 0) && ["pool", "server", "route"].every((key) => !wanted.get(key) || it[key] === wanted.get(key))
    && (!wanted.get("status") || String(it.status) === wanted.get("status")) && `${it.id} ${it.client} ${it.host}${it.target}`.includes(text));
  return { requests: all.slice(0, Number(wanted.get("limit") ?? 100)), kept: RECORDS, capacity: 4096 };
}

/** The pool, and the server of it. */
function find(mock, poolName, id) {
  const pool = mock.figures.pools.find(({ name }) => name === poolName);
  return [pool, pool?.servers.find((it) => it.id === id)];
}

/** A text that changes with the settings of the pool's servers. */
const tag = (pool) => `"${pool.servers.map(({ id, state, weight }) => `${id}-${["draining", "disabled"].includes(state) ? state : "ready"}-${weight}`).join("+")}"`;

function server(mock, response, poolName, id) {
  const [pool, server] = find(mock, poolName, id);
  if (!server) return json(response, 404, { error: `pool ${poolName} has no server ${id}` });
  response.setHeader("etag", tag(pool));
  return json(response, 200, server);
}

function change(mock, request, response, poolName, id, { state, weight }) {
  const [pool, server] = find(mock, poolName, id);
  if (!server) return json(response, 404, { error: `pool ${poolName} has no server ${id}` });
  if (![undefined, tag(pool)].includes(request.headers["if-match"])) return json(response, 412, { error: `the pool ${poolName} has changed` });
  const why = decodeURIComponent(request.headers["x-evenkeel-why"] ?? "");
  mock.changes.push({ pool: poolName, id, state, weight, why });
  const states = { drain: ["draining", "an operator drains it"], disable: ["disabled", "an operator disabled it"], ready: ["up", "an operator enabled it"] };
  if (state !== undefined) {
    [server.state, server.reason] = states[state];
    server.since = Date.now() / 1000;
  }
  if (weight !== undefined) server.weight = weight;
  const what = state === undefined ? `Server ${id} of pool ${poolName} has weight ${weight}.` : `Server ${id} of pool ${poolName} is ${server.state}.`;
  mock.sendAll("event", mock.figures.event("operator", "info", what, { pool: poolName, server: id, who: "a token", ...(why ? { why } : {}) }));
  response.setHeader("etag", tag(pool));
  return json(response, 200, server);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({ options: {
    port: { type: "string", default: "9901" }, servers: { type: "string", default: "4" }, calm: { type: "boolean", default: false }, token: { type: "string" },
  } });
  const { url } = await start({ port: Number(values.port), servers: Number(values.servers), calm: values.calm, token: values.token ?? null });
  console.log(`The dashboard with made-up figures: ${url}`);
}
