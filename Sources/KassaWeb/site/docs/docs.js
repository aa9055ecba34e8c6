// The API reference: everything on it is read from this server's own description, /openapi.json.

import { chooseLanguage, language, languages as spoken, onLanguage } from "/shared/language.js";
import { h, icon, show } from "/shared/view.js";
import { goodResponse, operationsOf } from "./operations.js";
import { panel, preparePanel, serverCard, turnTo } from "./panel.js";
import { field, fields, typeOf } from "./schema.js";
import { inBrowser } from "./storage.js";
import { marked, prose } from "./text.js";
import { say } from "./texts.js";

const root = document.getElementById("docs");
const menuDrawing = ["M4 7h16", "M4 12h16", "M4 17h16"];
const closeDrawing = ["M6 6l12 12", "M18 6L6 18"];

const state = { document: undefined, operations: [], byID: new Map(), operation: undefined, search: "", isMenuOpen: false, failure: undefined };
const parts = {};

function announce(text) {
  document.getElementById("said").textContent = text;
}

// ------------------------------------------------------------------------------------------------------------- reading

async function read() {
  state.failure = undefined;
  try {
    const response = await fetch("/openapi.json");
    if (!response.ok) throw new Error(String(response.status));
    state.document = await response.json();
  } catch (error) {
    state.failure = error.message;
    show(root, h("main", { class: "failure" },
      h("p", { class: "notice danger", role: "alert" }, say("failed", { reason: error.message })),
      h("button", { type: "button", class: "button", onclick: read }, say("again"))));
    return;
  }
  state.operations = operationsOf(state.document);
  state.byID = new Map(state.operations.map((operation) => [operation.id, operation]));
  preparePanel(state.document, drawPanel, announce);
  drawFrame();
  turn(false);
}

/** Shows what the address names after `#`: an operation, or the overview. */
function turn(isMove = true) {
  const id = decodeURIComponent(location.hash.slice(1));
  const before = state.operation;
  state.operation = state.byID.get(id);
  state.isMenuOpen = false;
  turnTo(state.operation);
  document.title = state.operation ? `${state.operation.summary} · Kassa ${say("title")}` : `Kassa ${say("title")}`;
  draw();
  if (isMove && before !== state.operation) {
    scrollTo({ top: 0, behavior: "instant" });
    parts.panel.scrollTop = 0;
    document.getElementById("heading")?.focus({ preventScroll: true });
  }
  document.querySelector(".menu [aria-current]")?.scrollIntoView({ block: "nearest" });
  if (!state.operation && id) document.getElementById(id)?.scrollIntoView();
}

// ------------------------------------------------------------------------------------------------------------- drawing

function drawFrame() {
  show(root,
    h("a", { class: "skip unseen", href: "#main", onclick: skip }, say("skip")),
    h("header", { class: "top", created: (element) => (parts.top = element) }),
    h("div", { class: "columns" },
      h("nav", { class: "menu", id: "menu", created: (element) => (parts.menu = element) }),
      h("main", { id: "main", tabindex: "-1", created: (element) => (parts.main = element) }),
      h("div", { class: "side", created: (element) => (parts.panel = element) })));
}

function skip(event) {
  event.preventDefault();
  parts.main.focus();
}

function draw() {
  drawTop();
  drawMenu();
  show(parts.main, state.operation ? operationPage(state.operation) : overviewPage());
  drawPanel();
}

function drawPanel() {
  show(parts.panel, state.operation ? panel() : overviewPanel());
}

function drawTop() {
  show(parts.top,
    h("button", {
      type: "button", class: "button plain small menu-button", "aria-expanded": String(state.isMenuOpen), "aria-controls": "menu", "aria-label": say(state.isMenuOpen ? "close" : "menu"),
      onclick: toggleMenu,
    }, icon(state.isMenuOpen ? closeDrawing : menuDrawing)),
    h("a", { class: "brand", href: "#" },
      h("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, h("rect", { x: "1", y: "1", width: "22", height: "22", rx: "6" }), h("path", { d: "M8 6.5v11M16 6.5 8.4 12.6 16 17.5" })),
      h("span", null, "Kassa"), h("span", { class: "brand-page" }, say("title"))),
    h("span", { class: "badge version" }, state.document.info.version),
    h("nav", { class: "top-links", "aria-label": say("download") },
      h("a", { href: "/openapi.yaml", download: "kassa-openapi.yaml" }, "openapi.yaml"),
      h("a", { href: "/openapi.json", download: "kassa-openapi.json" }, "openapi.json")),
    choices());
}

/** The reader's language and colours: at the top, or on a small screen at the menu's foot. */
function choices() {
  return h("div", { class: "choices" },
    h("select", { class: "input small", "aria-label": say("language"), value: language(), onchange: (event) => chooseLanguage(event.target.value) },
      Object.entries(spoken).map(([id, name]) => h("option", { value: id, lang: id, selected: id === language() }, name))),
    h("select", { class: "input small", "aria-label": say("scheme"), value: scheme(), onchange: (event) => chooseScheme(event.target.value) },
      ["auto", "light", "dark"].map((one) => h("option", { value: one, selected: one === scheme() }, say(one)))));
}

function toggleMenu() {
  state.isMenuOpen = !state.isMenuOpen;
  drawTop();
  drawMenu();
  if (state.isMenuOpen) document.getElementById("search")?.focus();
}

const scheme = () => inBrowser.get("kassa-scheme") ?? "auto";
function chooseScheme(chosen) {
  inBrowser.set("kassa-scheme", chosen === "auto" ? undefined : chosen);
  applyScheme();
  drawTop();
  drawMenu();
}
function applyScheme() {
  if (scheme() === "auto") delete document.documentElement.dataset.scheme;
  else document.documentElement.dataset.scheme = scheme();
}

// ---------------------------------------------------------------------------------------------------------------- menu

/** Whether an operation has every word of the search in it. */
function matches(operation) {
  const place = `${operation.id} ${operation.method} ${operation.path} ${operation.summary} ${operation.tag} ${operation.description}`.toLowerCase();
  return state.search.toLowerCase().split(/\s+/).every((word) => place.includes(word));
}

/** The tags in the document's order, each with its operations. */
function groups(operations) {
  const names = [...new Set([...(state.document.tags ?? []).map((tag) => tag.name), ...operations.map((one) => one.tag)])];
  return names
    .map((name) => ({ name, description: state.document.tags?.find((tag) => tag.name === name)?.description, operations: operations.filter((one) => one.tag === name) }))
    .filter((group) => group.operations.length > 0);
}

function drawMenu() {
  parts.menu.classList.toggle("is-open", state.isMenuOpen);
  // It covers them.
  for (const covered of [parts.main, parts.panel]) covered.inert = state.isMenuOpen;
  parts.menu.setAttribute("aria-label", say("tags"));
  const found = state.operations.filter(matches);
  show(parts.menu,
    h("div", { class: "search" },
      h("label", { for: "search", class: "unseen" }, say("search")),
      h("input", {
        id: "search", class: "input", type: "search", placeholder: say("search"), autocomplete: "off", spellcheck: "false", value: state.search, "aria-keyshortcuts": "/",
        oninput: (event) => {
          state.search = event.target.value;
          drawMenu();
          if (state.search) announce(say("found", { count: state.operations.filter(matches).length }));
        },
        onkeydown: moveFromSearch,
      })),
    h("div", { class: "menu-list", onkeydown: moveInMenu },
      state.search ? null : h("a", { class: "menu-link", href: "#", "aria-current": state.operation ? null : "page" }, say("overview")),
      found.length === 0 ? h("p", { class: "quiet nothing" }, say("nothing")) : null,
      groups(found).map((group, index) => h("section", { key: group.name },
        h("p", { class: "menu-title", id: `group-${index}`, lang: "en" }, group.name),
        h("ul", { role: "list", lang: "en", "aria-labelledby": `group-${index}` }, group.operations.map((operation) => h("li", { key: operation.id },
          h("a", { class: "menu-link", href: `#${operation.id}`, "aria-current": operation === state.operation ? "page" : null },
            h("span", null, operation.summary), method(operation.method)))))))),
    choices());
}

const method = (name) => h("span", { class: `method is-${name.toLowerCase()}` }, name);

const menuLinks = () => [...parts.menu.querySelectorAll(".menu-link")];

function moveFromSearch(event) {
  const links = menuLinks();
  if (event.key === "ArrowDown" && links[0]) {
    event.preventDefault();
    links[0].focus();
  } else if (event.key === "Enter" && links[0] && state.search) {
    event.preventDefault();
    location.hash = links[0].getAttribute("href");
  } else if (event.key === "Escape" && state.search) {
    state.search = "";
    drawMenu();
  }
}

function moveInMenu(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const links = menuLinks();
  const next = links.indexOf(document.activeElement) + step;
  if (next < 0) document.getElementById("search").focus();
  else links[next]?.focus();
}

// ---------------------------------------------------------------------------------------------------------------- pages

const explained = (text) => prose(text, state.byID);

function overviewPage() {
  const { info } = state.document;
  return h("article", { key: "overview" },
    h("h1", { id: "heading", tabindex: "-1", lang: "en" }, info.title),
    info.summary ? h("p", { class: "lead", lang: "en" }, info.summary) : null,
    h("div", { class: "prose", lang: "en" }, explained(info.description)),
    h("h2", { id: "credentials" }, say("authentication")),
    h("ul", { class: "fields", role: "list" },
      Object.entries(state.document.components?.securitySchemes ?? {}).map(([name, schemeNode]) => h("li", { class: "field-row" },
        h("p", { class: "field-head" }, h("code", { class: "field-name" }, name), h("span", { class: "field-type" }, [schemeNode.type, schemeNode.scheme ?? schemeNode.name].filter(Boolean).join(" · "))),
        h("div", { class: "prose", lang: "en" }, explained(schemeNode.description))))),
    problemCodes(),
    h("h2", null, say("tags")),
    groups(state.operations).map((group) => h("section", { class: "group" },
      h("h3", null, group.name), group.description ? h("p", { class: "quiet" }, marked(group.description, state.byID)) : null,
      h("ul", { class: "operations", role: "list" }, group.operations.map((operation) => h("li", null,
        h("a", { href: `#${operation.id}` }, method(operation.method), h("code", null, broken(operation.path)), h("span", null, operation.summary))))))));
}

/** What every problem may be, where the document says so. */
function problemCodes() {
  const description = state.document.components?.schemas?.ProblemCode?.description;
  return description ? [h("h2", { id: "problem-codes" }, say("problems")), h("div", { class: "prose", lang: "en" }, explained(description))] : null;
}

/** A path that may be broken at its slashes. */
const broken = (path) => path.split(/(?=\/)/).flatMap((step) => [step, h("wbr")]);

function overviewPanel() {
  return h("aside", { class: "panel", key: "overview", "aria-label": say("server") },
    serverCard(),
    h("section", { class: "card" }, h("h2", null, say("doors")),
      h("ol", { class: "steps" }, ["createEnrollment", "registerDevice", "createSession", "getSession"].filter((id) => state.byID.has(id)).map((id) =>
        h("li", null, h("a", { href: `#${id}` }, state.byID.get(id).summary))))),
    h("section", { class: "card" }, h("h2", null, say("download")),
      h("p", { class: "downloads" }, h("a", { class: "button small", href: "/openapi.yaml", download: "kassa-openapi.yaml" }, "openapi.yaml"),
        h("a", { class: "button small", href: "/openapi.json", download: "kassa-openapi.json" }, "openapi.json"))));
}

/** On a small screen the samples are below everything that is said of the operation. */
function toPanel() {
  parts.panel.scrollIntoView();
  parts.panel.querySelector("a, button, select, [tabindex]")?.focus({ preventScroll: true });
}

function operationPage(operation) {
  const at = state.operations.indexOf(operation);
  const [previous, next] = [state.operations[at - 1], state.operations[at + 1]];
  const parametersIn = (place) => operation.parameters.filter((parameter) => parameter.in === place);
  return h("article", { key: operation.id, "data-operation": operation.id },
    h("p", { class: "over", lang: "en" }, operation.tag),
    h("h1", { id: "heading", tabindex: "-1", lang: "en" }, operation.summary),
    h("p", { class: "route" }, method(operation.method), h("code", null, broken(operation.path))),
    h("p", { class: "badges" },
      h("span", { class: "badge" }, say(operation.credential)),
      operation.isPlaygroundOnly ? h("span", { class: "badge warning" }, say("playgroundOnly")) : null,
      operation.calledBy ? h("span", { class: "badge" }, say("calledBy", { who: operation.calledBy })) : null,
      operation.isDeprecated ? h("span", { class: "badge danger" }, say("deprecated")) : null,
      h("code", { class: "quiet" }, operation.id)),
    operation.calledBy ? null : h("button", { type: "button", class: "button small to-panel", onclick: toPanel }, say("toPanel")),
    h("div", { class: "prose", lang: "en" }, explained(operation.description)),
    ["path", "query", "header"].map((place) => parametersIn(place).length === 0 ? null : h("section", { "aria-labelledby": `in-${place}` },
      h("h2", { id: `in-${place}` }, say(place)),
      h("ul", { class: "fields", role: "list" }, parametersIn(place).map((parameter) => field(state.document, {
        name: parameter.name, node: parameter.schema, isRequired: parameter.required, description: parameter.description, operations: state.byID,
      }))))),
    operation.body ? h("section", { "aria-labelledby": "in-body" },
      h("h2", { id: "in-body" }, say("body"), operation.body.isRequired ? null : h("span", { class: "quiet" }, ` ${say("bodyOptional")}`)),
      h("p", { class: "limits" }, h("code", null, operation.body.type), ` ${typeOf(state.document, operation.body.schema)}`),
      bodyDescription(operation),
      fields(state.document, operation.body.schema, state.byID)) : null,
    answers(operation),
    problems(operation),
    h("nav", { class: "neighbours", "aria-label": `${say("previous")}, ${say("next")}` },
      previous ? h("a", { href: `#${previous.id}`, rel: "prev" }, h("span", { class: "quiet" }, say("previous")), previous.summary) : h("span"),
      next ? h("a", { href: `#${next.id}`, rel: "next" }, h("span", { class: "quiet" }, say("next")), next.summary) : null));
}

function bodyDescription(operation) {
  const text = operation.body.description || resolveDescription(operation.body.schema);
  return text ? h("div", { class: "prose", lang: "en" }, explained(text)) : null;
}

function resolveDescription(schema) {
  const name = schema?.$ref?.split("/").at(-1);
  return (name ? state.document.components.schemas[name] : schema)?.description;
}

function answers(operation) {
  const good = operation.responses.filter((response) => Number(response.status) < 400);
  return h("section", { "aria-labelledby": "answers" },
    h("h2", { id: "answers" }, say("answers")),
    good.map((response) => h("details", { class: "answer", open: response === goodResponse(operation) },
      h("summary", null, h("span", { class: "status is-good" }, response.status), h("span", null, marked(response.description.trim(), state.byID))),
      response.contents.length === 0 ? h("p", { class: "limits" }, say("noBody")) : null,
      response.contents.map((content) => [
        h("p", { class: "limits" }, h("code", null, content.type), ` ${typeOf(state.document, content.schema ?? {})}`),
        fields(state.document, content.schema ?? {}, state.byID),
      ]),
      response.headers.length ? h("details", { class: "nested" }, h("summary", null, say("headers")),
        h("ul", { class: "fields", role: "list" }, response.headers.map((header) => field(state.document, {
          name: header.name, node: header.schema ?? {}, isRequired: header.required, description: header.description, operations: state.byID,
        })))) : null)));
}

function problems(operation) {
  const bad = operation.responses.filter((response) => Number(response.status) >= 400);
  if (bad.length === 0) return null;
  return h("section", { "aria-labelledby": "problems" },
    h("h2", { id: "problems" }, say("problems")),
    h("ul", { class: "fields", role: "list" }, bad.map((response) => {
      const codes = [...new Set(response.contents.flatMap((content) => content.examples.map((example) => example.value?.code ?? example.value?.error_code)).filter(Boolean))];
      return h("li", { class: "field-row problem" },
        h("p", { class: "field-head" }, h("span", { class: "status is-bad" }, response.status), codes.map((code) => h("code", { class: "value" }, code))),
        h("div", { class: "prose", lang: "en" }, explained(response.description)));
    })));
}

// ---------------------------------------------------------------------------------------------------------------- start

addEventListener("hashchange", () => turn());
matchMedia("(max-width: 56rem)").addEventListener("change", () => state.isMenuOpen && toggleMenu());
addEventListener("keydown", (event) => {
  const isTyping = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement?.tagName ?? "");
  if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && parts.menu) {
    event.preventDefault();
    if (!state.isMenuOpen && getComputedStyle(parts.menu).display === "none") toggleMenu();
    document.getElementById("search")?.focus();
  } else if (event.key === "Escape" && state.isMenuOpen) {
    toggleMenu();
    document.querySelector(".menu-button")?.focus();
  }
});
onLanguage(() => state.document && draw());
applyScheme();
read();
