// Finding users by the beginning of their name.

import { read } from "../api.js";
import { field, h } from "../dom.js";
import { counted } from "../format.js";
import { person } from "../parts/people.js";

const TYPING_MS = 200;
const RESULTS = 20;

export function search({ signal, query }) {
  const input = h("input", { type: "search", name: "q", value: query.get("q") ?? "", autocomplete: "off", autocapitalize: "none", spellcheck: "false", maxlength: 30 });
  const list = h("ul", { class: "results" });
  const status = h("p", { class: "status", role: "status" });
  let last = null;
  const look = async () => {
    last?.abort();
    last = new AbortController();
    const mine = last;
    const text = input.value.trim().replace(/^@/, "").toLowerCase();
    history.replaceState(history.state, "", text ? `/search?q=${encodeURIComponent(text)}` : "/search");
    if (!text) {
      list.replaceChildren();
      status.textContent = "Type the beginning of a name.";
      return;
    }
    try {
      const { users } = await read(`/users?prefix=${encodeURIComponent(text)}&limit=${RESULTS}`, AbortSignal.any([mine.signal, signal]));
      list.replaceChildren(...users.map((user) => h("li", {}, person(user))));
      status.textContent = users.length ? counted(users.length, "person", "people") : `No name begins with “${text}”.`;
    } catch (error) {
      if (error.name !== "AbortError") status.textContent = error.message;
    }
  };
  let timer = null;
  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(look, TYPING_MS);
  };
  input.addEventListener("input", later);
  const submit = (event) => {
    event.preventDefault();
    look();
  };
  look();
  return { title: "Search", content: [h("section", { class: "narrow" }, h("h1", {}, "Search"), h("form", { role: "search", on: { submit } }, field("Find people by name", input)), status, list)] };
}
