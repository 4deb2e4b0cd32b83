// Keeps the page and its filters in the fragment of the URL, so that links, bookmarks and the back button work whatever path the
// dashboard is served at.

/** Splits `#/pools/api?down=1` into decoded parts and a query. */
export function parse(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const parts = path.split("/").filter((part) => part !== "").map(decode);
  return { parts, query: new URLSearchParams(query) };
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The fragment of a page. */
export function link(parts, query = {}) {
  const present = Object.entries(query).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const search = new URLSearchParams(present).toString();
  return "#/" + parts.map(encodeURIComponent).join("/") + (search === "" ? "" : "?" + search);
}

/** Goes to a page. */
export function go(parts, query) {
  location.hash = link(parts, query);
}

/** The query of the present page. */
export function query() {
  return parse(location.hash).query;
}

/** Changes the query in place: typing in a filter makes no entry in the history. */
export function setQuery(changes) {
  const { parts, query } = parse(location.hash);
  for (const [name, value] of Object.entries(changes)) {
    if (value === "" || value === null || value === undefined || value === false) query.delete(name);
    else query.set(name, value === true ? "1" : value);
  }
  history.replaceState(null, "", link(parts, Object.fromEntries(query)));
}
