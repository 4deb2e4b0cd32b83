// The live connection: which photos are shown goes up, what happens to them comes down. It is opened again when it breaks.

import { session, token, user } from "./api.js";

const FIRST_MS = 500;
const LONGEST_MS = 30_000;
/** Photos that the server watches for one socket. */
const WATCHED_MAX = 50;

export const live = new EventTarget();
const watched = new Map();
let socket = null;
let isOpen = false;
let wasOpen = false;
let pause = FIRST_MS;
let timer = null;

/** Starts, and follows the session from then on. */
export function start() {
  session.addEventListener("change", connect);
  window.addEventListener("online", connect);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) connect(); });
  connect();
}

/** Watches a photo until the function that is returned is called. */
export function watch(photo) {
  watched.set(photo, (watched.get(photo) ?? 0) + 1);
  if (watched.get(photo) === 1) announce();
  let isWatching = true;
  return () => {
    if (!isWatching) return;
    isWatching = false;
    const left = watched.get(photo) - 1;
    if (left > 0) watched.set(photo, left);
    else watched.delete(photo);
    if (left === 0) announce();
  };
}

/** The photos that are watched; of too many, those that came last. */
export const watching = () => [...watched.keys()].slice(-WATCHED_MAX);

let isAnnouncing = false;
/** Sends the list of watched photos once for all changes of this turn. */
function announce() {
  if (isAnnouncing) return;
  isAnnouncing = true;
  queueMicrotask(() => {
    isAnnouncing = false;
    if (isOpen) socket.send(JSON.stringify({ watch: watching() }));
  });
}

async function connect() {
  if (!user()) {
    socket?.close();
    return;
  }
  if (socket) return;
  clearTimeout(timer);
  const { protocol, host } = location;
  const mine = new WebSocket(`${protocol === "https:" ? "wss:" : "ws:"}//${host}/api/v1/live`);
  socket = mine;
  mine.addEventListener("open", async () => {
    const access_token = await token().catch(() => null);
    if (!access_token || mine.readyState !== WebSocket.OPEN) return mine.close();
    mine.send(JSON.stringify({ access_token }));
    isOpen = true;
    pause = FIRST_MS;
    announce();
    // What happened while there was no connection is lost.
    if (wasOpen) live.dispatchEvent(new Event("lost"));
    wasOpen = true;
  });
  mine.addEventListener("message", ({ data }) => {
    const message = JSON.parse(data);
    live.dispatchEvent(new CustomEvent(message.kind, { detail: message }));
  });
  mine.addEventListener("close", () => {
    socket = null;
    isOpen = false;
    if (!user()) return;
    timer = setTimeout(connect, pause * (0.5 + Math.random() / 2));
    pause = Math.min(pause * 2, LONGEST_MS);
  });
}
