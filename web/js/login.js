// The field for the token, shown when the API demands one; this tab keeps it until it is closed.

import { forgetToken, hasToken, useToken } from "./api.js";
import { h } from "./dom.js";

/** The form; `onToken` runs with the token kept. */
export function loginPage(onToken) {
  const wasRefused = hasToken();
  forgetToken();
  const input = h("input", { type: "password", class: "input wide", id: "token", required: true, autocomplete: "off", spellcheck: "false" });
  const element = h("section", { class: "login panel" },
    h("h1", { tabindex: "-1" }, "This API demands its token"),
    h("p", {}, "The token is in the file that ", h("code", {}, "[admin] token_file"), " names. This tab keeps it until you close it."),
    wasRefused ? h("p", { class: "fault", role: "alert" }, "The token is wrong.") : null,
    h("form", { on: { submit: (event) => {
      event.preventDefault();
      useToken(input.value.trim());
      onToken();
    } } },
    h("label", { class: "field", htmlFor: "token" }, h("span", {}, "Token"), input),
    h("button", { type: "submit", class: "button primary" }, "Open the dashboard")));
  return { element, focus: () => input.focus() };
}
