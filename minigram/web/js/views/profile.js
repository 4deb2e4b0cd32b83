// A user: who they are, how many follow them, and their photos.

import { read, saveProfile, signOut, user as me } from "../api.js";
import { field, h, icon, link } from "../dom.js";
import { nameOf, number } from "../format.js";
import { avatar, followButton } from "../parts/people.js";
import { pages } from "../parts/pages.js";
import { describe, picture } from "../parts/picture.js";
import { say } from "../parts/toasts.js";
import { go, refresh } from "../router.js";
import { problem } from "./missing.js";

const PAGE = 24;
const SIZES = "(min-width: 900px) 290px, 33vw";

export function profile({ found, signal, title }) {
  const place = h("div", { "aria-busy": "true" }, h("p", { class: "status" }, "Loading"));
  show(found[1], place, signal, title);
  return { title: `@${found[1]}`, content: [place] };
}

async function show(name, place, signal, title) {
  try {
    const user = await read(`/users/${name}`, signal);
    place.replaceChildren(head(user), ...grid(user, signal));
    title(nameOf(user));
  } catch (error) {
    if (signal.aborted) return;
    place.replaceChildren(problem(error.status === 404 ? "There is no such user" : error.message));
  } finally {
    place.removeAttribute("aria-busy");
  }
}

function head(user) {
  const followers = h("strong", {}, number(user.followers));
  const changed = (isNow) => {
    user.followers += isNow ? 1 : -1;
    followers.textContent = number(user.followers);
  };
  const figure = (value, name) => h("li", {}, value, ` ${name}`);
  return h("header", { class: "profile" }, avatar(user, "large"),
    h("div", { class: "profile-text" },
      h("div", { class: "row" }, h("h1", {}, nameOf(user)), followButton(user, user.followed ?? false, changed), me()?.name === user.name && own(user)),
      h("p", { class: "at" }, `@${user.name}`),
      h("ul", { class: "figures" }, figure(h("strong", {}, number(user.photos)), "photos"), figure(followers, "followers"), figure(h("strong", {}, number(user.following)), "following")),
      user.bio && h("p", { class: "bio" }, user.bio)));
}

function own(user) {
  const display = h("input", { name: "display_name", maxlength: 50, value: user.display_name, autocomplete: "name" });
  const bio = h("textarea", { name: "bio", maxlength: 300, rows: 3 }, user.bio);
  const submit = async (event) => {
    event.preventDefault();
    try {
      await saveProfile({ display_name: display.value, bio: bio.value });
      dialog.close();
      refresh();
    } catch (error) {
      say(error.message);
    }
  };
  const dialog = h("dialog", { class: "dialog", "aria-labelledby": "edit-title" },
    h("form", { class: "form", on: { submit } }, h("h2", { id: "edit-title" }, "Your profile"), field("Display name", display), field("About you", bio),
      h("p", { class: "row end" }, h("button", { type: "button", class: "button", on: { click: () => dialog.close() } }, "Cancel"), h("button", { class: "button primary" }, "Save"))));
  const leave = () => signOut().catch((error) => say(error.message)).then(() => go("/"));
  return h("span", { class: "row" }, h("button", { type: "button", class: "button", on: { click: () => dialog.showModal() } }, "Edit profile"),
    h("button", { type: "button", class: "button", on: { click: leave } }, "Sign out"), dialog);
}

function grid(user, signal) {
  const list = h("ul", { class: "grid", "aria-label": "Photos" });
  const show = (photo) => h("li", {}, link(`/p/${photo.id}`, { title: describe(photo) }, picture(photo, { sizes: SIZES, isSquare: true })));
  const load = async (before) => {
    const answer = await read(`/users/${user.name}/photos?limit=${PAGE}${before ? `&before=${before}` : ""}`, signal);
    return { items: answer.photos, next: answer.next };
  };
  const isOwn = me()?.name === user.name;
  const empty = () => h("div", { class: "empty" }, icon("camera"), h("h2", {}, "No photos yet"), isOwn && h("p", {}, link("/upload", { class: "button primary" }, "Post the first one")));
  const { end } = pages({ list, load, show, empty, signal });
  return [h("h2", { class: "hidden" }, "Photos"), list, end];
}
