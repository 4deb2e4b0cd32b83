// Starts the pages: the session first, then the bar, the page of the address, and the live connection.

import { read, session, token, user } from "./api.js";
import { h, icon, link } from "./dom.js";
import { live, start as startLive, watching } from "./live.js";
import { avatar } from "./parts/people.js";
import { say } from "./parts/toasts.js";
import { start as startRouter } from "./router.js";

function bar() {
  const item = (href, name, label) => link(href, { class: "bar-item" }, icon(name), h("span", {}, label));
  const me = user();
  document.querySelector("#bar").replaceChildren(h("div", { class: "bar-inner" },
    link("/", { class: "brand", "aria-label": "MiniGram, to the feed" }, h("span", { class: "brand-mark", "aria-hidden": "true" }), h("span", { class: "brand-name" }, "MiniGram")),
    h("nav", { "aria-label": "Main" },
      item("/", "home", "Feed"), item("/search", "search", "Search"), me && item("/upload", "plus", "Post"),
      me ? link(`/@${me.name}`, { class: "bar-item" }, avatar(me, "small"), h("span", {}, "Profile")) : item("/sign-in", "person", "Sign in"))));
  for (const anchor of document.querySelectorAll("#bar nav a")) if (new URL(anchor.href).pathname === location.pathname) anchor.setAttribute("aria-current", "page");
}

/** Says what happened to the user's photos, and who follows them now. */
function notify({ detail }) {
  if (!detail.notice) return;
  const by = detail.by ?? detail.author;
  const name = by?.display_name || by?.name || "Somebody";
  const photo = `/p/${detail.photo}`;
  const texts = { like: [`${name} likes your photo`, photo], comment: [`${name} commented on your photo`, photo], photo: [`${name} posted a photo`, photo], follow: [`${name} follows you`, by?.name && `/@${by.name}`] };
  if (texts[detail.kind]) say(...texts[detail.kind]);
}

/** Messages were lost: reads anew the numbers that are shown. */
async function catchUp() {
  for (const photo of watching()) {
    const now = await read(`/photos/${photo}`).catch(() => null);
    if (now) live.dispatchEvent(new CustomEvent("state", { detail: { ...now, photo } }));
  }
}

/** A session that the browser still has is renewed before anything is shown. */
await token().catch((error) => say(error.message));
session.addEventListener("change", bar);
bar();
startRouter();
startLive();
for (const kind of ["like", "comment", "follow", "photo"]) live.addEventListener(kind, notify);
live.addEventListener("lost", catchUp);
