// Lists that go on when their end comes into view.

import { h } from "../dom.js";

/** How far before the end the next page is read. */
const AHEAD = "1200px";

/**
 * Fills `list` page by page: `load(before)` returns `{ items, next }`, `show` makes an element of an item. The button at the end does the
 * same for keyboards, and after a failure. `empty` is shown instead of a list without items.
 */
export function pages({ list, load, show, empty, signal }) {
  const more = h("button", { type: "button", class: "button more" }, "Show more");
  const status = h("p", { class: "status", role: "status" });
  const end = h("div", { class: "pages-end" }, status, more);
  let next = null;
  let isLoading = false;
  let isOver = false;
  let loaded = 0;
  const step = async () => {
    if (isLoading || isOver || signal.aborted) return;
    isLoading = true;
    more.hidden = true;
    let hasFailed = false;
    list.setAttribute("aria-busy", "true");
    try {
      const page = await load(next);
      if (signal.aborted) return;
      list.append(...page.items.map(show));
      next = page.next ?? null;
      loaded += 1;
      isOver = next === null;
      status.textContent = isOver && loaded > 1 ? "That is all." : "";
      if (isOver && list.children.length === 0) end.replaceChildren(empty());
    } catch (error) {
      if (signal.aborted) return;
      hasFailed = true;
      status.textContent = error.message;
      more.textContent = "Try again";
      isOver = true;
      more.addEventListener("click", () => { isOver = false; }, { once: true, capture: true });
    } finally {
      isLoading = false;
      list.removeAttribute("aria-busy");
      more.hidden = isOver && !hasFailed;
    }
    // The end may still be in view, which the observer reports only once.
    if (!isOver) {
      observer.unobserve(end);
      observer.observe(end);
    }
  };
  more.addEventListener("click", step);
  const observer = new IntersectionObserver((entries) => { if (entries.some((entry) => entry.isIntersecting)) step(); }, { rootMargin: AHEAD });
  observer.observe(end);
  signal.addEventListener("abort", () => observer.disconnect(), { once: true });
  return { end, first: step };
}
