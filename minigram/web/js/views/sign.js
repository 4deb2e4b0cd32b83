// Signing in and up, and what visitors without a session see.

import { signIn, signUp } from "../api.js";
import { field, h, icon, link } from "../dom.js";
import { go } from "../router.js";

const PASSWORD_MIN = 8;

export const welcome = () => ({
  title: "Welcome",
  content: [h("section", { class: "welcome" },
    h("div", { class: "welcome-text" },
      h("h1", {}, "Photos from people you follow."),
      h("p", { class: "lead" }, "Post a photo, and it is with your followers in a moment. Likes and comments come in live."),
      h("ul", { class: "points" },
        h("li", {}, icon("camera"), "JPEG, PNG, WebP or GIF, up to 10 MiB"),
        h("li", {}, icon("heart"), "Likes and comments, live"),
        h("li", {}, icon("person"), "Follow whom you like"))),
    h("div", { class: "panel" }, form("up"), h("p", { class: "other" }, "You have an account? ", link("/sign-in", {}, "Sign in"))))],
});

export const signInPage = () => page("Sign in", "in", "You have no account? ", link("/sign-up", {}, "Sign up"));
export const signUpPage = () => page("Sign up", "up", "You have an account? ", link("/sign-in", {}, "Sign in"));

const page = (title, way, ...other) => ({ title, content: [h("section", { class: "narrow panel" }, h("h1", {}, title), form(way), h("p", { class: "other" }, ...other))] });

function form(way) {
  const isNew = way === "up";
  const name = h("input", { name: "name", autocomplete: "username", required: true, minlength: 3, maxlength: 30, pattern: "[A-Za-z0-9_]+", autocapitalize: "none", spellcheck: "false" });
  const display = h("input", { name: "display_name", autocomplete: "name", maxlength: 50 });
  const password = h("input", { name: "password", type: "password", autocomplete: isNew ? "new-password" : "current-password", required: true, minlength: isNew ? PASSWORD_MIN : null, maxlength: 200 });
  const fault = h("p", { class: "fault", role: "alert" });
  const button = h("button", { class: "button primary wide" }, isNew ? "Create account" : "Sign in");
  const submit = async (event) => {
    event.preventDefault();
    fault.textContent = "";
    button.disabled = true;
    try {
      if (isNew) await signUp({ name: name.value, password: password.value, display_name: display.value, bio: "" });
      else await signIn(name.value, password.value);
      go("/");
    } catch (error) {
      fault.textContent = error.message;
      button.disabled = false;
      (error.status === 409 ? name : password).focus();
    }
  };
  return h("form", { class: "form", on: { submit }, "aria-label": isNew ? "Sign up" : "Sign in" },
    field("User name", name, isNew ? "3 to 30 letters, digits or _" : null),
    isNew && field("Display name (optional)", display),
    field("Password", password, isNew ? `At least ${PASSWORD_MIN} characters` : null),
    fault, button);
}
