// The configuration in force, what commands have changed of it, and reloading.

import { change, explainFault, get } from "../api.js";
import { confirmation } from "../confirmation.js";
import { confirm } from "../dialog.js";
import { h, rebuild } from "../dom.js";
import { count, plural } from "../format.js";
import { icon } from "../icons.js";
import { heading, notice, panel } from "../parts.js";
import { store } from "../store.js";
import { toast } from "../toast.js";

/** How often the file is compared again. */
const REFRESH_MS = 10_000;

export const title = () => "Configuration";

export function open() {
  const [about, changes, text, result] = [h("p", { class: "pool-facts" }), h("div", { class: "stack" }), h("div", {}), h("div", { "aria-live": "polite" })];
  const generation = h("span", { class: "quiet" });
  let timer = null;
  const load = async () => {
    clearTimeout(timer);
    timer = setTimeout(load, REFRESH_MS);
    try {
      const found = await get("config");
      rebuild(about, [found.source], () => found.source ? ["From ", h("code", {}, found.source), ", defaults filled in."] : "From the command line, without a file.");
      rebuild(changes, [found.changes, found.runtime, found.file], () => differences(found));
      rebuild(text, found.text, () => code(found.text));
    } catch (fault) {
      rebuild(changes, fault.message, () => notice(explainFault(fault, "its configuration"), "warning"));
    }
  };
  const awaiting = confirmation();
  const reload = h("button", { type: "button", class: "button primary", on: { click: async () => {
    const { fields, wanted } = tryFields();
    const done = await confirm({
      title: "Reload the configuration", says: "The process reads its file again and checks all of it. A file with faults changes nothing. Otherwise it takes effect at once, and open connections stay open unless the file removes their listener.",
      fields, action: "Reload", submit: async (why) => {
        result.replaceChildren();
        try {
          return await change("POST", "reload", wanted(), why);
        } catch (fault) {
          // The faults with their carets belong on the page, where there is room for them.
          return { fault: fault.message };
        }
      },
    });
    if (done === null) return;
    if (done.fault === undefined) toast(`Reloaded: generation ${done.generation}.`);
    const warnings = (done.warnings ?? []).map((warning) => notice(warning, "warning"));
    result.replaceChildren(...(done.fault === undefined ? warnings : [notice("The configuration was not reloaded; the previous one stays in force.", "critical"), h("pre", { class: "fault", tabindex: "0", role: "region", "aria-label": "What is wrong with the configuration" }, done.fault)]));
    load();
  } } }, icon("reload"), "Reload");
  load();
  let shown = null;
  const update = () => {
    awaiting.show();
    const now = store.status?.generation;
    if (now === undefined || now === shown) return;
    if (shown !== null) load();
    shown = now;
    generation.textContent = `generation ${count(now)}`;
  };
  return { element: [heading("Configuration", generation, reload), about, awaiting.element, result, changes, text], update, close: () => clearTimeout(timer) };
}

/** Fields for a reload that goes back by itself; `wanted` is the body of the request. */
function tryFields() {
  const isTried = h("input", { type: "checkbox", name: "try" });
  const seconds = h("input", { type: "number", class: "input short", min: "1", max: "86400", value: "60", "aria-label": "Seconds" });
  const fields = [h("div", { class: "form-row" }, h("label", { class: "toggle" }, isTried, h("span", {}, "Go back unless I confirm within")), seconds, h("span", {}, "seconds"))];
  return { fields, wanted: () => (isTried.checked ? { confirm_seconds: Number(seconds.value) } : undefined) };
}

/** What is not as in the file, by its cause: the file has changed since it was loaded, or commands have changed what is in force. */
function differences({ changes = [], runtime = [], file = null, source }) {
  const parts = [inFile(file), byCommands(changes, runtime, source)].filter((part) => part !== null);
  if (parts.length > 0 || !source) return parts;
  return h("p", { class: "notice is-good" }, icon("up"), h("span", {}, "What is in force is what the file says."));
}

function inFile(file) {
  if (file?.fault) {
    return panel("The file is wrong", notice("A reload would fail; what is in force stays.", "critical"),
      h("pre", { class: "fault", tabindex: "0", role: "region", "aria-label": "The first fault of the file" }, file.fault));
  }
  if (!file?.changes?.length) return null;
  return panel(`${plural(file.changes.length, "change")} in the file since it was loaded`, sentences(file.changes), h("p", { class: "quiet" }, "A reload puts them in force."));
}

/** The file has no key for the state of a server. */
const isUnsaved = (change) => change?.kind === "state";

function byCommands(changes, runtime, source) {
  if (changes.length === 0) return null;
  if (!source) return panel(`${plural(changes.length, "change")} by commands`, sentences(changes), h("p", { class: "quiet" }, "They last until the process ends."));
  const [saved, unsaved] = [false, true].map((wanted) => changes.filter((_, index) => isUnsaved(runtime[index]) === wanted));
  return panel(`${plural(changes.length, "change")} by commands since it was loaded`,
    saved.length === 0 ? [] : [sentences(saved), h("p", { class: "quiet" }, h("code", {}, "evenkeel save"), " writes those that the file has a key for to it.")],
    unsaved.length === 0 ? [] : [sentences(unsaved), h("p", { class: "quiet" }, "The file has no key for the state of a server: it lasts until the server is enabled or the process ends.")]);
}

function sentences(list) {
  return h("ul", { class: "plain-list changes" }, list.map((sentence) => h("li", {}, sentence)));
}

/** The text with its lines numbered; comments and headings stand out. */
function code(text) {
  const lines = text.replace(/\n$/, "").split("\n").map((line) => {
    const kind = /^\s*#/.test(line) ? "comment" : /^\s*\[/.test(line) && !line.includes("=") ? "table" : "";
    return h("span", { class: "code-line " + kind }, line + "\n");
  });
  return panel("In force", h("pre", { class: "code", tabindex: "0", role: "region", "aria-label": "Configuration in force" }, h("code", {}, lines)));
}
