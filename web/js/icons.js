// The few pictures of the dashboard, drawn as paths, because glyphs of fonts look different on each system.

import { h, svg } from "./dom.js";

/** On a grid of 16, drawn with a line of 1.6; those in `FILLED` are areas. */
const PATHS = {
  up: "M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM5 8.2l2.1 2.1L11.2 6",
  starting: "M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM8 4.5V8l2.3 1.6",
  draining: "M8 1.6c2.7 3.2 4.4 5.7 4.4 8.3a4.4 4.4 0 0 1-8.8 0c0-2.6 1.7-5.1 4.4-8.3zM6 10.4c.2 1 .9 1.6 1.9 1.7",
  down: "M5.2 1.5h5.6l3.7 3.7v5.6l-3.7 3.7H5.2l-3.7-3.7V5.2zM5.8 5.8l4.4 4.4M10.2 5.8l-4.4 4.4",
  ejected: "M8 2.2 14 9.3H2zM2.3 13h11.4",
  unfit: "M8 1.7 15 14H1zM8 6v4M8 12v.2",
  disabled: "M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM6.2 5.5v5M9.8 5.5v5",
  warning: "M8 1.7 15 14H1zM8 6v4M8 12v.2",
  info: "M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM8 7.2v4M8 4.8v.2",
  overview: "M2 9.5a6 6 0 1 1 12 0M8 9.5l3-3.5M2 13h12",
  pools: "M2 2.5h12v4.2H2zM2 9.3h12v4.2H2zM4.7 4.6h.1M4.7 11.4h.1",
  cache: "M2.5 4c0-1.2 2.5-2 5.5-2s5.5.8 5.5 2v8c0 1.2-2.5 2-5.5 2s-5.5-.8-5.5-2zM2.5 4c0 1.2 2.5 2 5.5 2s5.5-.8 5.5-2M2.5 8c0 1.2 2.5 2 5.5 2s5.5-.8 5.5-2",
  events: "M2 4h1M2 8h1M2 12h1M6 4h8M6 8h8M6 12h8",
  explain: "M3 2.5v3.2c0 2 1.3 3.3 3.3 3.3H13M10 5.8 13.2 9 10 12.2M3 9v4.5",
  requests: "M7 2a5 5 0 1 0 0 10A5 5 0 0 0 7 2zM10.7 10.7 14.5 14.5M7 4.5V7l1.8 1.2",
  config: "M2 4.5h7M12 4.5h2M2 11.5h2M7 11.5h7M10.5 2.8v3.4M5.5 9.8v3.4",
  light: "M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1.1 1.1M11.9 11.9 13 13M13 3l-1.1 1.1M4.1 11.9 3 13",
  dark: "M13.5 9.7A6 6 0 0 1 6.3 2.5a6 6 0 1 0 7.2 7.2z",
  auto: "M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM8 1.5v13M8 4.5h4.7M8 8h6.4M8 11.5h4.7",
  help: "M5.7 6c0-1.4 1-2.3 2.4-2.3s2.3.9 2.3 2.1c0 1.7-2.4 1.9-2.4 3.7M8 12.2v.2",
  weight: "M8 2v11.5M5 13.5h6M3 4.5h10M3 4.5 1.2 9h3.6zM13 4.5 11.2 9h3.6z",
  back: "M9.5 3.5 5 8l4.5 4.5",
  close: "M4 4l8 8M12 4l-8 8",
  reload: "M13.5 6.5A5.8 5.8 0 1 0 13.8 9M13.5 2.5v4h-4",
};

/** A picture that says nothing by itself: a word stands beside it. */
export function icon(name) {
  return svg("svg", { class: "icon icon-" + name, viewBox: "0 0 16 16", "aria-hidden": "true", focusable: "false" },
    svg("path", { d: PATHS[name] ?? PATHS.info }));
}

/** A link or button that shows a picture and has its word for screen readers. */
export function iconButton(name, label, onClick) {
  return h("button", { type: "button", class: "button quiet square", "aria-label": label, title: label, on: { click: onClick } },
    icon(name));
}
