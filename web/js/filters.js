// Fields that narrow down a page, kept in its URL.

import { h } from "./dom.js";
import { query, setQuery } from "./router.js";

/** A field for text; the key `/` goes to the first one of a page. */
export function textFilter(label, name, onChange, { placeholder = label, type = "search", width = "", attributes = {} } = {}) {
  const input = h("input", {
    type, class: "input " + width, placeholder, "aria-label": label, value: query().get(name) ?? "", autocomplete: "off", spellcheck: "false",
    ...(type === "search" ? { "data-filter": true } : {}), ...attributes,
    on: { input: () => {
      setQuery({ [name]: input.value.trim() });
      onChange();
    } },
  });
  return { element: input, value: () => input.value.trim() };
}

/** A switch. */
export function toggle(label, name, onChange) {
  const input = h("input", { type: "checkbox", checked: query().get(name) === "1", on: { change: () => {
    setQuery({ [name]: input.checked });
    onChange();
  } } });
  return { element: h("label", { class: "toggle" }, input, h("span", {}, label)), value: () => input.checked };
}

/** A choice; the first of `options` (`[value, word]`) is none. */
export function choice(label, name, options, onChange) {
  const present = query().get(name) ?? "";
  const select = h("select", { class: "input", "aria-label": label, on: { change: () => {
    setQuery({ [name]: select.value });
    onChange();
  } } }, options.map(([value, word]) => h("option", { value, selected: value === present }, word)));
  return { element: select, value: () => select.value };
}

/** How a table is sorted, from and to the URL: `sort=p95` or `sort=-p95`. */
export function sortFromQuery() {
  const text = query().get("sort");
  if (!text) return null;
  return text.startsWith("-") ? { key: text.slice(1), descending: true } : { key: text, descending: false };
}

/** Keeps it. */
export function sortToQuery(sort) {
  setQuery({ sort: sort === null ? "" : (sort.descending ? "-" : "") + sort.key });
}

/** Whether each word of `text` is in one of `parts`. */
export function matches(text, ...parts) {
  const all = parts.filter(Boolean).join(" ").toLowerCase();
  return text.toLowerCase().split(/\s+/).every((word) => all.includes(word));
}
