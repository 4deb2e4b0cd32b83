// The HTTP API: one function for all calls, the access token, and the session that renews it.

const ROOT = "/api/v1";
/** Set while there is a session, so that visitors without one need not ask for it. */
const HINT = "minigram.session";
/** The token is renewed when it has less than this to live. */
const RENEW_MS = 30_000;
/** How long to wait at most before a request that found the server unavailable is tried again. */
const RETRY_MAX_MS = 5_000;

/** An answer that is no success; `message` is for the user. */
export class ApiError extends Error {
  constructor(status, problem) {
    super(problem?.detail || problem?.title || "MiniGram cannot be reached. Try again in a moment.");
    this.status = status;
  }
}

let access = null;
let me = null;
let renewal = null;
export const session = new EventTarget();

/** Who is signed in, or null. */
export const user = () => me;

function take(answer) {
  access = { token: answer.access_token, expires: Date.parse(answer.access_expires) };
  me = answer.user;
  localStorage.setItem(HINT, "1");
  session.dispatchEvent(new Event("change"));
}

function forget() {
  access = null;
  me = null;
  localStorage.removeItem(HINT);
  session.dispatchEvent(new Event("change"));
}

/** The access token, renewed if need be; null without a session. */
export async function token() {
  if (access && access.expires - Date.now() > RENEW_MS) return access.token;
  if (!localStorage.getItem(HINT)) return null;
  renewal ??= renew().finally(() => { renewal = null; });
  await renewal;
  return access?.token ?? null;
}

async function renew() {
  try {
    take(await send("POST", "/session/refresh"));
  } catch (error) {
    // Only an answer ends the session: a server that is away does not.
    if (error.status === 401 || error.status === 400 || error.status === 403) forget();
    else if (!access) throw error;
  }
}

/** A key for a post: however often it is sent with the same one, it is there once. */
export const newKey = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/** Until a server that answered 503 should be asked again. */
const pause = ({ retryAfter }) => new Promise((resolve) => setTimeout(resolve, Math.min(retryAfter || 1000, RETRY_MAX_MS)));

async function send(method, path, { body = null, bearer = null, signal = null, key = null } = {}) {
  const headers = bearer ? { authorization: `Bearer ${bearer}` } : {};
  if (key) headers["idempotency-key"] = `"${key}"`;
  if (body !== null) headers["content-type"] = "application/json";
  let answer;
  try {
    answer = await fetch(ROOT + path, { method, headers, signal, body: body === null ? null : JSON.stringify(body) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, null);
  }
  const isJson = /json/.test(answer.headers.get("content-type") ?? "");
  const content = isJson ? await answer.json() : null;
  if (answer.ok) return content;
  const fault = new ApiError(answer.status, content);
  fault.retryAfter = Number(answer.headers.get("retry-after") ?? 1) * 1000;
  throw fault;
}

/** A call in the name of the user, if there is one. Reads, and posts with a key, are tried a second time when the server is unavailable. */
export async function call(method, path, options = {}) {
  try {
    return await send(method, path, { ...options, bearer: await token() });
  } catch (error) {
    if (error.status === 401 && access) {
      access.expires = 0;
      return send(method, path, { ...options, bearer: await token() });
    }
    if ((method !== "GET" && !options.key) || error.status !== 503) throw error;
    await pause(error);
    return send(method, path, { ...options, bearer: await token() });
  }
}

export const read = (path, signal = null) => call("GET", path, { signal });

export async function signIn(name, password) {
  take(await send("POST", "/session", { body: { name, password } }));
}

export async function signUp(account) {
  take(await send("POST", "/users", { body: account }));
}

export async function signOut() {
  try {
    await call("DELETE", "/session");
  } finally {
    forget();
  }
}

export async function saveProfile(profile) {
  me = await call("PUT", "/me", { body: profile });
  session.dispatchEvent(new Event("change"));
  return me;
}

/** Uploads a photo; `progress` gets the share that is sent, from 0 to 1. Tried a second time when the server is unavailable. */
export async function upload(file, caption, key, progress, signal) {
  try {
    return await sendFile(file, caption, key, progress, signal);
  } catch (error) {
    if (error.status !== 503) throw error;
    await pause(error);
    return sendFile(file, caption, key, progress, signal);
  }
}

async function sendFile(file, caption, key, progress, signal) {
  const bearer = await token();
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `${ROOT}/photos?caption=${encodeURIComponent(caption)}`);
    if (bearer) request.setRequestHeader("authorization", `Bearer ${bearer}`);
    request.setRequestHeader("idempotency-key", `"${key}"`);
    request.responseType = "json";
    request.upload.addEventListener("progress", ({ loaded, total }) => progress(total ? loaded / total : 0));
    request.addEventListener("load", () => {
      if (request.status === 201) resolve(request.response);
      else reject(Object.assign(new ApiError(request.status, request.response), { retryAfter: Number(request.getResponseHeader("retry-after") ?? 1) * 1000 }));
    });
    request.addEventListener("error", () => reject(new ApiError(0, null)));
    request.addEventListener("abort", () => reject(new DOMException("stopped", "AbortError")));
    signal.addEventListener("abort", () => request.abort());
    request.send(file);
  });
}
