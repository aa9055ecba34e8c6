// A page as a value: `h` describes elements, `show` makes a part of the document look so, changing as little as it can.
// Focus, selection and the position of scrolling stay where they are. No markup is ever parsed.

const SVG = "http://www.w3.org/2000/svg";
const asProperties = new Set(["checked", "disabled", "hidden", "indeterminate", "muted", "readOnly", "selected", "value"]);

/**
 * Describes one element. `properties` may be null. `onclick` and its like are listeners; `key` tells siblings apart;
 * `created` is called with the new element; `custom` has CSS custom properties; the rest are attributes, left out where
 * they are null, undefined or false, and empty where true. Children may be nested lists, text, numbers, null or false.
 */
export function h(name, properties, ...children) {
  return { name, properties: properties ?? {}, key: properties?.key, children: children.flat(Infinity).filter(isShown).map(asNode) };
}

const isShown = (child) => child !== null && child !== undefined && child !== false && child !== true && child !== "";
const asNode = (child) => (typeof child === "object" ? child : { text: String(child) });

const shown = new WeakMap();

/** Makes `root` hold what `children` describe, and nothing else. */
export function show(root, ...children) {
  if (!shown.has(root)) root.replaceChildren();
  const described = children.flat(Infinity).filter(isShown).map(asNode);
  changeChildren(root, shown.get(root) ?? [], described, root.namespaceURI === SVG);
  shown.set(root, described);
}

function changeChildren(parent, before, after, isDrawing) {
  const keyed = new Map();
  const others = [];
  for (const node of before) {
    if (node.key !== undefined) keyed.set(node.key, node);
    else others.push(node);
  }
  const kept = new Set();
  const pairs = after.map((node) => {
    let old = node.key !== undefined ? keyed.get(node.key) : undefined;
    if (node.key === undefined) {
      const index = others.findIndex((other) => other.name === node.name);
      if (index >= 0) old = others.splice(0, index + 1).at(-1);
    }
    if (old && (old.name !== node.name || kept.has(old))) old = undefined;
    if (old) kept.add(old);
    return [old, node];
  });
  for (const node of before) if (!kept.has(node)) node.element.remove();
  let place = parent.firstChild;
  for (const [old, node] of pairs) {
    if (old) change(old, node, isDrawing);
    else create(node, isDrawing);
    if (node.element === place) place = place.nextSibling;
    else parent.insertBefore(node.element, place);
    if (!old) node.properties?.created?.(node.element);
  }
}

function create(node, isDrawing) {
  if (node.text !== undefined) {
    node.element = document.createTextNode(node.text);
    return;
  }
  const isInDrawing = isDrawing || node.name === "svg";
  node.element = isInDrawing ? document.createElementNS(SVG, node.name) : document.createElement(node.name);
  for (const [name, value] of Object.entries(node.properties)) setProperty(node.element, name, value, undefined);
  changeChildren(node.element, [], node.children, isInDrawing && node.name !== "foreignObject");
  if ("value" in node.properties && node.name === "select") node.element.value = node.properties.value;
}

function change(old, node, isDrawing) {
  const element = (node.element = old.element);
  if (node.text !== undefined) {
    if (old.text !== node.text) element.data = node.text;
    return;
  }
  for (const name of Object.keys(old.properties)) {
    if (!(name in node.properties)) setProperty(element, name, undefined, old.properties[name]);
  }
  for (const [name, value] of Object.entries(node.properties)) {
    if (value !== old.properties[name] || asProperties.has(name)) setProperty(element, name, value, old.properties[name]);
  }
  changeChildren(element, old.children, node.children, isDrawing || node.name === "svg");
}

function setProperty(element, name, value, old) {
  if (name === "key" || name === "created") return;
  if (name.startsWith("on")) {
    if (old) element.removeEventListener(name.slice(2), old);
    if (value) element.addEventListener(name.slice(2), value);
  } else if (name === "custom") {
    for (const [property, text] of Object.entries(value ?? {})) element.style.setProperty(property, text);
  } else if (name === "value" && element.localName === "option") {
    // Without the attribute, the value of an option is its text.
    element.setAttribute("value", value ?? "");
  } else if (asProperties.has(name) && name in element) {
    const next = name === "value" ? (value ?? "") : Boolean(value);
    if (element[name] !== next) element[name] = next;
  } else if (value === undefined || value === null || value === false) {
    element.removeAttribute(name);
  } else if (element.getAttribute(name) !== String(value === true ? "" : value)) {
    element.setAttribute(name, value === true ? "" : value);
  }
}

/** A drawing of 24 by 24 units, decorative unless it has a `label`. `paths` are stroked lines. */
export function icon(paths, label) {
  return h(
    "svg",
    { class: "icon", viewBox: "0 0 24 24", role: label ? "img" : null, "aria-label": label ?? null, "aria-hidden": label ? null : "true" },
    [paths].flat().map((d) => h("path", { d })),
  );
}
