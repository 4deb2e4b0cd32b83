// The feed of those whom the user follows; without a session, the way in.

import { read, user as me } from "../api.js";
import { h, icon, link } from "../dom.js";
import { ago, nameOf, number } from "../format.js";
import { live } from "../live.js";
import { follow, likeButton, pictureBox, watchWhileShown } from "../parts/photo.js";
import { avatar } from "../parts/people.js";
import { pages } from "../parts/pages.js";
import { refresh } from "../router.js";
import { welcome } from "./sign.js";

const PAGE = 10;
const SIZES = "(min-width: 640px) 600px, 100vw";

export function feed({ signal }) {
  if (!me()) return welcome();
  const list = h("div", { class: "feed", role: "feed", "aria-label": "Photos" });
  const fresh = h("button", { type: "button", class: "button fresh", hidden: true, on: { click: () => refresh() } }, "New photos");
  let isFirst = true;
  const show = (photo) => {
    const element = card(photo, isFirst, signal);
    isFirst = false;
    return element;
  };
  const load = async (before) => {
    const answer = await read(`/feed?limit=${PAGE}${before ? `&before=${before}` : ""}`, signal);
    return { items: answer.photos, next: answer.next };
  };
  const { end } = pages({ list, load, show, empty: nothing, signal });
  live.addEventListener("photo", () => { fresh.hidden = false; }, { signal });
  return { title: "Feed", content: [h("h1", { class: "hidden" }, "Feed"), fresh, list, end] };
}

const nothing = () => h("div", { class: "empty" },
  icon("camera"), h("h2", {}, "Nothing here yet"), h("p", {}, "Follow people to see their photos, or post the first one."),
  h("p", { class: "row" }, link("/search", { class: "button primary" }, "Find people"), link("/upload", { class: "button" }, "Post a photo")));

function card(photo, isFirst, signal) {
  const { author } = photo;
  const created = new Date(photo.created);
  const like = likeButton(photo);
  const comments = h("span", { class: "count" }, number(photo.comments));
  const setComments = (now) => {
    photo.comments = now;
    comments.textContent = number(now);
  };
  const state = (now) => {
    like.set(now.likes);
    setComments(now.comments);
  };
  follow(photo, { like: (message) => like.set(message.likes), comment: () => setComments(photo.comments + 1), state }, signal);
  const title = `by-${photo.id}`;
  const element = h("article", { class: "card", "aria-labelledby": title, "data-photo": photo.id },
    h("header", { class: "card-head" },
      link(`/@${author.name}`, { class: "person-link", id: title }, avatar(author), h("span", { class: "names" }, h("strong", {}, nameOf(author)), h("span", { class: "at" }, `@${author.name}`))),
      h("time", { datetime: photo.created, title: created.toLocaleString() }, ago(created))),
    link(`/p/${photo.id}`, { class: "card-picture" }, pictureBox(photo, { sizes: SIZES, isFirst }, signal)),
    h("div", { class: "card-foot" },
      h("div", { class: "actions" }, like.button,
        link(`/p/${photo.id}`, { class: "action", "aria-label": `Comments, ${number(photo.comments)}` }, icon("comment"), comments)),
      photo.caption && h("p", { class: "caption" }, link(`/@${author.name}`, { class: "caption-by" }, author.name), " ", photo.caption)));
  watchWhileShown(photo, element, signal);
  return element;
}
