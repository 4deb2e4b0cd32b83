// What stands where there is no page, or where it cannot be read.

import { h, link } from "../dom.js";

export const missing = () => ({ title: "Not found", content: [problem("There is no such page")] });

/** A page-wide message, with a way on. */
export const problem = (text) => h("div", { class: "empty" }, h("h1", {}, text), h("p", {}, link("/", { class: "button" }, "To the feed")));
