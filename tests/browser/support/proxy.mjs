// A real evenkeel with servers of its own and traffic.

import { spawn } from "node:child_process";
import { createServer, Agent, request as httpRequest } from "node:http";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { until } from "./browser.mjs";

/**
 * A server that answers after a few milliseconds; `/broken` with 500. It leaves `/held` without an answer, and closes the connection of
 * `/reset` or, when `mode.failing`, of any request.
 */
async function backend(name) {
  const mode = { failing: false };
  const server = createServer((request, response) => {
    if (mode.failing || request.url.startsWith("/reset")) return request.socket.destroy();
    if (request.url === "/held") return;
    const isFailing = request.url.startsWith("/broken");
    setTimeout(() => {
      response.writeHead(isFailing ? 500 : 200, { "content-type": "text/plain", "cache-control": request.url.startsWith("/static") ? "max-age=60" : "no-store" });
      response.end(`hello from ${name}\n`);
    }, request.url === "/health" ? 0 : 2 + Math.random() * 6);
  });
  server.keepAliveTimeout = 60_000;
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { name, mode, port: server.address().port, close: () => { server.closeAllConnections(); server.close(); } };
}

function configuration(backends, extra) {
  const list = (from, to) => backends.slice(from, to).map(({ name, port }) => `{ name = "${name}", address = "127.0.0.1:${port}" }`).join(", ");
  return `
[admin]
bind = "127.0.0.1:0"
${extra}
[log]
access = "off"

[listener.web]
bind = "127.0.0.1:0"

[[route]]
name = "static"
path = "/static/*"
pool = "images"
cache = true

[[route]]
name = "api"
path = "/*"
pool = "api"

[pool.api]
algorithm = "least-connections"
backends = [${list(0, 3)}]
health = { path = "/health", interval = "200ms", timeout = "1s", fall = 1, rise = 1 }

[pool.images]
backends = [${list(3, 4)}]
health = { path = "/health", interval = "200ms", timeout = "1s", fall = 1, rise = 1 }
`;
}

/** Starts the binary of `EVENKEEL`; `token` makes its API demand one. */
export async function startProxy({ token = null } = {}) {
  const directory = await mkdtemp(join(tmpdir(), "evenkeel-proxy-"));
  const backends = await Promise.all(["one", "two", "three", "four"].map(backend));
  const file = join(directory, "evenkeel.toml");
  if (token !== null) await writeFile(join(directory, "token"), token + "\n", { mode: 0o600 });
  const text = configuration(backends, token === null ? "" : `token_file = "${join(directory, "token")}"\n`);
  await writeFile(file, text);
  let said = "";
  const child = spawn(process.env.EVENKEEL, ["run", "-c", file], { stdio: ["ignore", "ignore", "pipe"], env: { ...process.env, NO_COLOR: "1" } });
  child.stderr.setEncoding("utf8").on("data", (piece) => { said += piece; });
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  await until(() => / ready/.test(said) || child.exitCode !== null, "evenkeel is ready");
  if (child.exitCode !== null) throw new Error(said);
  const port = (pattern) => Number(pattern.exec(said)?.[1]);
  const url = `http://127.0.0.1:${port(/admin on 127\.0\.0\.1:(\d+)/)}/`;
  const web = port(/listening on 127\.0\.0\.1:(\d+)/);
  const traffic = new Traffic(web);
  const answer = async (path) => (await fetch(`http://127.0.0.1:${web}${path}`)).text();
  const headers = token === null ? {} : { authorization: `Bearer ${token}` };
  const api = async (path, options = {}) => (await fetch(url + path, { ...options, headers: { ...headers, ...options.headers } })).json();
  await until(async () => (await api("status")).pools.every((pool) => pool.servers.every(({ state }) => state === "up")), "all servers are up");
  const close = async () => {
    traffic.stop();
    kill();
    process.off("exit", kill);
    backends.forEach((it) => it.close());
    await rm(directory, { recursive: true, force: true });
  };
  return { url, api, answer, backends, traffic, file, text, close, said: () => said };
}

/** One request in so many is answered 500: below 1 %, from which on the dashboard calls it a problem. */
const BROKEN_EVERY = 200;

/** Clients that keep their connections and send one request after the other. */
class Traffic {
  #port;
  #agent = new Agent({ keepAlive: true, maxSockets: 8 });
  #running = 0;
  sent = 0;

  constructor(port) {
    this.#port = port;
  }

  start(clients = 4) {
    this.#running += 1;
    const mine = this.#running;
    for (let client = 0; client < clients; client += 1) this.#client(mine);
  }

  stop() {
    this.#running += 1;
    this.#agent.destroy();
  }

  async #client(mine) {
    while (mine === this.#running) {
      this.sent += 1;
      const path = this.sent % BROKEN_EVERY === 0 ? "/broken" : this.sent % 5 === 0 ? "/static/logo.png" : `/items/${this.sent % 100}`;
      await this.send(path);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** Requests without an answer, which stay in flight until the function returned is called. */
  hold(number) {
    const held = Array.from({ length: number }, () => {
      const request = httpRequest({ port: this.#port, path: "/held", headers: { host: "shop.example.com" } });
      return request.on("error", () => {}).end();
    });
    return () => held.forEach((request) => request.destroy());
  }

  /** One request; resolves to its status, or 0. */
  send(path, headers = {}) {
    return new Promise((resolve) => {
      const request = httpRequest({ port: this.#port, path, agent: this.#agent, headers: { host: "shop.example.com", ...headers } }, (response) => {
        response.resume();
        response.on("end", () => resolve(response.statusCode)).on("error", () => resolve(0));
      });
      request.on("error", () => resolve(0)).end();
    });
  }
}
