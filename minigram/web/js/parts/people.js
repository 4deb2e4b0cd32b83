// Users on pages: their sign, their link, the button that follows them.

import { call, user as me } from "../api.js";
import { h, link } from "../dom.js";
import { nameOf } from "../format.js";
import { say } from "./toasts.js";

const COLOURS = 8;

/** A circle with the first letter, in a colour that follows from the name. */
export function avatar(user, size = "") {
  const sum = [...user.name].reduce((hash, letter) => (hash * 31 + letter.codePointAt(0)) >>> 0, 7);
  const letter = [...nameOf(user)][0].toUpperCase();
  return h("span", { class: `avatar avatar-${sum % COLOURS} ${size}`, "aria-hidden": "true" }, letter);
}

/** A user in a row: sign and names, as a link. */
export function person(user, ...more) {
  const names = h("span", { class: "names" }, h("strong", {}, nameOf(user)), h("span", { class: "at" }, `@${user.name}`));
  return h("div", { class: "person" }, link(`/@${user.name}`, { class: "person-link" }, avatar(user), names), ...more);
}

/** The button that follows a user, or ends that; `changed` gets whether it is so now. */
export function followButton(user, isFollowed, changed = () => {}) {
  if (!me() || me().name === user.name) return null;
  const button = h("button", { type: "button", class: "button follow" });
  const show = () => {
    button.textContent = isFollowed ? "Following" : "Follow";
    button.setAttribute("aria-label", `${button.textContent} ${nameOf(user)}`);
    button.classList.toggle("primary", !isFollowed);
  };
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await call(isFollowed ? "DELETE" : "PUT", `/users/${user.name}/follow`);
      isFollowed = !isFollowed;
      changed(isFollowed);
    } catch (error) {
      say(error.message);
    }
    button.disabled = false;
    show();
    button.focus();
  });
  show();
  return button;
}
