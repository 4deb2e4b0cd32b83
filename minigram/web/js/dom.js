// Elements out of values. Texts become text nodes and never markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element: `on` are listeners, `class` and all else are attributes; `false` and `null` leave one out. */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function fill(element, { on = {}, ...attributes }, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  for (const [event, listener] of Object.entries(on)) element.addEventListener(event, listener);
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const PATHS = {
  camera: "M4 8h3l2-3h6l2 3h3v11H4z M12 10.2a3.3 3.3 0 1 0 0 6.6 3.3 3.3 0 0 0 0-6.6z",
  comment: "M4 5h16v11H11l-4.5 4v-4H4z",
  heart: "M12 20.3 4.6 12.9a4.9 4.9 0 0 1 6.9-6.9l.5.5.5-.5a4.9 4.9 0 0 1 6.9 6.9z",
  home: "M4 11 12 4l8 7v9h-5.5v-6h-5v6H4z",
  person: "M12 4.2a3.9 3.9 0 1 0 0 7.8 3.9 3.9 0 0 0 0-7.8z M4.5 20c.8-4 3.8-6 7.5-6s6.7 2 7.5 6z",
  plus: "M12 5v14 M5 12h14",
  search: "M10.5 4.5a6 6 0 1 0 0 12 6 6 0 0 0 0-12z M15 15l5 5",
  trash: "M5 7h14 M10 4h4 M7 7l1 13h8l1-13",
};

/** A picture beside a text or in a button that has a name; hidden from assistive technology. */
export function icon(name) {
  const svg = fill(document.createElementNS(SVG, "svg"), { class: `icon icon-${name}`, viewBox: "0 0 24 24", "aria-hidden": "true" }, []);
  svg.append(fill(document.createElementNS(SVG, "path"), { d: PATHS[name] }, []));
  return svg;
}

/** A link to a page of MiniGram or elsewhere. */
export const link = (href, attributes, ...children) => h("a", { href, ...attributes }, ...children);

/** A field with its label; `hint` says what is right. */
export function field(label, input, hint = null) {
  const id = input.id || `field-${(fields += 1)}`;
  input.id = id;
  if (hint) input.setAttribute("aria-describedby", `${id}-hint`);
  return h("div", { class: "field" }, h("label", { for: id }, label), input, hint && h("p", { class: "hint", id: `${id}-hint` }, hint));
}
let fields = 0;
