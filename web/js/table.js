// Tables that sort, keep their rows in place while an operator points at them, and build only the rows that can be seen, so that
// thousands of rows scroll smoothly.

import { h, setAttribute, setChildren, setText } from "./dom.js";

/** Rows above and below what can be seen: Tab reaches them before the next ones are built. */
const SPARE = 8;
/** Below so many rows, all are built: find-in-page sees them. */
const ALL_MAX = 80;

/**
 * `columns`: `{ key, label, title, numeric, className, sort(row), text(row) }`, or `make(td)` in place of `text`, which builds the
 * cell once and returns a function that updates it from a row.
 */
export class Table {
  #columns;
  #options;
  #body = h("tbody");
  #heads = new Map();
  #built = new Map();
  #rows = [];
  #order = [];
  #sort;
  #pointed = false;
  #scroller = document.getElementById("main");
  #caption;
  #scheduled = false;
  #onScroll = () => this.#schedule();

  constructor({ caption, columns, rowKey, rowHeight = 44, empty = "Nothing here.", sort = null, onSort = () => {}, className = "" }) {
    this.#columns = columns;
    this.#options = { rowKey, rowHeight, empty, onSort };
    this.#sort = sort;
    this.#caption = h("caption", { class: "hidden-text" }, caption);
    const heads = columns.map((column) => this.#head(column));
    this.element = h("table", { class: "table " + className }, this.#caption, h("thead", {}, h("tr", {}, heads)), this.#body);
    this.element.style.setProperty("--row", rowHeight + "px");
    this.element.addEventListener("pointerenter", () => { this.#pointed = true; });
    this.element.addEventListener("pointerleave", () => { this.#pointed = false; });
    this.#body.addEventListener("focusin", () => {
      // At once: the next Tab may come before the next frame.
      if (this.#order.length > ALL_MAX) this.#render({ isScroll: true });
    });
    this.#scroller.addEventListener("scroll", this.#onScroll, { passive: true });
    window.addEventListener("resize", this.#onScroll, { passive: true });
    this.#showSort();
  }

  /** Ends its listeners. */
  close() {
    this.#scroller.removeEventListener("scroll", this.#onScroll);
    window.removeEventListener("resize", this.#onScroll);
  }

  /** Shows these rows. Their order stays while the pointer or the focus is in the table, so that no button moves away under it. */
  show(rows, { filterChanged = false } = {}) {
    this.#rows = rows;
    const isHeld = !filterChanged && (this.#pointed || this.#body.contains(document.activeElement));
    const before = isHeld ? new Map(this.#order.map((row, index) => [this.#options.rowKey(row), index])) : null;
    this.#order = before === null ? this.#sorted(rows) : hold(this.#sorted(rows), before, this.#options.rowKey);
    setAttribute(this.element, "aria-rowcount", rows.length + 1);
    this.#render();
  }

  #head(column) {
    const { key, label, title, numeric, sort, className = "" } = column;
    const cell = h("th", { scope: "col", class: `key-${key} ${numeric ? "numeric " : ""}${className}`, title });
    if (sort) {
      cell.append(h("button", { type: "button", class: "sorter", on: { click: () => this.#sortBy(column) } }, label,
        h("span", { class: "sorter-arrow", "aria-hidden": "true" })));
    } else {
      cell.append(column.hideLabel ? h("span", { class: "hidden-text" }, label) : label);
    }
    this.#heads.set(key, cell);
    return cell;
  }

  #sortBy({ key, numeric }) {
    const isSame = this.#sort?.key === key;
    // Numbers begin with the largest, words with A; the third click returns to the order of the configuration.
    const first = Boolean(numeric);
    if (!isSame) this.#sort = { key, descending: first };
    else if (this.#sort.descending === first) this.#sort = { key, descending: !first };
    else this.#sort = null;
    this.#options.onSort(this.#sort);
    this.#showSort();
    this.#order = this.#sorted(this.#rows);
    this.#render();
  }

  #showSort() {
    for (const [key, cell] of this.#heads) {
      const isIt = this.#sort?.key === key;
      setAttribute(cell, "aria-sort", isIt ? (this.#sort.descending ? "descending" : "ascending") : null);
    }
  }

  #sorted(rows) {
    const column = this.#sort && this.#columns.find(({ key }) => key === this.#sort.key);
    if (!column?.sort) return [...rows];
    const sign = this.#sort.descending ? -1 : 1;
    const keyed = rows.map((row, index) => ({ row, index, by: column.sort(row) }));
    keyed.sort((a, b) => compare(a.by, b.by, sign) || a.index - b.index);
    return keyed.map(({ row }) => row);
  }

  #schedule() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    requestAnimationFrame(() => {
      this.#scheduled = false;
      if (this.element.isConnected) this.#render({ isScroll: true });
    });
  }

  /** While it scrolls, only rows that come into view are written. */
  #render({ isScroll = false } = {}) {
    const { rowKey, rowHeight, empty } = this.#options;
    if (this.#order.length === 0) {
      this.#built.clear();
      if (this.#body.firstElementChild?.dataset.empty !== empty) {
        const cell = h("td", { colspan: this.#shownColumns(), class: "empty" }, empty);
        setChildren(this.#body, h("tr", { "data-empty": empty }, cell));
      }
      return;
    }
    const indexes = this.#visible(rowHeight);
    const focused = this.#order.findIndex((row) => this.#built.get(rowKey(row))?.element.contains(document.activeElement));
    // The row with the focus stays, wherever it is: without it, the focus would be lost. So do those beside it, for Tab.
    const beside = focused < 0 ? [] : [-2, -1, 0, 1, 2].map((step) => focused + step);
    const more = beside.filter((index) => index >= 0 && index < this.#order.length && !indexes.includes(index));
    indexes.push(...more);
    indexes.sort((a, b) => a - b);

    const children = [];
    const built = new Map();
    const wanted = new Set(indexes.map((index) => rowKey(this.#order[index])));
    // Rows that went out of view are written anew for those that came: to build a row costs much more.
    const spare = [...this.#built].filter(([key]) => !wanted.has(key)).map(([, row]) => row);
    let next = 0;
    for (const index of indexes) {
      if (index > next) children.push(spacer((index - next) * rowHeight));
      const row = this.#order[index];
      const key = rowKey(row);
      const known = this.#built.get(key);
      const it = known ?? reused(spare.pop()) ?? this.#build();
      built.set(key, it);
      if (!isScroll || known === undefined) {
        setAttribute(it.element, "data-key", key);
        setAttribute(it.element, "aria-rowindex", index + 2);
        it.update(row);
      }
      children.push(it.element);
      next = index + 1;
    }
    if (next < this.#order.length) children.push(spacer((this.#order.length - next) * rowHeight));
    this.#built = built;
    this.#place(children);
  }

  #shownColumns() {
    return [...this.#heads.values()].filter((head) => head.offsetParent !== null).length || this.#columns.length;
  }

  /** Puts rows in place without moving those that stay. */
  #place(children) {
    const wanted = new Set(children);
    for (const child of [...this.#body.children]) if (!wanted.has(child)) child.remove();
    children.forEach((child, index) => {
      if (this.#body.children[index] !== child) this.#body.insertBefore(child, this.#body.children[index] ?? null);
    });
  }

  #visible(rowHeight) {
    const total = this.#order.length;
    if (total <= ALL_MAX) return [...Array(total).keys()];
    const top = this.#scroller.getBoundingClientRect().top - this.#body.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(top / rowHeight) - SPARE);
    const last = Math.min(total, Math.ceil((top + this.#scroller.clientHeight) / rowHeight) + SPARE);
    return [...Array(Math.max(0, last - first)).keys()].map((index) => index + first);
  }

  #build() {
    const element = h("tr");
    const updates = this.#columns.map((column) => {
      const cell = h(column.isHeader ? "th" : "td",
        { class: (column.numeric ? "numeric " : "") + (column.className ?? ""), scope: column.isHeader ? "row" : null });
      element.append(cell);
      return column.make ? column.make(cell) : (row) => setText(cell, column.text(row));
    });
    return { element, update: (row) => updates.forEach((update) => update(row)) };
  }
}

/** Out of its place, so that the rows that stay are not moved around it: a moved element loses its focus. */
function reused(row) {
  row?.element.remove();
  return row;
}

/** The height of rows that are not built. Its one cell spans nothing, because hidden columns would come back. */
function spacer(height) {
  const row = h("tr", { class: "spacer", "aria-hidden": "true" }, h("td"));
  row.firstChild.style.height = height + "px";
  return row;
}

/** Rows that were there keep their places; new ones follow. */
function hold(rows, before, rowKey) {
  const place = (row) => before.get(rowKey(row)) ?? Infinity;
  return rows.map((row, index) => ({ row, index })).sort((a, b) => {
    const [x, y] = [place(a.row), place(b.row)];
    return x === y ? a.index - b.index : x - y;
  }).map(({ row }) => row);
}

/** Rows without a value come last, whichever way the others are sorted. */
function compare(a, b, sign) {
  const [noA, noB] = [a === null || a === undefined, b === null || b === undefined];
  if (noA || noB) return noA - noB;
  if (typeof a === "string") return sign * a.localeCompare(b, "en", { numeric: true });
  return sign * (a - b);
}
