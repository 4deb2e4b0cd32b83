// Asks the admin API of the process that served this page, with the operator's token if it demands one.

const TOKEN = "evenkeel-token";

/** An answer other than 2xx, or none. */
export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    /** 0 when there was no answer. */
    this.status = status;
  }
}

/** Dispatches `unauthorized` when the API demands a token that it was not sent. */
export const authorization = new EventTarget();

/** Keeps the token until the tab is closed. */
export function useToken(token) {
  sessionStorage.setItem(TOKEN, token);
}

/** Whether a token is kept. */
export function hasToken() {
  return sessionStorage.getItem(TOKEN) !== null;
}

/** Forgets it. */
export function forgetToken() {
  sessionStorage.removeItem(TOKEN);
}

/** Sends a request to a path of the API, which is relative, so that the dashboard works below a prefix of another proxy too. */
export async function send(path, options = {}) {
  const headers = new Headers(options.headers);
  const token = sessionStorage.getItem(TOKEN);
  if (token !== null) headers.set("authorization", "Bearer " + token);
  let response;
  try {
    response = await fetch(path, { ...options, headers, cache: "no-store", credentials: "same-origin", redirect: "error" });
  } catch (fault) {
    if (fault.name === "AbortError") throw fault;
    throw new ApiError(0, "The process does not answer.");
  }
  if (response.status === 401) {
    authorization.dispatchEvent(new Event("unauthorized"));
    throw new ApiError(401, token === null ? "The API demands a token." : "The API refused the token.");
  }
  if (!response.ok) throw new ApiError(response.status, await reason(response));
  return response;
}

async function reason(response) {
  const text = await response.text();
  try {
    return JSON.parse(text).error ?? text;
  } catch {
    return text || response.statusText;
  }
}

/** The JSON at a path. */
export async function get(path, options) {
  const response = await send(path, options);
  return response.json();
}

/** The JSON at a path as `found`, and the tag of what it says. */
export async function look(path) {
  const response = await send(path);
  return { found: await response.json(), tag: tagOf(response) };
}

/** A proxy that compresses the answer makes its tag a weak one, which `If-Match` cannot use. */
function tagOf(response) {
  return response.headers.get("etag")?.replace(/^W\//, "") ?? null;
}

/** Sends JSON; `why` goes to the audit log. The answer's JSON, or null. */
export async function change(method, path, body, why) {
  const { found } = await changeIf(null, method, path, body, why);
  return found;
}

/** The same for what still has this tag; else the fault has status 412. The answer's JSON is `found`, and `tag` the new tag. */
export async function changeIf(tag, method, path, body, why) {
  const headers = {};
  if (tag !== null) headers["if-match"] = tag;
  if (body !== undefined) headers["content-type"] = "application/json";
  if (why) headers["x-evenkeel-why"] = encodeURIComponent(why);
  const response = await send(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  const text = await response.text();
  return { found: text === "" ? null : JSON.parse(text), tag: tagOf(response) };
}

/** The path of a server in the API. */
export function serverPath(pool, id) {
  return "pools/" + encodeURIComponent(pool) + "/servers/" + encodeURIComponent(id);
}

/** A sentence for a person; a page whose endpoint this process does not have says so. */
export function explainFault(fault, what) {
  if (fault.status === 404) return "This process does not offer " + what + ": " + fault.message + ".";
  return fault.message;
}
