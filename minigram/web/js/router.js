// Which page an address shows. Links within MiniGram change the page without loading it anew.

import { session } from "./api.js";
import { feed } from "./views/feed.js";
import { missing } from "./views/missing.js";
import { photo } from "./views/photo.js";
import { profile } from "./views/profile.js";
import { search } from "./views/search.js";
import { signInPage, signUpPage } from "./views/sign.js";
import { upload } from "./views/upload.js";

const ROUTES = [
  [/^\/$/, feed],
  [/^\/p\/(\d+)$/, photo],
  [/^\/@([A-Za-z0-9_]+)$/, profile],
  [/^\/search$/, search],
  [/^\/upload$/, upload],
  [/^\/sign-in$/, signInPage],
  [/^\/sign-up$/, signUpPage],
];

/** Pages that are kept for the way back, with how far they were scrolled. */
const KEPT_MAX = 5;
const kept = new Map();
let shown = null;

/** Shows the page of this address, and notes it in the history. */
export function go(path, { replace = false } = {}) {
  const key = String(Math.random());
  leave();
  history[replace ? "replaceState" : "pushState"]({ key }, "", path);
  render(key);
}

/** Starts: shows the page of the address, and takes clicks on links over. */
export function start() {
  history.scrollRestoration = "manual";
  document.addEventListener("click", onClick);
  window.addEventListener("popstate", ({ state }) => {
    leave();
    render(state?.key ?? "first", { isBack: true });
  });
  // What a page shows depends on who is signed in.
  session.addEventListener("change", () => forget());
  const key = history.state?.key ?? "first";
  history.replaceState({ key }, "");
  render(key, { isStart: true });
}

/** Shows the page anew, as after a change of its content. */
export function refresh() {
  forget();
  shown?.stop();
  shown = null;
  render(history.state.key);
}

function onClick(event) {
  const anchor = event.target.closest?.("a[href]");
  if (!anchor || event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const url = new URL(anchor.href);
  if (url.origin !== location.origin || anchor.target || anchor.hasAttribute("download") || anchor.getAttribute("href").startsWith("#")) return;
  event.preventDefault();
  go(url.pathname + url.search);
}

function leave() {
  if (!shown) return;
  shown.scroll = window.scrollY;
  shown.element.remove();
  kept.set(shown.key, shown);
  shown = null;
  while (kept.size > KEPT_MAX) {
    const [key, page] = kept.entries().next().value;
    kept.delete(key);
    page.stop();
  }
}

function forget() {
  for (const page of kept.values()) page.stop();
  kept.clear();
}

function render(key, { isBack = false, isStart = false } = {}) {
  const main = document.querySelector("#content");
  const old = isBack ? kept.get(key) : null;
  kept.delete(key);
  shown = old ?? fresh(key);
  main.replaceChildren(shown.element);
  document.title = `${shown.title} · MiniGram`;
  window.scrollTo(0, old ? old.scroll : 0);
  for (const anchor of document.querySelectorAll("#bar nav a")) {
    if (new URL(anchor.href).pathname === location.pathname) anchor.setAttribute("aria-current", "page");
    else anchor.removeAttribute("aria-current");
  }
  // A screen reader begins at the new page.
  if (!isStart) main.focus({ preventScroll: true });
}

function fresh(key) {
  const end = new AbortController();
  const element = document.createElement("div");
  element.className = "page";
  const [, view, found] = match();
  const page = { key, element, title: "", scroll: 0, stop: () => end.abort() };
  const title = (text) => {
    page.title = text;
    if (shown === page) document.title = `${text} · MiniGram`;
  };
  const { title: first, content } = view({ found, signal: end.signal, query: new URLSearchParams(location.search), title });
  page.title = first;
  element.append(...content);
  return page;
}

function match() {
  for (const [pattern, view] of ROUTES) {
    const found = pattern.exec(location.pathname);
    if (found) return [pattern, view, found];
  }
  return [null, missing, null];
}
