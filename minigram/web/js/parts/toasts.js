// Short messages in the corner. The region is live, so that a screen reader reads them.

import { h, link } from "../dom.js";

const SHOWN_MS = 7_000;
const TOASTS_MAX = 4;

/** Says something; with `href` it leads to a page. */
export function say(text, href = null) {
  const region = document.querySelector("#toasts");
  const close = h("button", { type: "button", class: "toast-close", "aria-label": "Close", on: { click: () => toast.remove() } }, "×");
  const toast = h("div", { class: "toast" }, href ? link(href, {}, text) : h("span", {}, text), close);
  region.append(toast);
  while (region.children.length > TOASTS_MAX) region.firstElementChild.remove();
  let timer = setTimeout(() => toast.remove(), SHOWN_MS);
  // Who reads it, or is on its button, has as long as it takes.
  const hold = () => clearTimeout(timer);
  const release = () => { timer = setTimeout(() => toast.remove(), SHOWN_MS); };
  for (const event of ["mouseenter", "focusin"]) toast.addEventListener(event, hold);
  for (const event of ["mouseleave", "focusout"]) toast.addEventListener(event, release);
}
