// What a buyer sees after the scan, in the playground: nobody's money, and no app of any provider.

import { Problem, call, pause } from "/shared/calls.js";
import { money } from "/shared/format.js";
import { speaker } from "/shared/language.js";
import { h, icon, show } from "/shared/view.js";

const say = speaker({
  en: {
    title: "Pay", "KLARNA": "Klarna", "SWISH": "Swish", "VIPPS": "Vipps", playground: "Playground: no real money moves.", to: "Pay to", approve: "Pay {amount}", refuse: "No, thanks", doing: "One moment …",
    SUCCEEDED: "Paid", "SUCCEEDED.text": "{amount} to {shop}. You can put the phone away.", FAILED: "Not paid", "FAILED.text": "No money was taken.", CANCELLED: "Cancelled", "CANCELLED.text": "The shop took the payment back. No money was taken.",
    UNKNOWN: "Not known yet", "UNKNOWN.text": "The shop’s till waits for the answer.", REVERSING: "Given back", "REVERSING.text": "The money came too late and is given back.", REVERSED: "Given back", "REVERSED.text": "The money came too late and was given back.",
    missing: "There is nothing to pay here", missingText: "The code may be old. Ask at the till.", unreachable: "No answer", unreachableText: "The shop’s server was not reached. Check the network of this phone.", again: "Try again", late: "That was too late: the payment does not wait any more.",
  },
  sv: {
    title: "Betala", "KLARNA": "Klarna", "SWISH": "Swish", "VIPPS": "Vipps", playground: "Testläge: inga riktiga pengar rör sig.", to: "Betala till", approve: "Betala {amount}", refuse: "Nej tack", doing: "Ett ögonblick …",
    SUCCEEDED: "Betalt", "SUCCEEDED.text": "{amount} till {shop}. Du kan lägga undan telefonen.", FAILED: "Inte betalt", "FAILED.text": "Inga pengar har dragits.", CANCELLED: "Avbrutet", "CANCELLED.text": "Butiken tog tillbaka betalningen. Inga pengar har dragits.",
    UNKNOWN: "Inte känt än", "UNKNOWN.text": "Butikens kassa väntar på svaret.", REVERSING: "Betalas tillbaka", "REVERSING.text": "Pengarna kom för sent och betalas tillbaka.", REVERSED: "Betalat tillbaka", "REVERSED.text": "Pengarna kom för sent och har betalats tillbaka.",
    missing: "Här finns inget att betala", missingText: "Koden kan vara gammal. Fråga vid kassan.", unreachable: "Inget svar", unreachableText: "Butikens server nåddes inte. Kontrollera telefonens nät.", again: "Försök igen", late: "Det var för sent: betalningen väntar inte längre.",
  },
});

const check = "M5 12.5l4.5 4.5L19 7.5";
const cross = ["M7 7l10 10", "M17 7L7 17"];
const LOOK_SECONDS = 2;

const root = document.getElementById("buyer");
const address = `/buyer/v1/payments/${encodeURIComponent(location.pathname.split("/").at(-1))}`;
let payment = null;
let doing = null;
let trouble = null;

const amount = () => money(payment.amount, payment.currency);
const shop = () => payment.location_name && payment.location_name !== payment.merchant_name ? `${payment.merchant_name}, ${payment.location_name}` : payment.merchant_name;

function draw() {
  document.title = payment ? `${say(payment.method)} – ${say("title")}` : say("title");
  if (payment) root.dataset.method = payment.method;
  show(root,
    h("header", { class: "head" }, payment && [h("p", { class: "method" }, say(payment.method)), h("p", null, say("playground"))]),
    h("main", { class: "sheet" }, parts()));
}

function parts() {
  if (!payment) {
    if (!trouble) return h("div", { class: "spinner" });
    return [
      h("div", { class: "result" }, icon(cross), h("h1", null, say(trouble)), h("p", { class: "quiet" }, say(`${trouble}Text`))),
      trouble !== "missing" && h("div", { class: "deeds" }, h("button", { class: "button primary wide", type: "button", onclick: begin }, say("again"))),
    ];
  }
  if (payment.state !== "PENDING") {
    const isPaid = payment.state === "SUCCEEDED";
    return h("div", { class: `result ${isPaid ? "paid" : ""}`, role: "status" },
      icon(isPaid ? check : cross), h("h1", null, say(payment.state)), h("p", { class: "quiet" }, say(`${payment.state}.text`, { amount: amount(), shop: shop() })));
  }
  return [
    h("div", { class: "to" }, h("p", { class: "quiet" }, say("to")), h("h1", null, shop())),
    h("p", { class: "sum figures" }, amount()),
    trouble && h("p", { class: "notice warning", role: "alert" }, say(trouble)),
    h("div", { class: "deeds" },
      deed("approve", "primary", say("approve", { amount: amount() })),
      deed("refuse", "", say("refuse"))),
  ];
}

const deed = (name, kind, text) => h("button", { class: `button wide ${kind}`, key: name, type: "button", "data-deed": name, "aria-disabled": doing ? "true" : null, onclick: () => act(name) },
  doing === name ? [h("span", { class: "spinner" }), say("doing")] : text);

async function act(name) {
  if (doing) return;
  doing = name;
  trouble = null;
  draw();
  try {
    payment = await call("POST", `${address}/${name}`);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    trouble = error.isUncertain ? "unreachable" : "late";
    await look();
  }
  doing = null;
  draw();
}

/** Reads what is: the till may have taken it back meanwhile. */
async function look() {
  try {
    payment = await call("GET", address);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (!payment) trouble = error.status === 404 ? "missing" : "unreachable";
  }
}

async function begin() {
  trouble = null;
  draw();
  await look();
  // The provider hears that the code was opened, and the till with it.
  if (payment?.state === "PENDING") {
    try {
      payment = await call("POST", `${address}/open`);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      await look();
    }
  }
  draw();
  while (payment && ["PENDING", "UNKNOWN"].includes(payment.state)) {
    await pause(LOOK_SECONDS * 1000);
    if (doing || document.visibilityState === "hidden") continue;
    await look();
    draw();
  }
}

begin();
