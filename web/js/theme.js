// The switch between the system's theme, light and dark.

const KEY = "evenkeel-theme";
const NEXT = { auto: "light", light: "dark", dark: "auto" };

/** Dispatches `change` when colours change, for what is drawn on a canvas. */
export const themes = new EventTarget();

const system = matchMedia("(prefers-color-scheme: dark)");
system.addEventListener("change", () => themes.dispatchEvent(new Event("change")));

/** `auto`, `light` or `dark`. */
export function theme() {
  return document.documentElement.dataset.theme ?? "auto";
}

/** Takes the next of the three and remembers it. */
export function nextTheme() {
  const next = NEXT[theme()];
  if (next === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  try {
    if (next === "auto") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, next);
  } catch {
    // It lasts until the page is left.
  }
  themes.dispatchEvent(new Event("change"));
  return next;
}

/** The present value of a custom property of the style sheet. */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
