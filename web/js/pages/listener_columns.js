// The columns of listeners on the overview.

import { h, rebuild, setText } from "../dom.js";
import { count, plural, rate } from "../format.js";
import { icon } from "../icons.js";
import { spark } from "../spark.js";
import { store } from "../store.js";
import { errorCell } from "./pool_columns.js";

export function listenerColumns() {
  return [
    { key: "name", label: "Listener", isHeader: true, sort: (listener) => listener.name, make: makeName },
    { key: "tls", label: "Certificates", className: "medium-only", make: (cell) => (listener) => showCertificates(cell, listener) },
    { key: "rps", label: "Requests/s", numeric: true, sort: (listener) => listener.now?.rps, make: makeRate },
    { key: "errors", label: "Errors", numeric: true, sort: (listener) => listener.now?.errors, make: errorCell },
    { key: "open", label: "Relayed connections", numeric: true, className: "wide-only", sort: (listener) => listener.streams?.open, text: (listener) => count(listener.streams?.open) },
  ];
}

function makeName(cell) {
  const [name, below] = [h("span", { class: "strong" }), h("span", { class: "below" })];
  cell.append(name, below);
  return (listener) => {
    setText(name, listener.name);
    setText(below, listener.addresses.join(", "));
  };
}

function makeRate(cell) {
  const [shape, value] = [spark("medium-only"), h("span", {})];
  cell.append(h("span", { class: "with-spark" }, shape.element, value));
  return (listener) => {
    shape.show(store.points.map((point) => point.listeners?.[listener.name]?.rps ?? 0));
    setText(value, rate(listener.now?.rps));
  };
}

function showCertificates(cell, { tls }) {
  const certificates = tls?.certificates ?? [];
  rebuild(cell, certificates, () => {
    if (certificates.length === 0) return h("span", { class: "quiet" }, "no TLS");
    const first = certificates.reduce((a, b) => (a.days_left <= b.days_left ? a : b));
    const left = first.days_left < 0 ? "expired" : `${plural(first.days_left, "day")} left`;
    const names = h("span", { class: "below", title: first.names.join(", ") }, first.names.join(", "));
    const severity = first.days_left < 0 ? "critical" : first.warning ? "warning" : null;
    return [severity ? h("span", { class: "badge is-" + severity }, icon("warning"), left) : h("span", {}, left), names];
  });
}
