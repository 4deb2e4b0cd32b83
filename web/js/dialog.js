// Dialogs: the browser's own keep the focus inside, close with Esc and return the focus where it was.

import { h } from "./dom.js";
import { iconButton } from "./icons.js";

let numbers = 0;
/** Closes each dialog that is open. */
const leaves = new Set();

/** Opens a dialog; resolves when it is closed. `build(close)` gives what is in it. */
export function open(title, build, className = "") {
  numbers += 1;
  const id = "dialog-" + numbers;
  let before = document.activeElement;
  return new Promise((resolve) => {
    const dialog = h("dialog", { class: "dialog " + className, "aria-labelledby": id });
    let result = null;
    const close = (value = null) => {
      result = value;
      dialog.close();
    };
    dialog.append(
      h("header", { class: "dialog-head" }, h("h2", { id }, title), iconButton("close", "Close", () => close())),
      ...[build(close)].flat(),
    );
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog) close();
    });
    const leave = () => {
      // The focus belongs to the new page.
      before = null;
      close();
    };
    leaves.add(leave);
    dialog.addEventListener("close", () => {
      leaves.delete(leave);
      dialog.remove();
      if (before?.isConnected) before.focus();
      resolve(result);
    });
    document.body.append(dialog);
    dialog.showModal();
    dialog.querySelector("[autofocus]")?.focus();
  });
}

/** Closes all dialogs without doing what they ask about: the page that they belong to is left. */
export function closeAll() {
  for (const leave of leaves) leave();
}

/** Whether a dialog is open: keys belong to it. */
export function isOpen() {
  return document.querySelector("dialog[open]") !== null;
}

/**
 * Says what will happen and asks for a reason, which is optional. `fields` are more elements of the form; `submit(why)` does it, and
 * what it throws is shown in the dialog. Resolves to what `submit` returned, or null.
 */
export function confirm({ title, says, fields = [], action, danger = false, submit }) {
  return open(title, (close) => {
    const why = h("input", { type: "text", name: "why", maxlength: "200", autocomplete: "off", class: "input", autofocus: !fields.some((field) => field.querySelector?.("[autofocus]")) });
    const fault = h("pre", { class: "fault", role: "alert", hidden: true });
    const go = h("button", { type: "submit", class: "button " + (danger ? "danger" : "primary") }, action);
    const form = h("form", { class: "dialog-form", on: { submit: async (event) => {
      event.preventDefault();
      go.disabled = true;
      fault.hidden = true;
      try {
        close((await submit(why.value.trim())) ?? true);
      } catch (error) {
        fault.hidden = false;
        fault.textContent = error.message;
        go.disabled = false;
      }
    } } },
    h("p", {}, says), fields,
    h("label", { class: "field" }, h("span", {}, "Why? ", h("span", { class: "quiet" }, "(optional, for the log)")), why),
    fault,
    h("div", { class: "dialog-buttons" }, h("button", { type: "button", class: "button", on: { click: () => close() } }, "Cancel"), go));
    return form;
  });
}
