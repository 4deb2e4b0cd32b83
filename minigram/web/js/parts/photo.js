// What a photo has in the feed and on its page alike: likes that change live, and the picture once it is ready.

import { call, read, user as me } from "../api.js";
import { h, icon } from "../dom.js";
import { counted, number } from "../format.js";
import { live, watch } from "../live.js";
import { picture } from "./picture.js";
import { say } from "./toasts.js";

/** How often to look whether a photo is ready, when no message says so. */
const LOOK_MS = 4_000;

/** The button that likes a photo, with the number of likes. */
export function likeButton(photo) {
  const count = h("span", { class: "count" });
  const button = h("button", { type: "button", class: "action like" }, icon("heart"), count);
  let { likes, liked = false } = photo;
  const show = () => {
    count.textContent = number(likes);
    button.setAttribute("aria-pressed", String(liked));
    button.setAttribute("aria-label", `Like, ${counted(likes, "like", "likes")}`);
  };
  let wanted = liked;
  let isSending = false;
  button.addEventListener("click", async () => {
    if (!me()) {
      say("Sign in to like photos", "/sign-in");
      return;
    }
    wanted = !wanted;
    likes += wanted ? 1 : -1;
    liked = wanted;
    show();
    // One call at a time; the last click counts.
    if (isSending) return;
    isSending = true;
    let sent = !wanted;
    try {
      while (sent !== wanted) {
        sent = wanted;
        const answer = await call(sent ? "PUT" : "DELETE", `/photos/${photo.id}/like`);
        if (typeof answer?.likes === "number" && sent === wanted) likes = answer.likes;
      }
    } catch (error) {
      likes += wanted ? -1 : 1;
      liked = wanted = !wanted;
      say(error.message);
    }
    isSending = false;
    show();
  });
  show();
  const set = (now) => {
    if (isSending || now === likes) return;
    likes = now;
    show();
    button.classList.remove("changed");
    // The animation begins anew only after the browser has seen it without.
    void button.offsetWidth;
    button.classList.add("changed");
  };
  return { button, set };
}

/** Calls the functions of `on`, one for each kind of message, for what happens to a photo that is watched. Ends with `signal`. */
export function follow(photo, on, signal) {
  for (const [kind, listener] of Object.entries(on)) {
    // A notice is for the user, wherever they are; the photo has a message of its own.
    const isMeant = (detail) => detail.photo === photo.id && (!detail.notice || kind === "ready");
    live.addEventListener(kind, ({ detail }) => { if (isMeant(detail)) listener(detail); }, { signal });
  }
}

/** Watches a photo while its element is near the window. */
export function watchWhileShown(photo, element, signal) {
  let unwatch = null;
  const end = () => {
    unwatch?.();
    unwatch = null;
  };
  const observer = new IntersectionObserver((entries) => {
    if (!entries.at(-1).isIntersecting) return end();
    unwatch ??= watch(photo.id);
    return null;
  }, { rootMargin: "600px" });
  observer.observe(element);
  signal.addEventListener("abort", () => {
    observer.disconnect();
    end();
  }, { once: true });
}

/** The picture in a box, which shows it as soon as it is ready. */
export function pictureBox(photo, options, signal) {
  const box = h("div", { class: "picture-box" }, picture(photo, options));
  if (photo.state === "ready") return box;
  const look = async () => {
    const now = await read(`/photos/${photo.id}`, signal).catch(() => null);
    if (now?.state !== "ready" || signal.aborted || photo.state === "ready") return;
    Object.assign(photo, { state: now.state, urls: now.urls });
    clearInterval(timer);
    box.replaceChildren(picture(photo, options));
  };
  const timer = setInterval(look, LOOK_MS);
  signal.addEventListener("abort", () => clearInterval(timer), { once: true });
  follow(photo, { ready: look }, signal);
  return box;
}
