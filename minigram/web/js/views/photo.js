// One photo, with its comments. Both change live.

import { call, newKey, read, user as me } from "../api.js";
import { field, h, icon, link } from "../dom.js";
import { ago, nameOf } from "../format.js";
import { avatar, person } from "../parts/people.js";
import { pages } from "../parts/pages.js";
import { follow, likeButton, pictureBox, watchWhileShown } from "../parts/photo.js";
import { say } from "../parts/toasts.js";
import { go } from "../router.js";
import { problem } from "./missing.js";

const PAGE = 20;
const SIZES = "(min-width: 900px) 640px, 100vw";

export function photo({ found, signal, title }) {
  const place = h("div", { "aria-busy": "true" }, h("p", { class: "status" }, "Loading"));
  show(found[1], place, signal, title);
  return { title: "Photo", content: [place] };
}

async function show(id, place, signal, title) {
  try {
    const shown = await read(`/photos/${id}`, signal);
    place.replaceChildren(...page(shown, signal));
    title(`${nameOf(shown.author)}: ${shown.caption || "a photo"}`);
  } catch (error) {
    if (signal.aborted) return;
    place.replaceChildren(problem(error.status === 404 ? "This photo is not there, or no longer" : error.message));
  } finally {
    place.removeAttribute("aria-busy");
  }
}

function page(shown, signal) {
  const { author } = shown;
  const like = likeButton(shown);
  const comments = commentList(shown, signal);
  const state = (now) => {
    like.set(now.likes);
    comments.arrived();
  };
  follow(shown, { like: (message) => like.set(message.likes), comment: comments.arrived, state }, signal);
  const created = new Date(shown.created);
  const article = h("article", { class: "photo-page", "data-photo": shown.id },
    h("div", { class: "photo-large" }, pictureBox(shown, { sizes: SIZES, isFirst: true }, signal)),
    h("div", { class: "photo-side" },
      h("h1", { class: "hidden" }, `Photo by ${nameOf(author)}`),
      h("div", { class: "photo-head" }, person(author), me()?.name === author.name && removeButton(shown)),
      shown.caption && h("p", { class: "caption" }, shown.caption),
      h("div", { class: "actions" }, like.button, h("time", { datetime: shown.created, title: created.toLocaleString() }, ago(created))),
      ...comments.elements));
  watchWhileShown(shown, article, signal);
  return [article];
}

function removeButton(shown) {
  const remove = async () => {
    dialog.close();
    try {
      await call("DELETE", `/photos/${shown.id}`);
      say("The photo is deleted");
      go(`/@${shown.author.name}`, { replace: true });
    } catch (error) {
      say(error.message);
    }
  };
  const dialog = h("dialog", { class: "dialog", "aria-labelledby": "delete-title" },
    h("h2", { id: "delete-title" }, "Delete this photo?"),
    h("p", {}, "Its likes and comments go with it. This cannot be undone."),
    h("p", { class: "row end" },
      h("button", { type: "button", class: "button", autofocus: true, on: { click: () => dialog.close() } }, "Keep"),
      h("button", { type: "button", class: "button danger", on: { click: remove } }, "Delete")));
  const button = h("button", { type: "button", class: "action", "aria-label": "Delete this photo", on: { click: () => dialog.showModal() } }, icon("trash"));
  return h("span", {}, button, dialog);
}

function commentList(shown, signal) {
  const list = h("ol", { class: "comments", "aria-label": "Comments" });
  const known = new Set();
  const item = (comment) => {
    known.add(String(comment.id));
    const created = new Date(comment.created);
    return h("li", {}, avatar(comment.author, "small"),
      h("div", {}, h("p", {}, link(`/@${comment.author.name}`, { class: "caption-by" }, comment.author.name), " ", comment.text),
        h("time", { datetime: comment.created }, ago(created))));
  };
  const load = async (before) => {
    const answer = await read(`/photos/${shown.id}/comments?limit=${PAGE}${before ? `&before=${before}` : ""}`, signal);
    return { items: answer.comments.filter((comment) => !known.has(String(comment.id))), next: answer.next };
  };
  const { end } = pages({ list, load, show: item, empty: () => h("p", { class: "status" }, "No comments yet."), signal });
  const add = (comment) => {
    if (known.has(String(comment.id))) return;
    list.prepend(item(comment));
  };
  // A message has the ids of a comment; its text is read.
  const arrived = async () => {
    const { items } = await load(null).catch(() => ({ items: [] }));
    items.reverse().forEach(add);
  };
  return { elements: [me() ? commentForm(shown, add) : h("p", { class: "status" }, link("/sign-in", {}, "Sign in"), " to comment."), list, end], arrived };
}

function commentForm(shown, add) {
  const text = h("input", { name: "comment", required: true, maxlength: 500, autocomplete: "off" });
  const button = h("button", { class: "button primary" }, "Send");
  // What was sent last, and its key: sent again unchanged, it is the same comment.
  let sent = null;
  const submit = async (event) => {
    event.preventDefault();
    if (!text.value.trim()) return;
    button.disabled = true;
    if (sent?.text !== text.value) sent = { text: text.value, key: newKey() };
    try {
      add(await call("POST", `/photos/${shown.id}/comments`, { body: { text: sent.text }, key: sent.key }));
      text.value = "";
      sent = null;
    } catch (error) {
      say(error.message);
    }
    button.disabled = false;
    text.focus();
  };
  return h("form", { class: "comment-form", on: { submit } }, field("Add a comment", text), button);
}
