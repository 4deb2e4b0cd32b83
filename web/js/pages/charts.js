// The charts of requests and of latency: of the whole process, and of one pool.

import { Chart } from "../chart.js";
import { ms, rate } from "../format.js";

/** `at` gives the part of a point whose figures are drawn; it may be missing. */
export function requestsChart(at) {
  return new Chart({ title: "Requests/s", format: rate, lines: [
    { label: "requests", colour: "line-1", area: true, value: (point) => at(point)?.rps },
    { label: "errors", colour: "line-2", value: (point) => at(point)?.errors },
  ] });
}

/** The same of latencies. */
export function latencyChart(at) {
  return new Chart({ title: "Latency", format: ms, lines: ["p50", "p95", "p99"].map((key, index) => (
    { label: key, colour: `line-${index + 3}`, value: (point) => at(point)?.[key] })) });
}
