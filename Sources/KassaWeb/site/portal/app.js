// The portal: who is signed in, which screen is shown, and what all screens share.

import { Problem } from "/shared/calls.js";
import { follow } from "/shared/events.js";
import { chooseLanguage, language, languages, onLanguage } from "/shared/language.js";
import { h, show } from "/shared/view.js";
import { forgetAnswers, get, onSignedOut, post, proof } from "/portal/api.js";
import { button, Form, formView, notice, picture, problemNotice, shell, spinner, textField } from "/portal/parts.js";
import { auditScreen } from "/portal/audit.js";
import { enrollmentScreen, enrollmentsScreen, sheetScreen } from "/portal/enrollments.js";
import { deviceScreen, devicesScreen } from "/portal/devices.js";
import { keysScreen } from "/portal/keys.js";
import { locationsScreen } from "/portal/locations.js";
import { methodsScreen } from "/portal/methods.js";
import { orderScreen, ordersScreen } from "/portal/orders.js";
import { securityScreen } from "/portal/security.js";
import { sessionScreen, sessionsScreen } from "/portal/sessions.js";
import { webhookScreen, webhooksScreen } from "/portal/webhooks.js";
import { say } from "/portal/texts.js";

const sections = [
  { title: "nav.money", entries: ["sessions", "orders"] },
  { title: "nav.shops", entries: ["devices", "codes", "locations"] },
  { title: "nav.settings", entries: ["methods", "security"] },
  { title: "nav.builders", entries: ["webhooks", "keys", "audit"] },
];

/** What makes a screen, by the first step of the address; with more steps, the screen of one thing. */
const screens = {
  sessions: [sessionsScreen, sessionScreen],
  orders: [ordersScreen, orderScreen],
  devices: [devicesScreen, deviceScreen],
  codes: [enrollmentsScreen, enrollmentScreen],
  sheet: [enrollmentsScreen, sheetScreen],
  locations: [locationsScreen],
  methods: [methodsScreen],
  security: [securityScreen],
  webhooks: [webhooksScreen, webhookScreen],
  keys: [keysScreen],
  audit: [auditScreen],
};

const state = {
  /** `starting`, `signedOut`, `signedIn`, or `failed` with `problem`. */
  phase: "starting",
  problem: null,
  hasEnded: false,
  screen: null,
  section: "sessions",
  dialog: null,
  messages: [],
  isMenuOpen: false,
  isLive: false,
};
const root = document.getElementById("portal");
let drawing = false;

// MARK: Drawing

shell.render = () => {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    draw();
  });
};

function draw() {
  const hadFocus = root.contains(document.activeElement);
  show(root, page());
  // What had the focus may be gone: then reading goes on at the top of the screen, not nowhere.
  if (hadFocus && document.activeElement === document.body) document.querySelector("main h1")?.focus({ preventScroll: true });
}

function page() {
  switch (state.phase) {
    case "signedIn": return [signedIn(), dialogView(), messagesView()];
    case "signedOut": return [signInView(), messagesView()];
    case "failed": return h("main", { class: "sign-in" }, brand(), problemNotice(state.problem, start));
    default: return h("main", { class: "sign-in" }, brand(), spinner());
  }
}

const brand = () =>
  h("p", { class: "brand" },
    h("svg", { viewBox: "0 0 32 32", "aria-hidden": "true" }, h("rect", { width: 32, height: 32, rx: 8 }), h("path", { d: "M11 8v16M21.5 8 12 16l9.5 8" })), "Kassa");

function signedIn() {
  const { account } = shell;
  return h("div", { class: "frame", key: "frame" },
    h("a", { class: "skip unseen", href: "#content", onclick: (event) => (event.preventDefault(), focusContent()) }, say("skip")),
    h("header", { class: "top" },
      brand(),
      h("button", {
        type: "button", class: "button plain menu-button", "aria-expanded": String(state.isMenuOpen), "aria-controls": "menu",
        onclick: () => ((state.isMenuOpen = !state.isMenuOpen), shell.render()),
      }, picture(state.isMenuOpen ? "close" : "menu"), say("menu"))),
    h("nav", { id: "menu", class: `menu ${state.isMenuOpen ? "is-open" : ""}`, "aria-label": say("menu") },
      h("div", { class: "menu-brand" }, brand()),
      h("div", { class: "merchant" },
        h("p", { class: "strong" }, account.merchant_name),
        account.environment === "playground" && h("span", { class: "badge warning" }, say("playground"))),
      sections.map(({ title, entries }) =>
        h("div", { key: title, class: "menu-section" },
          h("p", { class: "menu-title", id: title }, say(title)),
          h("ul", { role: "list", "aria-labelledby": title }, entries.map((name) =>
            h("li", { key: name }, h("a", { href: `#/${name}`, "aria-current": state.section === name ? "page" : null }, picture(name), say(`nav.${name}`))))))),
      h("div", { class: "menu-foot" },
        h("p", { class: "live", role: "status" }, h("span", { class: `dot ${state.isLive ? "is-live" : ""}`, "aria-hidden": "true" }), say(state.isLive ? "live" : "notLive")),
        h("p", { class: "quiet" }, say("signedInWith", { name: account.api_key.name })),
        h("div", { class: "menu-last" }, languageView(), button(say("signOut"), signOut, { kind: "small plain", icon: "out" })))),
    h("main", { id: "content", key: "content", tabindex: "-1" }, state.screen ? state.screen.view() : spinner()));
}

const languageView = () =>
  h("div", { class: "languages", role: "group", "aria-label": say("language") },
    Object.entries(languages).map(([name, text]) =>
      h("button", { key: name, type: "button", lang: name, "aria-pressed": String(language() === name), onclick: () => chooseLanguage(name) }, text)));

// MARK: Signing in and out

let signInForm;

/** A playground gives its key to a browser on its own machine, and to nobody else. */
const isOwnMachine = ["127.0.0.1", "[::1]", "localhost"].includes(location.hostname);

async function usePlaygroundKey() {
  try {
    await signIn(await get("/portal/v1/playground"));
  } catch {
    shell.tell(say("signIn.noPlayground"), "warning");
  }
}

function signInView() {
  return h("main", { class: "sign-in", key: "sign-in" },
    brand(),
    h("div", { class: "card" },
      h("h1", { tabindex: "-1" }, say("signIn.title")),
      h("p", { class: "quiet" }, say("signIn.lead")),
      state.hasEnded && notice("warning", h("p", null, say("signIn.ended"))),
      formView(signInForm, { submit: say("signIn.submit"), names: ["api_key"] },
        textField(signInForm, "api_key", {
          label: say("signIn.key"), hint: say("signIn.hint"), type: "password", autocomplete: "current-password", spellcheck: "false", autocapitalize: "none",
          required: true,
        })),
      isOwnMachine && button(say("signIn.playground"), usePlaygroundKey)),
    h("details", { class: "card" }, h("summary", null, say("signIn.noKey")), h("p", null, say("signIn.makeKey")),
      h("pre", { class: "command", tabindex: "0" }, "kassa keys create --merchant MERCHANT_ID --name \"portal\"")),
    languageView());
}

async function signIn(values) {
  try {
    begin(await post("/portal/v1/sign-in", { api_key: values.api_key.trim() }));
  } catch (problem) {
    if (problem instanceof Problem && problem.status === 401) {
      throw new Problem({ status: 401, code: "key_refused", errors: { api_key: say("signIn.refused") } });
    }
    throw problem;
  }
}

function signedOut(hasEnded) {
  mark.set(false);
  forgetAnswers();
  stopLive();
  leaveScreen();
  shell.closeDialog();
  shell.account = null;
  state.hasEnded = hasEnded;
  state.phase = "signedOut";
  signInForm = new Form({ api_key: "" }, signIn);
  document.title = `${say("signIn.title")} – Kassa`;
  draw();
  document.querySelector("[name=api_key]")?.focus();
}

let isSigningOut = false;

async function signOut() {
  isSigningOut = true;
  try {
    await post("/portal/v1/sign-out");
    if (state.phase === "signedIn") signedOut(false);
  } catch (problem) {
    shell.tell(say("signOutFailed"), "danger");
  } finally {
    isSigningOut = false;
  }
}

function begin(account) {
  mark.set(true);
  forgetAnswers();
  shell.account = account;
  state.phase = "signedIn";
  state.hasEnded = false;
  startLive();
  openScreen();
}

/** Whether somebody signed in here: the cookie itself is hidden from pages. Without storage the server is asked. */
const mark = {
  get isSet() {
    try {
      return localStorage.getItem("kassa-signed-in") !== null;
    } catch {
      return true;
    }
  },
  set(isSignedIn) {
    try {
      if (isSignedIn) localStorage.setItem("kassa-signed-in", "1");
      else localStorage.removeItem("kassa-signed-in");
    } catch {
      // Then the server is asked the next time.
    }
  },
};

async function start() {
  if (!mark.isSet) return signedOut(false);
  state.phase = "starting";
  shell.render();
  try {
    begin(await get("/portal/v1/me"));
  } catch (problem) {
    if (problem instanceof Problem && problem.status === 401) return signedOut(false);
    state.phase = "failed";
    state.problem = problem;
    shell.render();
  }
}

onSignedOut(() => {
  // Whoever is signing out needs not be told that it is over.
  if (state.phase === "signedIn") signedOut(!isSigningOut);
});

// MARK: Screens

/** `#/sessions/ID?status=ACTIVE` as its steps and what follows them. */
function address() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  return { steps: path.split("/").filter(Boolean).map(decodeURIComponent), query: Object.fromEntries(new URLSearchParams(query ?? "")) };
}

function leaveScreen() {
  state.screen?.leave?.();
  state.screen?.end.abort();
  state.screen = null;
}

function openScreen() {
  leaveScreen();
  const { steps, query } = address();
  const known = screens[steps[0]] ?? screens.sessions;
  const make = known[steps.length > 1 ? 1 : 0] ?? known[0];
  state.section = { sheet: "codes" }[steps[0]] ?? (steps[0] in screens ? steps[0] : "sessions");
  state.isMenuOpen = false;
  const end = new AbortController();
  state.screen = { ...make({ id: steps[1], query, signal: end.signal }), end };
  document.title = `${say(`nav.${state.section}`)} – Kassa`;
  shell.render();
  scrollTo(0, 0);
}

const focusContent = () => requestAnimationFrame(() => (document.querySelector("main h1") ?? document.querySelector("main"))?.focus());

addEventListener("hashchange", () => {
  if (state.phase !== "signedIn") return;
  shell.closeDialog();
  openScreen();
  focusContent();
});

onLanguage(() => {
  if (state.phase === "signedIn") document.title = `${say(`nav.${state.section}`)} – Kassa`;
  shell.render();
});

// MARK: What happens meanwhile

let live;

function startLive() {
  stopLive();
  live = new AbortController();
  const { signal } = live;
  follow("/portal/v1/events?after=latest", {
    headers: () => proof, signal,
    onEvent: ({ name, data }) => state.screen?.hear?.(name, JSON.parse(data).data),
    onState: (word) => {
      if (signal.aborted) return;
      const wasLost = !state.isLive;
      state.isLive = word === "open";
      // What happened while nothing was heard is read again.
      if (state.isLive && wasLost) state.screen?.refresh?.();
      shell.render();
    },
    onProblem: (problem) => {
      if (problem.status !== 401) return true;
      if (!signal.aborted) signedOut(!isSigningOut);
      return false;
    },
  });
}

function stopLive() {
  live?.abort();
  live = null;
  state.isLive = false;
}

addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible" && state.phase === "signedIn") state.screen?.refresh?.();
});

// MARK: Dialogs and messages

let dialogNumber = 0;
shell.openDialog = (title, view) => {
  state.dialog = { title, view, number: (dialogNumber += 1) };
  shell.render();
};

/** Gives the focus back to where it was. What the dialog showed is gone at once: it may have been a secret. */
shell.closeDialog = () => {
  const isOpen = state.dialog !== null;
  state.dialog = null;
  document.querySelector("dialog[open]")?.close();
  if (isOpen) draw();
};

function dialogView() {
  if (!state.dialog) return null;
  const { number } = state.dialog;
  return h("dialog", {
    key: `dialog-${number}`, "aria-labelledby": "dialog-title",
    created: (element) => element.showModal(),
    // By the Escape key; another one may be open already.
    onclose: () => {
      if (state.dialog?.number === number) state.dialog = null;
      draw();
    },
  },
    h("div", { class: "dialog-head" },
      h("h2", { id: "dialog-title" }, state.dialog.title),
      h("button", { type: "button", class: "button plain small", "aria-label": say("close"), onclick: shell.closeDialog }, picture("close"))),
    h("div", { class: "dialog-body" }, state.dialog.view()));
}

shell.tell = (text, kind = "good") => {
  const message = { text, kind, key: Math.random() };
  state.messages = [...state.messages.slice(-2), message];
  shell.render();
  setTimeout(() => {
    state.messages = state.messages.filter((other) => other !== message);
    shell.render();
  }, 6000);
};

const messagesView = () =>
  h("div", { class: "messages", role: "status", key: "messages" }, state.messages.map(({ text, kind, key }) => h("p", { key, class: `message ${kind}` }, picture(kind === "good" ? "done" : "warning"), text)));

// Times like "two minutes ago" go on.
setInterval(() => {
  if (state.phase === "signedIn" && document.visibilityState === "visible") shell.render();
}, 20_000);

start();
