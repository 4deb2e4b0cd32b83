// Builds elements without markup in strings, so that nothing that came from outside can become markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element. `attributes`: `class`, `on` (listeners by event), properties, and attributes; `null` and `false` leave out. */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (name === "class") {
      element.setAttribute("class", value);
    } else if (name === "value" || name === "checked" || name === "htmlFor") {
      element[name] = value;
    } else {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Changes a text only if it differs: most of a page stays as it is from tick to tick. */
export function setText(element, text) {
  const wanted = text === null || text === undefined ? "" : String(text);
  if (element.textContent !== wanted) element.textContent = wanted;
}

/** Changes an attribute only if it differs; `null` removes it. */
export function setAttribute(element, name, value) {
  if (value === null || value === false) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
  } else if (element.getAttribute(name) !== String(value)) {
    element.setAttribute(name, String(value));
  }
}

/** Changes what an element holds, keeping children that stay. */
export function setChildren(element, ...children) {
  const wanted = children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
  const same = wanted.length === element.childNodes.length
    && wanted.every((child, index) => child === element.childNodes[index]);
  if (!same) element.replaceChildren(...wanted);
}

/** Rebuilds an element only when `key` differs from the last time. */
export function rebuild(element, key, build) {
  const text = typeof key === "string" ? key : JSON.stringify(key);
  if (element.builtFrom === text) return;
  element.builtFrom = text;
  setChildren(element, build());
}
