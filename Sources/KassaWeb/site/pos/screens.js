// What the clerk sees: each screen is a function of what the till knows.

import { countdown, dateAndTime, money, moneyParts, basisPoints, number, time } from "/shared/format.js";
import { qrDrawing } from "/shared/qr.js";
import { h, icon } from "/shared/view.js";
import { say } from "./texts.js";
import { attemptOf, isOver } from "./till.js";

const icons = {
  back: "M15 5l-7 7 7 7",
  menu: ["M4 7h16", "M4 12h16", "M4 17h16"],
  card: ["M3 6.5h18v11H3z", "M3 10h18", "M6.5 14.5h3"],
  scan: ["M4 8V4h4", "M16 4h4v4", "M20 16v4h-4", "M8 20H4v-4", "M8 8h3v3H8z", "M13.5 13.5H16V16h-2.5z", "M8 14.5V16", "M14.5 8H16"],
  check: "M5 12.5l4.5 4.5L19 7.5",
  cross: ["M7 7l10 10", "M17 7L7 17"],
  clock: ["M12 3.5a8.5 8.5 0 100 17 8.5 8.5 0 000-17z", "M12 7.5V12l3 2"],
  question: ["M12 3.5a8.5 8.5 0 100 17 8.5 8.5 0 000-17z", "M9.7 9.5a2.4 2.4 0 114 1.8c-.9.8-1.7 1.2-1.7 2.4", "M12 16.6v.1"],
  warning: ["M12 4.5l8.5 15h-17z", "M12 10v4", "M12 16.8v.1"],
  cloud: ["M4 4l16 16", "M7.5 8.2A4.8 4.8 0 006 17.5h10.5", "M10.2 6.1a5.5 5.5 0 017.3 4.6 3.6 3.6 0 012.2 5.6"],
  waves: ["M8 8.5a5 5 0 010 7", "M11.5 6a8.6 8.6 0 010 12", "M15 3.5a12 12 0 010 17"],
  chevron: "M9 5l7 7-7 7",
};

const amountOf = (session) => money(session.order_amount, session.purchase_currency);

/** An amount as large as its place allows, its currency smaller. */
export function bigAmount(amount, currency) {
  const parts = moneyParts(amount, currency);
  const characters = parts.reduce((sum, { value }) => sum + value.length, 0);
  return h("div", { class: "amount-place" },
    h("span", { class: "amount figures", custom: { "--characters": characters } },
      parts.map(({ type, value }) => h("span", { class: type === "currency" ? "currency" : null }, value))));
}

export function bar(context) {
  const { till, ui, act } = context;
  const isLine = till.openID === null;
  const waiting = waitingCount(till);
  return h("header", { class: "bar", key: "bar" },
    h("a", { class: "skip unseen", href: "#content", onclick: act.skip }, say("app.skip")),
    isLine
      ? h("span", { class: "brand", key: "brand" }, mark(), h("span", { class: "till-name" }, till.device.name || say("app.name")))
      : h("button", { class: "button plain small leave", key: "leave", type: "button", onclick: act.leave },
          icon(icons.back), h("span", null, say("cart.back")), waiting > 0 && [h("span", { class: "count figures", key: "count", "aria-hidden": "true" }, waiting), h("span", { class: "unseen", key: "more" }, say("line.more", { count: waiting }))]),
    h("span", { class: "bar-end" },
      h("span", { class: `connection ${till.connection}`, key: "connection", role: "img", "aria-label": say(`connection.${till.connection}`), title: say(`connection.${till.connection}`) }),
      h("button", { class: "button plain small round", key: "menu", type: "button", "aria-label": say("menu.open"), "aria-haspopup": "dialog", "aria-expanded": String(ui.isMenuOpen), onclick: act.openMenu },
        icon(icons.menu))));
}

const waitingCount = (till) => till.line.filter((session) => session.session_id !== till.openID).length;

export function mark() {
  return h("svg", { class: "mark", viewBox: "0 0 24 24", "aria-hidden": "true" },
    h("rect", { x: 1, y: 1, width: 22, height: 22, rx: 6 }), h("path", { d: "M8 6.5v11M16 6.5 8.4 12.6 16 17.5" }));
}

/** What is wrong with the connection, above everything else. */
function weather(till) {
  if (till.connection === "offline") return notice("warning", icons.cloud, "offline", say("offline.title"), say("offline.text"));
  if (till.failing) return notice("warning", icons.warning, "failing", say("failing.title"), say("failing.text"));
  return null;
}

function notice(kind, paths, key, title, text, ...more) {
  return h("div", { class: `notice ${kind}`, key, role: kind === "danger" ? "alert" : null },
    icon(paths), h("div", null, h("p", { class: "strong" }, title), text && h("p", null, text), more));
}

function screen(name, title, parts, actions) {
  return [
    h("main", { class: `screen ${name}`, key: `screen-${name}`, id: "content", tabindex: "-1" }, typeof title === "string" ? h("h1", { tabindex: "-1" }, title) : title, parts),
    actions && h("footer", { class: "actions", key: `actions-${name}` }, h("div", { class: "actions-inside" }, actions)),
  ];
}

/** The screen that follows from what the till knows: `{ key, title, said, parts }`. */
export function currentScreen(context) {
  const { till } = context;
  const session = till.open;
  if (till.openID !== null && !session) return { key: "reading", parts: readingScreen(till) };
  if (!session) return { key: "line", title: say("line.title"), parts: lineScreen(context) };
  const id = session.session_id;
  if (session.status === "FINALIZED") return { key: `paid-${id}`, title: say("paid.title"), said: say("paid.announce", { amount: amountOf(session) }), parts: paidScreen(context, session) };
  if (isOver(session)) return { key: `over-${id}`, title: say(`over.${session.status}`), said: say(`over.${session.status}`), parts: overScreen(context, session) };
  const attempt = attemptOf(session);
  if (attempt?.state === "UNKNOWN") return { key: `unknown-${id}`, title: say("unknown.title"), said: `${say("unknown.title")}. ${say("unknown.rule")}`, parts: unknownScreen(context, session) };
  if (attempt && attempt.method === "CARD") return { key: `tap-${attempt.payment_id}`, title: say("tap.title"), parts: tapScreen(context, session) };
  if (attempt) return { key: `scan-${attempt.payment_id}`, title: say("scan.title", { method: say(`method.${attempt.method}`) }), parts: scanScreen(context, session, attempt) };
  const failed = session.payment?.state === "FAILED" ? session.payment : null;
  return {
    key: `cart-${id}-${failed?.payment_id ?? ""}`, title: `${say("cart.toPay")} ${amountOf(session)}`,
    said: failed ? `${say("declined.title")}. ${reason(failed)} ${advice(failed)}` : null, parts: cartScreen(context, session, failed),
  };
}

function readingScreen(till) {
  return screen("waiting", h("h1", { class: "unseen", tabindex: "-1" }, say("line.reading")), [weather(till), till.connection !== "offline" && h("div", { class: "spinner" })]);
}

// The line.

function lineScreen({ till, act }) {
  const { line } = till;
  const ended = till.ended && h("div", { class: "notice", key: `ended-${till.ended.session_id}`, role: "status" },
    h("p", { class: "grow" }, say(`ended.${till.ended.status}`, { amount: amountOf(till.ended) })),
    h("button", { class: "button plain small", type: "button", onclick: act.dismissEnded }, say("ended.dismiss")));
  if (line.length === 0) {
    return screen("line empty", h("h1", { tabindex: "-1", class: till.isRead ? null : "unseen" }, till.isRead ? say("line.empty") : say("line.reading")), [
      weather(till), ended,
      till.isRead ? h("p", { class: "quiet", key: "text" }, say("line.emptyText")) : till.connection !== "offline" && h("div", { class: "spinner", key: "spinner" }),
      till.client.isPlayground && till.isRead && h("p", { class: "badge", key: "playground" }, say("menu.playground")),
    ]);
  }
  return screen("line", say("line.title"), [
    weather(till), ended,
    h("ul", { class: "line-list", role: "list", key: "list" }, line.map((session) => h("li", { key: session.session_id },
      h("button", { class: "line-item", type: "button", onclick: () => act.choose(session.session_id) },
        h("span", { class: "line-amount figures" }, amountOf(session)),
        h("span", { class: "line-details" },
          h("span", { class: "quiet" }, session.merchant_reference1 ?? firstNames(session)),
          h("span", { class: "quiet figures" }, say("line.lines", { count: session.order_items.length }), " · ", h("time", { datetime: session.created_at }, time(session.created_at)))),
        session.status === "ACTIVE" && h("span", { class: "badge good" }, say("line.active")),
        icon(icons.chevron))))),
  ]);
}

const firstNames = (session) => session.order_items.slice(0, 2).map((item) => item.name).join(", ");

// The cart.

function cartScreen(context, session, failed) {
  const { till, act } = context;
  const blocker = till.inTheWay;
  const secondsLeft = till.secondsUntil(session.expires_at);
  return screen("cart split", null, [
    h("div", { class: "sum", key: "sum" },
      weather(till),
      failed && declineNotice(failed),
      trouble(till),
      h("div", { class: "price" },
        h("h1", { tabindex: "-1" }, h("span", { class: "quiet price-label" }, say("cart.toPay")), bigAmount(session.order_amount, session.purchase_currency)),
        tax(session) && h("p", { class: "quiet figures" }, tax(session)),
        session.merchant_reference1 && h("p", { class: "quiet" }, `${say("cart.reference")} `, h("span", { class: "reference" }, session.merchant_reference1)),
        secondsLeft < 120 && h("p", { class: "badge warning figures", key: "expires" }, say("cart.expires", { time: countdown(secondsLeft) })))),
    items(context, session),
  ], blocker
    ? [
        notice("warning", icons.warning, "busy", say("busy.title"), say("busy.text", { amount: amountOf(blocker) })),
        h("button", { class: "button primary wide", type: "button", onclick: () => act.choose(blocker.session_id) }, say("busy.button", { amount: amountOf(blocker) })),
        cancelButton(context),
      ]
    : [methodButtons(context, session, failed), cancelButton(context)]);
}

const tax = (session) => {
  const total = session.order_items.reduce((sum, item) => sum + item.total_tax_amount, 0);
  return total ? say("cart.tax", { amount: money(total, session.purchase_currency) }) : null;
};

function methodButtons({ till, act }, session, failed) {
  const methods = session.available_methods;
  if (methods.length === 0) return notice("warning", icons.warning, "methods", say("cart.noMethods"));
  return h("div", { class: "methods", role: "group", "aria-labelledby": "methods-title", key: "methods" },
    h("h2", { class: "methods-title", id: "methods-title" }, say(failed ? "cart.again" : "cart.choose")),
    h("div", { class: `method-list count-${Math.min(methods.length, 4)}` }, methods.map((method, index) => {
      const isDoing = till.doing === `pay.${method}`;
      return h("button", {
        class: `button method ${index === 0 ? "primary" : ""}`, key: method, type: "button", "data-method": method,
        "aria-disabled": till.doing ? "true" : null, onclick: () => act.pay(method),
      }, isDoing ? h("span", { class: "spinner" }) : icon(method === "CARD" ? icons.card : icons.scan), say(`method.${method}`));
    })));
}

function cancelButton({ till, act }, key = "cart.cancel") {
  return h("button", { class: "button plain cancel wide", key: "cancel", type: "button", "aria-disabled": till.doing ? "true" : null, onclick: act.askToCancel },
    till.doing === "cancel" ? [h("span", { class: "spinner" }), say("cancel.doing")] : say(key));
}

const SHORT_LIST = 6;

function items({ ui, act }, session) {
  const all = session.order_items;
  const isShort = all.length <= SHORT_LIST + 1;
  const shown = isShort || ui.hasAllItems ? all : all.slice(0, SHORT_LIST);
  return h("section", { class: "items", "aria-labelledby": "items-title", key: "items" },
    h("h2", { id: "items-title" }, say("cart.items")),
    h("ul", { role: "list" }, shown.map((item, index) => itemRow(item, session.purchase_currency, index))),
    !isShort && h("button", { class: "button plain small wide", type: "button", key: "more", "aria-expanded": String(ui.hasAllItems), onclick: act.toggleItems },
      ui.hasAllItems ? say("cart.fewerItems") : say("cart.showItems", { count: number(all.length) })));
}

function itemRow(item, currency, index) {
  const facts = [
    item.quantity !== 1 && say("cart.each", { count: number(item.quantity), price: money(item.unit_price, currency) }),
    item.total_discount_amount > 0 && say("cart.discount", { amount: money(item.total_discount_amount, currency) }),
    item.tax_rate > 0 && say("cart.taxRate", { rate: basisPoints(item.tax_rate) }),
  ].filter(Boolean);
  return h("li", { class: "item", key: `item-${index}` },
    h("span", { class: "item-name" }, item.name),
    h("span", { class: "item-amount figures" }, money(item.total_amount, currency)),
    facts.length > 0 && h("span", { class: "item-facts quiet figures" }, facts.join(" · ")));
}

// An attempt that failed.

const shortReasons = new Set(["TIMED_OUT", "NOT_STARTED", "CANCELLED", "CANCELLED_BY_BUYER"]);
const otherCard = new Set(["LOST_CARD", "STOLEN_CARD", "EXPIRED_CARD", "INCORRECT_NUMBER", "CARD_VELOCITY_EXCEEDED", "INSUFFICIENT_FUNDS"]);

/** What is said otherwise where no card was there. */
const reasonsWithoutCard = { CANCELLED: "CANCELLED_BY_BUYER", DECLINED_GENERIC: "DECLINED", INSUFFICIENT_FUNDS: "noFunds" };

const reason = (payment) => {
  const word = (payment.method !== "CARD" && reasonsWithoutCard[payment.failure_reason]) || payment.failure_reason;
  const key = `reason.${word}`;
  return say(say.knows(key) ? key : "reason.other");
};
const advice = (payment) => {
  if (payment.method !== "CARD" || shortReasons.has(payment.failure_reason)) return say("advice.again");
  return say(otherCard.has(payment.failure_reason) ? "advice.other" : "advice.retry");
};

function declineNotice(payment) {
  return h("div", { class: "notice danger decline", key: `decline-${payment.payment_id}`, role: "alert" },
    icon(icons.cross),
    h("div", null, h("p", { class: "strong" }, say("declined.title")), h("p", null, reason(payment), " ", advice(payment)), h("p", null, say("declined.noMoney"))));
}

const trouble = (till) =>
  till.trouble && h("div", { class: "notice warning", key: "trouble", role: "alert" }, icon(icons.warning), h("p", null, say(till.trouble.key, { detail: till.trouble.detail })));

// A card.

const declines = ["DECLINED_GENERIC", "INSUFFICIENT_FUNDS", "LOST_CARD", "STOLEN_CARD", "EXPIRED_CARD", "INCORRECT_CVC", "PROCESSING_ERROR", "INCORRECT_NUMBER", "CARD_VELOCITY_EXCEEDED"];

function tapScreen(context, session) {
  const { till, act } = context;
  return screen("tap", null, [
    weather(till), trouble(till),
    h("div", { class: "price centred", key: "price" }, bigAmount(session.order_amount, session.purchase_currency)),
    h("div", { class: "reader", key: "reader", "aria-hidden": "true" }, icon(icons.waves)),
    h("div", { class: "centred", key: "text" }, h("h1", { tabindex: "-1" }, say("tap.title")), h("p", { class: "quiet" }, say("tap.text"))),
    till.client.isPlayground && h("section", { class: "card picker", key: "picker", "aria-labelledby": "picker-title" },
      h("h2", { id: "picker-title" }, say("playground.title")),
      h("p", { class: "quiet" }, say("playground.text")),
      h("div", { class: "outcomes" }, ["SUCCESS", ...declines].map((outcome) => h("button", {
        class: `button ${outcome === "SUCCESS" ? "primary" : ""}`, key: outcome, type: "button", "data-outcome": outcome,
        "aria-disabled": till.doing ? "true" : null, onclick: () => act.tap(outcome),
      }, till.doing === `tap.${outcome}` && h("span", { class: "spinner" }), say(`outcome.${outcome}`))))),
  ], [backButton(context), cancelButton(context)]);
}

function backButton({ till, act }) {
  return h("button", { class: "button wide", key: "back", type: "button", "aria-disabled": till.doing ? "true" : null, onclick: act.back },
    till.doing === "back" ? [h("span", { class: "spinner" }), say("tap.backing")] : say("tap.back"));
}

// A code to scan.

function scanScreen(context, session, attempt) {
  const { till } = context;
  const method = say(`method.${attempt.method}`);
  const action = session.next_action ?? attempt.next_action ?? {};
  const isPaying = action.buyer_state === "PAYING";
  const left = action.expires_at ? till.secondsUntil(action.expires_at) : null;
  const picture = action.image_url
    ? h("img", { class: "qr", key: action.image_url, src: pictureAddress(action.image_url), alt: say("scan.label", { amount: amountOf(session), method }), width: 320, height: 320 })
    : action.qr_text ? drawing(action.qr_text, say("scan.label", { amount: amountOf(session), method })) : h("span", { class: "spinner" });
  return screen("scan", null, [
    weather(till), trouble(till),
    h("div", { class: "price centred", key: "price" }, bigAmount(session.order_amount, session.purchase_currency)),
    h("div", { class: `qr-card ${isPaying ? "paying" : ""}`, key: "qr" }, picture, isPaying && h("div", { class: "qr-cover", key: "cover" }, h("span", { class: "spinner" }))),
    h("div", { class: "centred", key: "text" },
      h("h1", { tabindex: "-1" }, say("scan.title", { method })),
      h("p", { class: isPaying ? "strong" : "quiet", role: "status" }, isPaying ? say("scan.paying") : say("scan.text", { method })),
      isPaying ? h("p", { class: "quiet" }, say("scan.payingText"))
        : left !== null && h("p", { class: "quiet figures", role: "timer" }, left > 0 ? say("scan.left", { time: countdown(left) }) : say("scan.over"))),
    till.client.isPlayground && h("a", { class: "button plain small open-buyer", key: "buyer", href: `/buyer/${attempt.payment_id}`, target: "_blank", rel: "noopener" }, say("scan.openBuyer")),
  ], [backButton(context), cancelButton(context)]);
}

/** The server names the picture by its public address, which may be another than the one this page came from. */
function pictureAddress(address) {
  try {
    return new URL(address, location.href).pathname;
  } catch {
    return address;
  }
}

const drawings = new Map();
/** A code, drawn once: it is the same as long as its text is. */
function drawing(text, label) {
  const key = `${text}\n${label}`;
  if (!drawings.has(key)) {
    drawings.clear();
    drawings.set(key, qrDrawing(text, label));
  }
  return { ...drawings.get(key) };
}

// Nobody knows yet.

function unknownScreen(context, session) {
  const { till } = context;
  return screen("unknown", null, [
    weather(till), trouble(till),
    h("div", { class: "price centred", key: "price" }, bigAmount(session.order_amount, session.purchase_currency)),
    h("div", { class: "state-mark warning", key: "mark", "aria-hidden": "true" }, icon(icons.question)),
    h("div", { class: "centred", key: "text" }, h("h1", { tabindex: "-1" }, say("unknown.title")), h("p", null, say("unknown.text"))),
    notice("warning", icons.warning, "rule", say("unknown.rule"), till.cancelAsked.has(session.session_id) && say("unknown.cancelAsked")),
    h("p", { class: "asking quiet", key: "asking" }, h("span", { class: "spinner" }), say("unknown.asking")),
  ], [cancelButton(context, "unknown.cancel")]);
}

// The ends.

function paidScreen(context, session) {
  const { till, act } = context;
  const receipt = till.receipts.get(session.session_id);
  const card = session.payment?.card;
  return screen("paid split", null, [
    h("div", { class: "sum", key: "sum" },
      weather(till),
      h("div", { class: "state-mark good", "aria-hidden": "true" }, icon(icons.check)),
      h("h1", { class: "centred", tabindex: "-1" }, say("paid.title")),
      h("div", { class: "price centred" }, bigAmount(session.order_amount, session.purchase_currency)),
      till.wasPaidBefore.has(session.session_id) && notice("warning", icons.warning, "before", say("paid.before")),
      receipt?.receipt_url && h("div", { class: "receipt-code", key: "receipt-code" },
        h("div", { class: "qr-card small" }, drawing(receipt.receipt_url, say("paid.receiptQR"))),
        h("div", null, h("h2", null, say("paid.receiptQR")), h("p", { class: "quiet" }, say("paid.receiptQRText")),
          h("p", null, h("a", { href: new URL(receipt.receipt_url).pathname, target: "_blank", rel: "noopener" }, say("paid.receipt"))))),
      h("dl", { class: "facts" },
        session.payment && fact("pay", say(`method.${session.payment.method}`), card ? say("paid.card", { brand: card.brand.charAt(0).toUpperCase() + card.brand.slice(1), lastFour: card.last_four }) : ""),
        session.merchant_reference1 && fact("reference", say("cart.reference"), session.merchant_reference1),
        receipt?.paid_at && fact("at", say("paid.at"), h("time", { datetime: receipt.paid_at }, dateAndTime(receipt.paid_at))),
        session.order_id && fact("order", say("paid.order"), session.order_id))),
    items(context, session),
  ], doneButton(context));
}

const fact = (key, name, value) => h("div", { class: "fact", key }, h("dt", { class: "quiet" }, name), h("dd", null, value));

function doneButton({ till, act }) {
  const next = till.line[0];
  return next
    ? h("button", { class: "button primary wide", type: "button", key: "next", onclick: () => act.choose(next.session_id) }, `${say("paid.next")}: ${amountOf(next)}`)
    : h("button", { class: "button primary wide", type: "button", key: "done", onclick: act.leave }, say("paid.done"));
}

function overScreen(context, session) {
  const { till } = context;
  const late = { REVERSING: "over.REVERSING", REVERSED: "over.REVERSED" }[session.payment?.state];
  const text = session.status === "FAILED" ? say(`over.${session.failure_reason}`) : say(`over.${session.status}.text`);
  return screen("over", null, [
    weather(till),
    h("div", { class: "state-mark", key: "mark", "aria-hidden": "true" }, icon(session.status === "EXPIRED" ? icons.clock : icons.cross)),
    h("div", { class: "centred", key: "text" },
      h("h1", { tabindex: "-1" }, say(`over.${session.status}`)),
      h("p", { class: "over-amount figures" }, amountOf(session)),
      h("p", { class: "quiet" }, late ? say(late) : text)),
  ], doneButton(context));
}

// Above the screens.

export function cancelDialog({ till, ui, act }) {
  const session = till.open;
  if (!ui.isCancelling || !session || isOver(session)) return null;
  return h("dialog", { key: "cancel-dialog", class: "sheet", "aria-labelledby": "cancel-title", created: (element) => element.showModal(), onclose: act.keepIt, onclick: act.closeOnBackdrop },
    h("h2", { id: "cancel-title" }, say("cancel.title")),
    h("p", null, attemptOf(session) ? say("cancel.underWay") : say("cancel.text", { amount: amountOf(session) })),
    h("div", { class: "sheet-actions" },
      h("button", { class: "button danger wide", type: "button", onclick: act.cancel }, say("cancel.yes")),
      h("button", { class: "button wide", type: "button", autofocus: true, onclick: act.keepIt }, say("cancel.no"))));
}
