// Short messages about changes by the operator, with a button to undo them.

import { h } from "./dom.js";
import { icon, iconButton } from "./icons.js";

const LIFE_MS = 12_000;
const SHOWN_MAX = 4;

const box = document.getElementById("toasts");

/** Shows `text`; `action` is `{ label, run }`. It stays while the pointer or the focus is on it. */
export function toast(text, { severity = "good", action = null } = {}) {
  const element = h("div", { class: "toast is-" + severity, role: severity === "critical" ? "alert" : "status" });
  let timer = null;
  const close = () => {
    clearTimeout(timer);
    element.remove();
  };
  const wait = () => {
    clearTimeout(timer);
    timer = setTimeout(close, LIFE_MS);
  };
  const stay = () => clearTimeout(timer);
  element.append(icon({ good: "up", critical: "down" }[severity] ?? "info"), h("span", { class: "toast-text" }, text));
  if (action !== null) {
    const undo = () => {
      close();
      action.run();
    };
    element.append(h("button", { type: "button", class: "button small", on: { click: undo } }, action.label));
  }
  element.append(iconButton("close", "Close this message", close));
  for (const event of ["pointerenter", "focusin"]) element.addEventListener(event, stay);
  for (const event of ["pointerleave", "focusout"]) element.addEventListener(event, wait);
  box.append(element);
  while (box.children.length > SHOWN_MAX) box.firstChild.remove();
  wait();
}
