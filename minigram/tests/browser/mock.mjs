// MiniGram's API in memory, for tests of the pages: what docs and OpenAPI say of it, and no more.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { readdirSync } from "node:fs";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { paint } from "./paint.mjs";
import { accept } from "./socket.mjs";

const WEB = fileURLToPath(new URL("../../web", import.meta.url));
const TYPES = { ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".html": "text/html; charset=utf-8" };
const ACCESS_MS = 300_000;
const WATCHED_MAX = 50;

/** Starts a MiniGram; `readyMs` is how long a photo takes until its sizes are there, `width` how many pixels its sample photos have. */
export async function start({ readyMs = 0, width = 240 } = {}) {
  const app = new Mock(readyMs, width);
  const server = createServer((request, response) => app.handle(request, response));
  server.on("upgrade", (request, socket) => app.upgrade(request, socket));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = () => {
    app.sockets.forEach(({ link }) => link.close());
    server.closeAllConnections();
    server.close();
  };
  return Object.assign(app, { url: `http://127.0.0.1:${server.address().port}`, close });
}

class Mock {
  users = new Map();
  photos = [];
  sockets = new Set();
  sessions = new Map();
  uploads = 0;
  /** How many of the next posts are done, but answered with 503. */
  refused = 0;
  #posted = new Map();
  #ids = 5_000_000_000_000_000_000n;
  #readyMs;
  #width;
  #painted = new Map();

  constructor(readyMs, width) {
    this.#readyMs = readyMs;
    this.#width = width;
  }

  #paint(number) {
    if (!this.#painted.has(number)) this.#painted.set(number, paint(number, this.#width, Math.round(this.#width * 0.75)));
    return this.#painted.get(number);
  }

  id() {
    this.#ids += 1n;
    return String(this.#ids);
  }

  addUser(name, display_name, bio = "") {
    const user = { id: this.id(), name, display_name, bio, password: "right password", follows: new Set(), created: new Date().toISOString() };
    this.users.set(name, user);
    return user;
  }

  addPhoto(author, caption, { age = 0, paint: number = this.photos.length, isReady = true } = {}) {
    const photo = { id: this.id(), author, caption, created: new Date(Date.now() - age * 1000), isReady, likes: new Set(), extra: 0, comments: [], number };
    this.photos.unshift(photo);
    return photo;
  }

  addComment(photo, author, text) {
    const comment = { id: this.id(), author: short(author), text, created: new Date().toISOString() };
    photo.comments.unshift(comment);
    this.publish(photo, { kind: "comment", photo: photo.id, comment: comment.id, by: author.id });
    if (author !== photo.author) this.notice(photo.author, { kind: "comment", photo: photo.id, comment: comment.id, by: short(author) });
    return comment;
  }

  like(photo, user, isLiked) {
    photo.likes[isLiked ? "add" : "delete"](user.name);
    this.publish(photo, { kind: "like", photo: photo.id, likes: photo.likes.size + photo.extra });
    if (isLiked && user !== photo.author) this.notice(photo.author, { kind: "like", photo: photo.id, by: short(user) });
  }

  /** To those who watch a photo. */
  publish(photo, message) {
    for (const { link, watched } of this.sockets) if (watched.has(photo.id)) link.send(JSON.stringify(message));
  }

  /** To a user, whatever they look at. */
  notice(user, message) {
    for (const socket of this.sockets) if (socket.user === user) socket.link.send(JSON.stringify({ ...message, notice: true }));
  }

  upgrade(request, socket) {
    const client = { link: null, user: null, watched: new Set() };
    client.link = accept(request, socket, (text) => {
      const message = JSON.parse(text);
      if (message.access_token) {
        client.user = this.sessions.get(message.access_token) ?? null;
        client.link.send(JSON.stringify({ kind: "signed-in" }));
      }
      if (message.watch?.length > WATCHED_MAX) client.link.close();
      else if (message.watch) client.watched = new Set(message.watch);
    });
    this.sockets.add(client);
    socket.on("close", () => this.sockets.delete(client));
  }

  async handle(request, response) {
    const url = new URL(request.url, "http://mock");
    const answer = (status, content, headers = {}) => {
      const isJson = content !== null && !Buffer.isBuffer(content);
      response.writeHead(status, { ...(isJson ? { "content-type": status < 400 ? "application/json" : "application/problem+json" } : {}), ...headers });
      response.end(isJson ? JSON.stringify(content) : content);
    };
    if (url.pathname.startsWith("/api/v1/")) {
      const body = Buffer.concat(await request.toArray());
      const viewer = this.sessions.get((request.headers.authorization ?? "").replace("Bearer ", "")) ?? null;
      try {
        this.#api(request, url, viewer, body, answer);
      } catch (error) {
        answer(error.status ?? 500, { title: error.message, status: error.status ?? 500 });
      }
    } else if (url.pathname.startsWith("/media/")) {
      const photo = this.photos.find(({ id }) => id === url.pathname.split("/")[3]);
      if (photo) answer(200, photo.file ?? this.#paint(photo.number), { "content-type": "image/png" });
      else answer(404, null);
    } else {
      await page(url.pathname, answer);
    }
  }

  #api(request, url, viewer, body, answer) {
    const path = url.pathname.slice("/api/v1".length);
    const call = `${request.method} ${path}`;
    const sent = () => JSON.parse(body.toString());
    const known = () => viewer ?? fail(401, "Sign in first");
    const photo = () => this.photos.find(({ id }) => id === path.split("/")[2]) ?? fail(404, "no such photo");
    const named = () => this.users.get(path.split("/")[2]) ?? fail(404, "no such user");
    const open = (status, user) => {
      const access_token = this.id();
      this.sessions.set(access_token, user);
      const cookie = `minigram_refresh=${user.name}; HttpOnly; SameSite=Strict; Path=/api/v1/session`;
      answer(status, { user: this.user(user), access_token, access_expires: new Date(Date.now() + ACCESS_MS).toISOString() }, { "set-cookie": cookie });
    };
    if (call === "POST /users") {
      const { name, display_name } = sent();
      if (this.users.has(name)) fail(409, "the user name is taken");
      return open(201, this.addUser(name, display_name));
    }
    if (call === "POST /session") {
      const { name, password } = sent();
      return open(201, this.users.get(name)?.password === password ? this.users.get(name) : fail(401, "the name or the password is wrong"));
    }
    if (call === "POST /session/refresh") return open(200, this.users.get(/minigram_refresh=(\w+)/.exec(request.headers.cookie ?? "")?.[1]) ?? fail(401, "the session has ended"));
    if (call === "DELETE /session") return answer(204, null, { "set-cookie": "minigram_refresh=; Path=/api/v1/session; Max-Age=0" });
    if (call === "PUT /me") return answer(200, this.user(Object.assign(known(), sent())));
    if (call === "GET /users") return answer(200, { users: [...this.users.values()].filter(({ name }) => name.startsWith(url.searchParams.get("prefix"))).map(short) });
    if (call === "GET /feed") return answer(200, this.#page(url, ({ author }) => known().follows.has(author.name), viewer));
    if (call === "POST /photos") return this.#once(request, known(), answer, () => this.#post(known(), url, body));
    if (/\/follow$/.test(path)) {
      known().follows[request.method === "PUT" ? "add" : "delete"](named().name);
      return answer(204, null);
    }
    if (/^\/users\/\w+\/photos$/.test(path)) return answer(200, this.#page(url, ({ author }) => author === named(), viewer));
    if (/^\/users\/\w+$/.test(path)) return answer(200, { ...this.user(named()), ...(viewer ? { followed: viewer.follows.has(named().name) } : {}) });
    if (/\/like$/.test(path)) {
      this.like(photo(), known(), request.method === "PUT");
      return answer(204, null);
    }
    if (call.startsWith("POST") && /\/comments$/.test(path)) return this.#once(request, known(), answer, () => this.addComment(photo(), known(), sent().text));
    if (/\/comments$/.test(path)) return answer(200, { comments: photo().comments, next: null });
    if (request.method === "DELETE") {
      this.photos.splice(this.photos.indexOf(photo()), 1);
      return answer(204, null);
    }
    return answer(200, this.photo(photo(), viewer));
  }

  #page(url, wanted, viewer) {
    const [limit, before] = [Number(url.searchParams.get("limit") ?? 20), url.searchParams.get("before")];
    const all = this.photos.filter(wanted).filter(({ id }) => !before || BigInt(id) < BigInt(before));
    const photos = all.slice(0, limit);
    return { photos: photos.map((photo) => this.photo(photo, viewer)), next: all.length > limit ? photos.at(-1).id : null };
  }

  /** Posts once for each key of a user. */
  #once(request, user, answer, post) {
    const key = `${user.name} ${request.url} ${request.headers["idempotency-key"] ?? this.id()}`;
    if (!this.#posted.has(key)) this.#posted.set(key, post());
    if (this.refused > 0) {
      this.refused -= 1;
      return answer(503, { title: "please try again", status: 503 }, { "retry-after": "1" });
    }
    return answer(201, this.#posted.get(key));
  }

  #post(author, url, file) {
    this.uploads += 1;
    const photo = Object.assign(this.addPhoto(author, url.searchParams.get("caption"), { isReady: false }), { file });
    setTimeout(() => {
      photo.isReady = true;
      this.publish(photo, { kind: "ready", photo: photo.id });
      for (const user of this.users.values()) if (user.follows.has(author.name)) this.notice(user, { kind: "photo", photo: photo.id, author: short(author) });
    }, this.#readyMs);
    return this.photo(photo, author);
  }

  user({ name, id, display_name, bio, created, follows }) {
    const followers = [...this.users.values()].filter((user) => user.follows.has(name)).length;
    return { id, name, display_name, bio, created, followers, following: follows.size, photos: this.photos.filter(({ author }) => author.name === name).length };
  }

  photo(photo, viewer) {
    const original = `/media/${photo.author.id}/${photo.id}/original.png`;
    const at = (ending) => Object.fromEntries(["thumb", "small", "large"].map((size) => [size, photo.isReady ? `/media/${photo.author.id}/${photo.id}/${size}.${ending}` : original]));
    return {
      id: photo.id, author: short(photo.author), caption: photo.caption, created: photo.created.toISOString ? photo.created.toISOString() : photo.created,
      state: photo.isReady ? "ready" : "processing", likes: photo.likes.size + photo.extra, comments: photo.comments.length,
      ...(viewer ? { liked: photo.likes.has(viewer.name) } : {}), urls: { ...at("jpg"), original, ...(photo.isReady ? { webp: at("webp") } : {}) },
    };
  }
}

function fail(status, message) {
  throw Object.assign(new Error(message), { status });
}

const short = ({ id, name, display_name }) => ({ id, name, display_name });

/** The shell, as `web::write` fills it, and what it names. */
async function page(path, answer) {
  if (!path.startsWith("/assets/test/")) {
    const modules = readdirSync(join(WEB, "js"), { recursive: true }).filter((name) => name.endsWith(".js")).map((name) => `<link rel="modulepreload" href="/assets/test/js/${name}">`);
    const shell = await readFile(join(WEB, "index.html"), "utf8");
    return answer(200, Buffer.from(shell.replaceAll("{preloads}", modules.join("\n")).replaceAll("{assets}", "/assets/test")), { "content-type": TYPES[".html"] });
  }
  const file = await readFile(join(WEB, path.slice("/assets/test".length))).catch(() => null);
  return file ? answer(200, file, { "content-type": TYPES[extname(path)] }) : answer(404, null);
}
