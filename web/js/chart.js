// Graphs of the last five minutes: uPlot draws the lines, a legend above them shows the values at the pointer or the newest ones.

import { h, setAttribute, setText } from "./dom.js";
import { clock } from "./format.js";
import { HISTORY_S } from "./store.js";
import { colour, themes } from "./theme.js";

const HEIGHT = 150;
/** Each line has a dash of its own besides its colour. */
const DASHES = [[], [6, 4], [2, 3]];

/** All graphs show their pointers at the same second. */
const together = () => window.uPlot.sync("time");

/** What a scale of whole numbers goes up by. */
const WHOLE_STEPS = [0, 1, 2, 3, 4, 5, 6, 7, 8].flatMap((power) => [1, 2, 5].map((step) => step * 10 ** power));

/** `lines`: `{ label, colour, value(point), area }`; `format` writes a value; `whole` values have no parts. */
export class Chart {
  #lines;
  #format;
  #whole;
  #plot = null;
  #data = [[]];
  #values = [];
  #title;
  #at = h("span", { class: "chart-at" });
  #box = h("div", { class: "chart-box" });
  #resized;
  #onTheme = () => this.#draw();

  constructor({ title, lines, format, whole = false }) {
    this.#lines = lines;
    this.#format = format;
    this.#whole = whole;
    this.#title = title;
    const legend = lines.map((line, index) => {
      const value = h("b", {});
      this.#values.push(value);
      return h("span", { class: "legend-item" }, h("span", { class: `legend-line dash-${index} ${line.colour}`, "aria-hidden": "true" }),
        h("span", {}, line.label), value);
    });
    this.element = h("figure", { class: "chart" },
      h("figcaption", {}, h("span", { class: "chart-title" }, title), this.#at, h("span", { class: "legend" }, legend)), this.#box);
    this.#box.setAttribute("role", "img");
    this.#resized = new ResizeObserver(() => this.#resize());
    this.#resized.observe(this.#box);
    themes.addEventListener("change", this.#onTheme);
  }

  close() {
    themes.removeEventListener("change", this.#onTheme);
    this.#resized.disconnect();
    this.#plot?.destroy();
  }

  /** Shows these points. */
  show(points) {
    this.#data = [points.map((point) => point.at), ...this.#lines.map((line) => points.map((point) => line.value(point) ?? null))];
    if (this.#plot === null) this.#draw();
    else this.#plot.setData(this.#data, true);
    if (this.#plot?.cursor.idx === null || this.#plot?.cursor.idx === undefined) this.#legend(null);
    setAttribute(this.#box, "aria-label", this.#words());
  }

  #words() {
    const parts = this.#lines.map((line, index) => {
      const values = this.#data[index + 1].filter((value) => value !== null);
      if (values.length === 0) return line.label + ": no value";
      const [now, high] = [values.at(-1), Math.max(...values)];
      return `${line.label}: now ${this.#format(now)}, highest ${this.#format(high)}`;
    });
    return `${this.#title}, last 5 minutes. ${parts.join("; ")}.`;
  }

  #legend(index) {
    const at = index ?? this.#data[0].length - 1;
    this.#values.forEach((element, line) => {
      // At the newest second there may have been no request: the last value says more than a dash.
      const values = this.#data[line + 1];
      const value = index === null ? values.findLast((value) => value !== null) : values[at];
      setText(element, this.#format(value));
    });
    setText(this.#at, index === null ? "" : clock(this.#data[0][at] ?? 0));
  }

  #resize() {
    const width = Math.floor(this.#box.clientWidth);
    if (width > 0) this.#plot?.setSize({ width, height: HEIGHT });
  }

  #draw() {
    const width = Math.floor(this.#box.clientWidth);
    if (width === 0 || window.uPlot === undefined) return;
    this.#plot?.destroy();
    const [text, grid] = [colour("--text-quiet"), colour("--grid")];
    const font = "11px system-ui, sans-serif";
    const axis = { stroke: text, font, grid: { stroke: grid, width: 1 }, ticks: { show: false } };
    const series = this.#lines.map((line, index) => ({
      label: line.label,
      stroke: colour(`--${line.colour}`),
      fill: line.area ? colour(`--${line.colour}-area`) : undefined,
      width: 1.75,
      dash: DASHES[index],
      // A value without a neighbour makes no line.
      points: { show: (plot, line) => isAlone(plot.data[line]), size: 6, fill: colour(`--${line.colour}`) },
      spanGaps: true,
    }));
    this.#plot = new window.uPlot({
      width,
      height: HEIGHT,
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, sync: { key: together().key, setSeries: false }, points: { size: 7 } },
      scales: { x: { time: true, range: (_, __, max) => [max - HISTORY_S, max] }, y: { range: (_, __, max) => [0, ceiling(max)] } },
      series: [{}, ...series],
      axes: [
        { ...axis, size: 24, space: 44, incrs: [60, 120, 300], values: (_, splits) => splits.map(hourAndMinute) },
        { ...axis, size: 58, space: 36, ...(this.#whole ? { incrs: WHOLE_STEPS } : {}), values: (_, splits) => distinct(splits.map((value) => this.#format(value))) },
      ],
      // On the right there is room for half of the last time.
      padding: [8, 20, 0, 0],
      hooks: { setCursor: [(plot) => this.#legend(plot.cursor.idx ?? null)] },
    }, this.#data, this.#box);
  }
}

/** A scale that does not move with every value: the next of 1, 2 and 5 times a power of ten. */
function ceiling(max) {
  if (!(max > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(max * 1.05));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((step) => step * power).find((step) => step >= max * 1.05);
}

/** Whether there is one value and no more. */
function isAlone(values) {
  return values.filter((value) => value !== null).length === 1;
}

/** Leaves out what stands on the axis already. */
function distinct(words) {
  return words.map((word, index) => (words.indexOf(word) === index ? word : null));
}

function hourAndMinute(at) {
  return new Date(at * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });
}
