// Pieces that several pages are made of: headings, tiles, panels, notices and times.

import { h, setAttribute, setText } from "./dom.js";
import { ago, clock } from "./format.js";
import { icon } from "./icons.js";
import { spark } from "./spark.js";
import { store } from "./store.js";

/** The heading of a page, with what stands beside it. */
export function heading(title, ...beside) {
  return h("header", { class: "page-head" }, h("h1", { tabindex: "-1" }, title), beside);
}

/** A section with a heading of its own. */
export function panel(title, ...children) {
  return h("section", { class: "panel" }, title ? h("h2", {}, title) : null, children);
}

/** A figure with its name: `show(text, values, severity, label)`; `name` is for tests and style. */
export function tile(label, name, { line = true, title = null } = {}) {
  const value = h("span", { class: "tile-value", "data-tile": name });
  const caption = h("span", { class: "tile-label" }, label);
  const shape = line ? spark() : null;
  const element = h("div", { class: "tile", title }, caption, value, shape?.element);
  const show = (text, values = null, severity = null, newLabel = label) => {
    setText(value, text);
    setText(caption, newLabel);
    if (values !== null) shape?.show(values);
    setAttribute(element, "data-severity", severity);
  };
  return { element, show };
}

/** Tiles in a row. */
export function tiles(label, list) {
  return h("div", { class: "tiles", role: "group", "aria-label": label }, list.map(({ element }) => element));
}

/** A sentence in place of what cannot be shown. */
export function notice(text, severity = "info") {
  return h("p", { class: "notice is-" + severity }, icon(severity === "critical" ? "down" : severity === "warning" ? "warning" : "info"),
    h("span", {}, text));
}

/** A time as `3 min ago`, with the local time for the pointer and screen readers; `show(at)` also moves it on. */
export function time() {
  const element = h("time", {});
  const show = (at) => {
    if (element.at !== at) {
      element.at = at;
      element.setAttribute("datetime", new Date(at * 1000).toISOString());
      element.setAttribute("title", clock(at));
    }
    setText(element, ago(at, store.now()));
  };
  return { element, show };
}

/** A bar for a share from 0 to 1, and the share in words. */
export function shareBar(text) {
  const fill = h("span", { class: "share-fill" });
  const word = h("span", { class: "share-word" });
  const element = h("span", { class: "share" }, h("span", { class: "share-bar", "aria-hidden": "true" }, fill), word);
  const show = (share) => {
    const width = Math.round(Math.min(1, Math.max(0, share ?? 0)) * 100) + "%";
    if (fill.style.width !== width) fill.style.width = width;
    setText(word, text(share));
  };
  return { element, show };
}

/** Names and values. */
export function facts(rows) {
  return h("dl", { class: "facts" }, rows.filter((row) => row !== null).map(([name, value]) =>
    h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

/** The ratio of errors to requests; none where there was no request. */
export function errorRatio(now) {
  if (!now || now.rps === null || now.rps === undefined) return null;
  return now.rps > 0 ? Math.min(1, now.errors / now.rps) : 0;
}

/** How bad a ratio of errors is. */
export function ratioSeverity(ratio) {
  if (ratio === null || ratio === 0) return null;
  return ratio >= 0.01 ? "critical" : "warning";
}
