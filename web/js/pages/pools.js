// All pools, with a filter for those that have a server which is not up.

import { h, setText } from "../dom.js";
import { matches, sortFromQuery, sortToQuery, textFilter, toggle } from "../filters.js";
import { count } from "../format.js";
import { heading } from "../parts.js";
import { isAmiss } from "../states.js";
import { store } from "../store.js";
import { Table } from "../table.js";
import { poolColumns } from "./pool_columns.js";

export const title = () => "Pools";

export function open() {
  const table = new Table({
    caption: "Pools", columns: poolColumns(), rowKey: ({ name }) => name, empty: "No pool matches.",
    sort: sortFromQuery(), onSort: sortToQuery,
  });
  const shown = h("span", { class: "quiet", role: "status" });
  const changed = () => update({ filterChanged: true });
  const text = textFilter("Filter pools and servers", "q", changed);
  const down = toggle("Only with servers that are not up", "down", changed);

  function update({ filterChanged = false } = {}) {
    const pools = store.status?.pools ?? [];
    const fits = pools.filter((pool) => (!down.value() || pool.servers.some(isAmiss) || pool.usable === 0)
      && (text.value() === "" || matches(text.value(), pool.name, ...pool.servers.flatMap(({ id, address }) => [id, address]))));
    table.show(fits, { filterChanged });
    setText(shown, fits.length === pools.length ? count(pools.length) : `${count(fits.length)} of ${count(pools.length)}`);
  }
  const element = [
    heading("Pools", shown), h("div", { class: "filters", role: "search" }, text.element, down.element),
    h("section", { class: "panel", "aria-label": "Pools" }, table.element),
  ];
  return { element, update, close: () => table.close() };
}
