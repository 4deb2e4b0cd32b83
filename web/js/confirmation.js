// A configuration that goes back by itself unless an operator confirms it: how long is left, and both buttons.

import { change } from "./api.js";
import { h, setText } from "./dom.js";
import { duration } from "./format.js";
import { icon } from "./icons.js";
import { store } from "./store.js";
import { toast } from "./toast.js";

async function decide(goBack) {
  try {
    const { generation } = await change("POST", "confirm", { go_back: goBack });
    toast(goBack ? `The previous configuration is in force again, as generation ${generation}.` : `Generation ${generation} is confirmed.`);
  } catch (fault) {
    toast(fault.message, { severity: "critical" });
  }
}

/** An element, and a function that shows it while a configuration awaits its confirmation. */
export function confirmation() {
  const text = h("span", {});
  const button = (label, goBack, kind) => h("button", { type: "button", class: "button small " + kind, on: { click: () => decide(goBack) } }, label);
  const element = h("div", { class: "notice is-warning awaiting", hidden: true }, icon("warning"), text,
    button("Confirm it", false, ""), button("Go back now", true, ""));
  const show = () => {
    const awaiting = store.status?.awaiting_confirmation;
    element.hidden = !awaiting;
    if (awaiting) setText(text, `The configuration in force goes back in ${duration(awaiting.seconds_left)} unless it is confirmed.`);
  };
  return { element, show };
}
