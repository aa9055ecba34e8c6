// The POS app: who this phone is, which screen is on, and what surrounds it.

import { chooseLanguage, language, languages, onLanguage } from "/shared/language.js";
import { money } from "/shared/format.js";
import { h, show } from "/shared/view.js";
import { PhoneClient, begunPairing, canHoldKey, beginPairing, forgetPhone, pairedPhone } from "./device.js";
import { Pairing } from "./pairing.js";
import { bar, cancelDialog, currentScreen, mark } from "./screens.js";
import { attention, keepAwake, prepareAttention, sound } from "./senses.js";
import { say } from "./texts.js";
import { Till, attemptOf, isOver } from "./till.js";

const root = document.getElementById("app");
const said = document.getElementById("said");

let till = null;
let pairing = null;
/** Instead of a till: `insecure` or `revoked`. */
let plight = null;
let installation = null;
const ui = { isMenuOpen: false, isCancelling: false, hasAllItems: false };

// What the clerk does.

const act = {
  skip: (event) => {
    event.preventDefault();
    document.getElementById("content")?.focus();
  },
  choose: (id) => {
    ui.hasAllItems = false;
    ui.isCancelling = false;
    const address = id === null ? "/pos" : `/pos#${id}`;
    if (location.pathname + location.hash !== address) history.pushState(null, "", address);
    till.choose(id);
  },
  leave: () => act.choose(null),
  dismissEnded: () => {
    till.ended = null;
    draw();
  },
  pay: (method) => till.pay(method),
  tap: (outcome) => till.tap(outcome),
  back: () => till.back(),
  askToCancel: () => {
    if (till.doing) return;
    ui.isCancelling = true;
    draw();
  },
  keepIt: () => {
    ui.isCancelling = false;
    draw();
  },
  cancel: () => {
    ui.isCancelling = false;
    till.cancel();
  },
  toggleItems: () => {
    ui.hasAllItems = !ui.hasAllItems;
    draw();
  },
  openMenu: () => {
    ui.isMenuOpen = true;
    draw();
  },
  closeMenu: () => {
    ui.isMenuOpen = false;
    draw();
  },
  closeOnBackdrop: (event) => {
    if (event.target === event.currentTarget) event.currentTarget.close();
  },
  pairAnew: () => {
    ui.isMenuOpen = false;
    beginPairingScreen(null);
  },
  install: async () => {
    const asked = installation;
    installation = null;
    await asked?.prompt();
    draw();
  },
};

// Drawing.

let drawnKey = null;
let isDrawing = false;

/** Draws what is, once before the next frame, however often it is asked to. */
function draw() {
  if (isDrawing) return;
  isDrawing = true;
  queueMicrotask(() => {
    isDrawing = false;
    drawNow();
  });
}

function drawNow() {
  const context = { till, ui, act };
  let screen;
  let top = null;
  let dialogs = [];
  if (pairing) screen = pairing.view();
  else if (plight) screen = plightScreen();
  else if (till) {
    screen = currentScreen(context);
    if (ui.isCancelling && (!till.open || isOver(till.open))) ui.isCancelling = false;
    top = bar(context);
    dialogs = [cancelDialog(context), menu()];
  } else return;
  root.dataset.screen = screen.key.split("-")[0];
  show(root, top, screen.parts, dialogs);
  const title = screen.title ? `${screen.title} – ${say("app.name")}` : say("app.name");
  if (document.title !== title) document.title = title;
  if (screen.key !== drawnKey) {
    const isFirst = drawnKey === null;
    drawnKey = screen.key;
    scrollTo(0, 0);
    if (screen.said) announce(screen.said);
    // Where the reading begins; but a person who is typing keeps the place.
    if (!isFirst && !document.querySelector("dialog[open]")) root.querySelector("h1")?.focus({ preventScroll: true });
  }
  till?.noteShown();
}

/** Tells those who do not see the screen. */
function announce(text) {
  said.textContent = "";
  setTimeout(() => (said.textContent = text), 50);
}

function plightScreen() {
  return {
    key: plight, title: say(`${plight}.title`),
    parts: h("main", { class: "screen plight", key: `screen-${plight}`, id: "content", tabindex: "-1" },
      h("div", { class: "welcome" }, mark(), h("h1", { tabindex: "-1" }, say(`${plight}.title`)), h("p", { class: "quiet" }, say(`${plight}.text`))),
      plight === "revoked" && h("button", { class: "button primary wide", type: "button", onclick: () => beginPairingScreen(null) }, say("revoked.button"))),
  };
}

function menu() {
  if (!ui.isMenuOpen) return null;
  const { device } = till;
  const choice = (legend, name, current, options, choose) => h("fieldset", { class: "choice", key: name }, h("legend", { class: "label" }, legend),
    h("div", { class: "choice-list" }, Object.entries(options).map(([value, text]) => h("label", { class: "choice-item", key: value },
      h("input", { type: "radio", name, value, checked: value === current, onchange: () => choose(value) }), h("span", { lang: name === "language" ? value : null }, text)))));
  return h("dialog", { key: "menu-dialog", class: "sheet", "aria-labelledby": "menu-title", created: (element) => element.showModal(), onclose: act.closeMenu, onclick: act.closeOnBackdrop },
    h("div", { class: "sheet-head" }, h("h2", { id: "menu-title" }, say("menu.title")), h("button", { class: "button plain small", type: "button", autofocus: true, onclick: act.closeMenu }, say("menu.close"))),
    h("dl", { class: "facts" },
      h("div", { class: "fact" }, h("dt", { class: "quiet" }, say("pair.name")), h("dd", null, device.name || say("menu.unnamed"))),
      h("div", { class: "fact" }, h("dt", { class: "quiet" }, say("menu.number")), h("dd", null, device.id))),
    till.client.isPlayground && h("p", { class: "badge" }, say("menu.playground")),
    choice(say("menu.language"), "language", language(), languages, chooseLanguage),
    choice(say("menu.scheme"), "scheme", scheme(), { auto: say("menu.scheme.auto"), light: say("menu.scheme.light"), dark: say("menu.scheme.dark") }, chooseScheme),
    h("label", { class: "switch" }, h("span", { class: "label" }, say("menu.sound")), h("input", { type: "checkbox", role: "switch", checked: sound.isOn, onchange: (event) => sound.turn(event.target.checked) })),
    h("div", { class: "sheet-actions" },
      installation && h("button", { class: "button wide", type: "button", onclick: act.install }, say("menu.install")),
      h("button", { class: "button plain wide", type: "button", onclick: act.pairAnew }, say("menu.pair"))));
}

// The scheme: as the phone has it, unless chosen otherwise.

const stored = (name) => {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
};
const scheme = () => (["light", "dark"].includes(stored("kassa-scheme")) ? stored("kassa-scheme") : "auto");

function applyScheme() {
  if (scheme() === "auto") delete document.documentElement.dataset.scheme;
  else document.documentElement.dataset.scheme = scheme();
}

function chooseScheme(chosen) {
  try {
    localStorage.setItem("kassa-scheme", chosen);
  } catch {
    // It stays as the phone has it.
  }
  applyScheme();
  draw();
}

// From the address to the screen.

const chosenByAddress = () => /^#([0-9a-f-]{36})$/.exec(location.hash)?.[1] ?? null;

function beginPairingScreen(link, begun) {
  pairing = new Pairing({
    link, begun, pairedAs: till ? (till.device.name ?? "") : undefined, onChange: draw,
    onPaired: (phone) => {
      till?.stop();
      pairing = null;
      history.replaceState(null, "", "/pos");
      beginTill(phone);
    },
    onKept: () => {
      pairing = null;
      history.replaceState(null, "", "/pos");
      draw();
    },
  });
  draw();
}

function beginTill(phone) {
  plight = null;
  let hasChosen = chosenByAddress() !== null;
  till = new Till(new PhoneClient(phone), {
    onChange: () => {
      // What is under way is on the screen after a reload, and a till with one customer needs no list.
      if (!hasChosen && till.isRead) {
        hasChosen = true;
        const begun = till.line.find(attemptOf) ?? (till.line.length === 1 ? till.line[0] : null);
        if (begun && till.openID === null) return act.choose(begun.session_id);
      }
      draw();
    },
    onArrival: (session) => {
      attention();
      announce(say("line.arrived", { amount: money(session.order_amount, session.purchase_currency) }));
      if (till.openID === null && till.line.length === 1 && !ui.isMenuOpen && !pairing) act.choose(session.session_id);
    },
    onRevoked: async () => {
      await forgetPhone();
      till = null;
      plight = "revoked";
      ui.isMenuOpen = ui.isCancelling = false;
      draw();
    },
  });
  if (chosenByAddress()) till.openID = chosenByAddress();
  till.start();
  if (till.openID) till.readSession(till.openID);
  keepAwake();
  draw();
}

async function begin() {
  applyScheme();
  onLanguage(draw);
  prepareAttention();
  addEventListener("popstate", () => {
    if (till && !pairing) {
      ui.isCancelling = ui.isMenuOpen = false;
      till.choose(chosenByAddress());
    }
  });
  addEventListener("beforeinstallprompt", (event) => {
    event.preventDefault();
    installation = event;
    draw();
  });
  keepShell();
  if (!canHoldKey()) {
    plight = "insecure";
    return draw();
  }
  const phone = await pairedPhone();
  if (phone) beginTill(phone);
  const link = location.pathname === "/pos/pair" ? location.hash.slice(1) : "";
  if (link) {
    // The token leaves the address bar and the history, but not this phone, until it was used.
    history.replaceState(null, "", "/pos/pair");
    await beginPairing({ token: link }, "");
    return beginPairingScreen(link);
  }
  const begun = await begunPairing();
  if (begun) return beginPairingScreen(begun.token ?? null, begun);
  if (!phone) beginPairingScreen(null);
  else if (location.pathname === "/pos/pair") history.replaceState(null, "", "/pos");
}

/** The app's own files are kept on the phone; a new version is taken when nothing is on the screen. */
async function keepShell() {
  if (!("serviceWorker" in navigator) || !isSecureContext) return;
  const policy = globalThis.trustedTypes?.createPolicy("kassa", { createScriptURL: (address) => address });
  const hadShell = Boolean(navigator.serviceWorker.controller);
  navigator.serviceWorker.addEventListener("controllerchange", () => {
    if (!hadShell) return;
    const reloadWhenIdle = () => {
      if (till && !pairing && till.openID === null && !ui.isMenuOpen) location.reload();
      else setTimeout(reloadWhenIdle, 5000);
    };
    reloadWhenIdle();
  });
  try {
    const address = "/pos/worker.js";
    await navigator.serviceWorker.register(policy ? policy.createScriptURL(address) : address, { scope: "/pos" });
  } catch {
    // Without it the app needs the network to open, and works as before.
  }
}

// A second's clock, for what counts down on the screen.
setInterval(() => {
  if (till?.open && !isOver(till.open) && document.visibilityState === "visible") draw();
}, 1000);

begin();
