// Keys of the whole dashboard. None of them acts while an operator types or a dialog is open.

import * as dialogs from "./dialog.js";
import { h } from "./dom.js";
import { go } from "./router.js";

/** The second key after `g`. */
const PAGES = [
  ["o", "Overview", []],
  ["p", "Pools", ["pools"]],
  ["c", "Cache", ["cache"]],
  ["e", "Events", ["events"]],
  ["x", "Explain", ["explain"]],
  ["r", "Requests", ["requests"]],
  ["f", "Configuration", ["config"]],
];
/** How long after `g` its second key counts. */
const SECOND_MS = 1500;

/** The key of a page after `g`, by its first part. */
export function keyOf(page) {
  return PAGES.find(([, , parts]) => (parts[0] ?? "") === page)?.[0];
}

/** When `g` was pressed. */
let armed = -Infinity;

/** Begins to listen. */
export function listen() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || dialogs.isOpen()) return;
    if (isTyping(event.target)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const isArmed = performance.now() - armed < SECOND_MS;
    armed = -Infinity;
    if (isArmed) {
      const page = PAGES.find(([key]) => key === event.key);
      if (page) {
        event.preventDefault();
        go(page[2]);
      }
    } else if (event.key === "g") {
      armed = performance.now();
    } else if (event.key === "/") {
      event.preventDefault();
      const filter = document.querySelector("#main [data-filter]");
      filter?.focus();
      filter?.select?.();
    } else if (event.key === "?") {
      event.preventDefault();
      showHelp();
    }
  });
}

function isTyping(target) {
  return target.matches?.("input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable]") ?? false;
}

/** Shows the keys. */
export function showHelp() {
  const key = (...keys) => keys.map((name) => h("kbd", {}, name));
  const row = (keys, what) => h("tr", {}, h("td", {}, keys), h("td", {}, what));
  return dialogs.open("Keys", () => [
    h("table", { class: "keys" }, h("caption", { class: "hidden-text" }, "Keys and what they do"),
      h("thead", { class: "hidden-text" }, h("tr", {}, h("th", { scope: "col" }, "Key"), h("th", { scope: "col" }, "What it does"))),
      h("tbody", {},
        row(key("/"), "go to the filter of this page"),
        PAGES.map(([second, name]) => row(key("g", second), name)),
        row(key("?"), "show this help"),
        row(key("Esc"), "leave a field or close a dialog"))),
    h("p", { class: "quiet" }, "Tab and Shift+Tab move between links, buttons and fields; Enter follows or presses them."),
  ], "narrow");
}
