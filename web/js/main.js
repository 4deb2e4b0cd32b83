// Starts the dashboard: frame, pages, keys and the stream.

import { authorization } from "./api.js";
import { closeAll } from "./dialog.js";
import { h, rebuild, setAttribute, setText } from "./dom.js";
import { duration, plural } from "./format.js";
import { icon, iconButton } from "./icons.js";
import * as keys from "./keys.js";
import { loginPage } from "./login.js";
import * as cache from "./pages/cache.js";
import * as config from "./pages/config.js";
import * as events from "./pages/events.js";
import * as explain from "./pages/explain.js";
import * as overview from "./pages/overview.js";
import * as pool from "./pages/pool.js";
import * as pools from "./pages/pools.js";
import * as record from "./pages/record.js";
import * as requests from "./pages/requests.js";
import * as server from "./pages/server.js";
import { heading, notice } from "./parts.js";
import { link, parse } from "./router.js";
import { store } from "./store.js";
import { follow } from "./stream.js";
import { nextTheme, theme } from "./theme.js";

/** In the order of the navigation. */
const NAVIGATION = [
  ["", "Overview", "overview"], ["pools", "Pools", "pools"], ["requests", "Requests", "requests"], ["explain", "Explain", "explain"],
  ["events", "Events", "events"], ["cache", "Cache", "cache"], ["config", "Configuration", "config"],
];
/** The announcer speaks at most this often. */
const ANNOUNCE_MS = 10_000;

const main = document.getElementById("main");
const banner = document.getElementById("banner");
const announcer = document.getElementById("announcer");

let view = null;
let shownPath = null;
let isLocked = false;

/** Which page a fragment means. */
function pageOf(parts) {
  const [first = "", second, third, fourth] = parts;
  switch (first) {
    case "": return overview;
    case "pools": return second === undefined ? pools : third === "servers" && fourth !== undefined ? server : pool;
    case "requests": return second === undefined ? requests : record;
    case "explain": return explain;
    case "events": return events;
    case "cache": return cache;
    case "config": return config;
    default: return { title: () => "Not found", open: () => ({ element: [heading("There is no such page"), notice("Choose one on the left.")] }) };
  }
}

function route({ isFirst = false } = {}) {
  if (isLocked) return;
  const { parts } = parse(location.hash);
  const path = location.hash;
  if (path === shownPath) return;
  shownPath = path;
  closeAll();
  const page = pageOf(parts);
  view?.close?.();
  view = page.open(parts);
  main.replaceChildren(...[view.element].flat());
  main.scrollTop = 0;
  document.title = page.title(parts) + " · Evenkeel";
  for (const anchor of document.querySelectorAll("#nav a")) {
    setAttribute(anchor, "aria-current", anchor.dataset.page === (parts[0] ?? "") ? "page" : null);
  }
  // Screen readers begin to read at the heading of the new page.
  if (!isFirst) main.querySelector("h1")?.focus({ preventScroll: true });
  view.update?.();
}

function lock() {
  if (isLocked) return;
  isLocked = true;
  shownPath = null;
  closeAll();
  view?.close?.();
  view = null;
  const form = loginPage(() => {
    isLocked = false;
    route();
    follow();
  });
  document.title = "Token · Evenkeel";
  main.replaceChildren(form.element);
  form.focus();
}

let isScheduled = false;
function update() {
  if (isScheduled) return;
  isScheduled = true;
  // Not drawn while the tab is hidden.
  requestAnimationFrame(() => {
    isScheduled = false;
    showBanner();
    showTop();
    view?.update?.();
  });
}

function showBanner() {
  const stale = store.isStale() && !isLocked;
  const text = stale
    ? `Stale for ${duration(store.age())}: ${store.fault || "the process sends nothing."} Trying again.`
    : store.connection === "absent" || (store.connection === "lost" && store.arrived === null) ? store.fault : "";
  banner.hidden = text === "";
  setAttribute(document.body, "data-stale", stale ? "yes" : null);
  // A screen reader reads it once, not each second.
  setAttribute(banner, "aria-live", stale && banner.textContent !== "" ? "off" : "polite");
  setText(banner, text);
}

const health = h("a", { class: "health", href: "#/" });
const stream = h("span", { class: "stream-state" });

function showTop() {
  const worst = store.problems.some(({ severity }) => severity === "critical") ? "critical" : store.problems.length > 0 ? "warning" : "good";
  // The last figures may be out of date.
  const word = store.isStale() ? "Stale" : store.status === null ? "Connecting" : null;
  rebuild(health, [word, worst, store.problems.length], () => {
    health.className = "health is-" + (word === null ? worst : "info");
    return word === null
      ? [icon(worst === "good" ? "up" : worst === "warning" ? "warning" : "down"),
        h("span", {}, worst === "good" ? "All is well" : plural(store.problems.length, "problem"))]
      : [icon("starting"), h("span", {}, word)];
  });
  const state = store.isStale() ? "stale" : store.connection;
  rebuild(stream, [state, store.status?.version, store.status?.pid, store.status?.leaving], () => {
    stream.dataset.state = state;
    const version = store.status ? `· version ${store.status.version}, process ${store.status.pid}` : "";
    return [h("span", { class: "dot", "aria-hidden": "true" }), h("span", {}, state),
      h("span", { class: "wide-only" }, version, store.status?.leaving ? ", leaving" : "")];
  });
  announce(worst);
}

let announced = "";
let announcedAt = -Infinity;

/** Says when problems come and go, but not each second. */
function announce(worst) {
  if (store.status === null || performance.now() - announcedAt < ANNOUNCE_MS) return;
  const text = worst === "good" ? "All is well." : `${plural(store.problems.length, "problem")}. ${store.problems[0].what}`;
  if (text === announced) return;
  const isFirst = announced === "";
  announced = text;
  announcedAt = performance.now();
  if (!isFirst || worst !== "good") setText(announcer, text);
}

function frame() {
  document.getElementById("nav").append(h("ul", {}, NAVIGATION.map(([page, name, picture]) => {
    const key = keys.keyOf(page);
    return h("li", {}, h("a", { href: link(page === "" ? [] : [page]), "data-page": page, "aria-keyshortcuts": "g " + key },
      icon(picture), h("span", {}, name)), h("kbd", { "aria-hidden": "true" }, "g " + key));
  })));
  document.getElementById("top-state").append(health, stream);
  const label = () => `Theme: ${theme()}. Change it`;
  const themeButton = iconButton(theme(), label(), () => {
    themeButton.replaceChildren(icon(nextTheme()));
    themeButton.setAttribute("aria-label", label());
    themeButton.title = label();
  });
  document.getElementById("top-tools").append(themeButton, iconButton("help", "Keys (?)", () => keys.showHelp()));
  document.getElementById("skip").addEventListener("click", (event) => {
    event.preventDefault();
    main.focus();
  });
}

frame();
keys.listen();
authorization.addEventListener("unauthorized", lock);
for (const event of ["tick", "events", "connection"]) store.addEventListener(event, update);
// Times move on and a silent stream becomes stale without a message of the process.
setInterval(update, 1000);
window.addEventListener("hashchange", () => route());
route({ isFirst: true });
follow();
