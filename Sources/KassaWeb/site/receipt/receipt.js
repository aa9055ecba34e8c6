// The receipt that a customer keeps: read by the token in the address.

import { Problem, call } from "/shared/calls.js";
import { basisPoints, dateAndTime, money, number } from "/shared/format.js";
import { speaker } from "/shared/language.js";
import { h, show } from "/shared/view.js";

const say = speaker({
  en: {
    title: "Receipt", paid: "Paid", total: "Total", tax: "of which tax", refunded: "Given back", reference: "Reference", order: "Order", time: "Time", method: "Paid with", items: "Items",
    print: "Print or save", each: "{count} × {price}", discount: "{amount} off", rate: "{rate} tax", card: "{brand} ending in {lastFour}", item: "Item", amount: "Amount",
    missing: "There is no such receipt", missingText: "The address may be incomplete. Scan the code once more.", unreachable: "The receipt cannot be read now", unreachableText: "The shop’s server was not reached. Check the network of this phone.", again: "Try again",
    CARD: "Card", KLARNA: "Klarna", SWISH: "Swish", VIPPS: "Vipps",
  },
  sv: {
    title: "Kvitto", paid: "Betalt", total: "Summa", tax: "varav moms", refunded: "Återbetalt", reference: "Referens", order: "Order", time: "Tid", method: "Betalt med", items: "Varor",
    print: "Skriv ut eller spara", each: "{count} × {price}", discount: "{amount} rabatt", rate: "{rate} moms", card: "{brand} som slutar på {lastFour}", item: "Vara", amount: "Belopp",
    missing: "Kvittot finns inte", missingText: "Adressen kan vara ofullständig. Skanna koden en gång till.", unreachable: "Kvittot kan inte läsas just nu", unreachableText: "Butikens server nåddes inte. Kontrollera telefonens nät.", again: "Försök igen",
    CARD: "Kort", KLARNA: "Klarna", SWISH: "Swish", VIPPS: "Vipps",
  },
});

const root = document.getElementById("receipt");
document.title = say("title");

function receipt(read) {
  const { location: place, payment, purchase_currency: currency } = read;
  const brand = payment?.card && payment.card.brand.charAt(0).toUpperCase() + payment.card.brand.slice(1);
  const address = place && [place.street_address, place.street_address2, [place.postal_code, place.city].filter(Boolean).join(" ")].filter(Boolean);
  const fact = (name, value) => value && h("div", null, h("dt", { class: "quiet" }, name), h("dd", null, value));
  return h("main", { class: "receipt" },
    h("div", { class: "head" },
      h("h1", null, read.merchant_name),
      place && h("address", { class: "quiet" }, h("div", null, place.name), address.map((line) => h("div", null, line)))),
    h("table", { class: "figures" },
      h("thead", { class: "unseen" }, h("tr", null, h("th", { scope: "col" }, say("item")), h("th", { scope: "col" }, say("amount")))),
      h("tbody", null, read.order_items.map((item) => h("tr", null,
        h("th", { scope: "row" }, item.name, h("div", { class: "quiet" }, [
          item.quantity !== 1 && say("each", { count: number(item.quantity), price: money(item.unit_price, currency) }),
          item.total_discount_amount > 0 && say("discount", { amount: money(item.total_discount_amount, currency) }),
          item.tax_rate > 0 && say("rate", { rate: basisPoints(item.tax_rate) }),
        ].filter(Boolean).join(" · "))),
        h("td", null, money(item.total_amount, currency))))),
      h("tfoot", null,
        h("tr", { class: "total" }, h("th", { scope: "row" }, say("total")), h("td", null, money(read.order_amount, currency))),
        h("tr", null, h("th", { scope: "row", class: "quiet" }, say("tax")), h("td", { class: "quiet" }, money(read.order_tax_amount, currency))),
        read.refunded_amount > 0 && h("tr", null, h("th", { scope: "row" }, say("refunded")), h("td", null, money(-read.refunded_amount, currency))))),
    h("dl", { class: "facts" },
      fact(say("method"), payment && (brand ? say("card", { brand, lastFour: payment.card.last_four }) : say(payment.method))),
      fact(say("time"), h("time", { datetime: read.paid_at }, dateAndTime(read.paid_at))),
      fact(say("reference"), read.merchant_reference1),
      fact(say("order"), read.order_id)),
    h("button", { class: "button wide", type: "button", onclick: () => print() }, say("print")));
}

async function read() {
  try {
    const token = location.pathname.split("/").at(-1);
    const found = await call("GET", `/receipts/v1/${encodeURIComponent(token)}`);
    document.title = `${say("title")} – ${found.merchant_name}`;
    show(root, receipt(found));
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    const isMissing = error.status === 404;
    show(root, h("main", { class: "receipt" },
      h("div", { class: "head" }, h("h1", null, say(isMissing ? "missing" : "unreachable")), h("p", { class: "quiet" }, say(isMissing ? "missingText" : "unreachableText"))),
      !isMissing && h("button", { class: "button primary wide", type: "button", onclick: read }, say("again"))));
  }
}

read();
