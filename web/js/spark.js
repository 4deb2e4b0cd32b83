// A line without axes for a cell of a table or a tile: the shape of the last minute.

import { setAttribute, svg } from "./dom.js";

const [WIDTH, HEIGHT] = [84, 20];
const SECONDS = 60;

/** An element, and a function that shows values in it, oldest first. */
export function spark(className = "") {
  const line = svg("path", { class: "spark-line" });
  const area = svg("path", { class: "spark-area" });
  const element = svg("svg", {
    class: "spark " + className, viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true", focusable: "false",
  }, area, line);
  const show = (values) => {
    const shown = values.slice(-SECONDS);
    const max = Math.max(...shown.map((value) => value ?? 0), 1e-9);
    const x = (index) => ((index + SECONDS - shown.length) / (SECONDS - 1)) * WIDTH;
    const y = (value) => HEIGHT - 1.5 - ((value ?? 0) / max) * (HEIGHT - 3);
    const points = shown.map((value, index) => `${x(index).toFixed(1)} ${y(value).toFixed(1)}`);
    setAttribute(line, "d", points.length < 2 ? "" : "M" + points.join("L"));
    setAttribute(area, "d", points.length < 2 ? "" : `M${x(0).toFixed(1)} ${HEIGHT}L${points.join("L")}L${WIDTH} ${HEIGHT}Z`);
  };
  return { element, show };
}
