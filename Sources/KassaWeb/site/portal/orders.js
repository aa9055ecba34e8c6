// What was paid: read, captured and given back.

import { Problem } from "/shared/calls.js";
import { digitsOf, money } from "/shared/format.js";
import { h } from "/shared/view.js";
import { get, post, withQuery } from "/portal/api.js";
import { badge, button, confirmDialog, empty, facts, formDialog, go, head, link, List, moment, notice, problemNotice, render, shortID, spinner, table, tell, textField } from "/portal/parts.js";
import { cart, paymentText } from "/portal/sessions.js";
import { minorUnits } from "/portal/testing.js";
import { say } from "/portal/texts.js";

const path = "/ordermanagement/v1/orders";
const states = ["AUTHORIZED", "PART_CAPTURED", "CAPTURED", "CANCELLED"];

export function ordersScreen({ query }) {
  const list = new List("/portal/v1/orders", query);
  list.load();
  const isFiltered = Object.values(query).some(Boolean);
  const filter = (change) => go(withQuery("/orders", { ...query, ...change }));
  return {
    refresh: () => list.refresh(),
    hear: (name) => /^(order|capture|refund)\.|session\.finalized$/.test(name) && list.refresh(),
    view: () => [
      head(say("nav.orders"), { lead: say("orders.lead") }),
      h("form", { class: "filters", role: "search", "aria-label": say("filter"), onsubmit: (event) => (event.preventDefault(), filter({ merchant_reference1: event.target.elements.reference.value.trim() })) },
        h("div", { class: "field" }, h("label", { for: "filter-status" }, say("status")),
          h("select", { id: "filter-status", class: "input", value: query.status ?? "", onchange: ({ target }) => filter({ status: target.value }) },
            [["", say("all")], ...states.map((each) => [each, say(`status.${each}`)])].map(([value, text]) => h("option", { key: value, value, selected: value === (query.status ?? "") }, text)))),
        h("div", { class: "field" }, h("label", { for: "filter-reference" }, say("reference")),
          h("input", { id: "filter-reference", name: "reference", class: "input", type: "search", enterkeyhint: "search", created: (element) => (element.value = query.merchant_reference1 ?? "") })),
        isFiltered && link(say("showAll"), "#/orders", { kind: "plain" })),
      table(list, {
        caption: say("nav.orders"), key: (row) => row.order_id, href: (row) => `#/orders/${row.order_id}`,
        columns: [
          { title: say("reference"), cell: (row) => (row.merchant_reference1 ? h("span", { class: "strong" }, row.merchant_reference1) : shortID(row.order_id)), value: (row) => row.merchant_reference1 },
          { title: say("status"), cell: (row) => badge(row.status), value: (row) => row.status },
          { title: say("amount"), class: "amount", cell: (row) => money(row.order_amount, row.purchase_currency), value: (row) => row.order_amount },
          { title: say("orders.refunded"), class: "amount", cell: (row) => (row.refunded_amount ? money(row.refunded_amount, row.purchase_currency) : "–"), value: (row) => row.refunded_amount },
          { title: say("created"), cell: (row) => moment(row.created_at), value: (row) => row.created_at },
        ],
        empty: isFiltered
          ? empty("orders", say("nothingFits"), say("nothingFitsText"), link(say("showAll"), "#/orders"))
          : empty("orders", say("orders.empty"), say("orders.emptyText"), link(say("nav.sessions"), "#/sessions")),
      }),
    ],
  };
}

const plain = (amount, currency) => (amount / 10 ** digitsOf(currency)).toFixed(digitsOf(currency));

export function orderScreen({ id, signal }) {
  let order = null;
  let problem = null;
  const load = async () => {
    try {
      order = await get(`${path}/${id}`);
      problem = null;
    } catch (found) {
      problem = found;
    }
    render();
  };
  load();
  const isUnderWay = () => [...order.refunds, ...order.captures].some(({ state }) => state === "REQUESTED");
  const timer = setInterval(() => order && isUnderWay() && document.visibilityState === "visible" && load(), 3000);
  signal.addEventListener("abort", () => clearInterval(timer));

  /** Asks for an amount, of at most `most`, and moves it. */
  const move = ({ kind, most, member }) =>
    formDialog({
      title: say(`orders.${kind}`), lead: say(`orders.${kind}Lead`, { amount: money(most, order.purchase_currency) }), label: say(`orders.${kind}`),
      names: [member, "reference", "description"], values: { [member]: plain(most, order.purchase_currency), reference: "", description: "" },
      fields: (form) => [
        textField(form, member, { label: `${say("amount")} (${order.purchase_currency})`, inputmode: "decimal", autofocus: true }),
        textField(form, "reference", { label: say("orders.reference"), hint: say("optional"), maxlength: 255 }),
        textField(form, "description", { label: say("orders.description"), hint: say("optional"), maxlength: 255 }),
      ],
      submit: async (values, once) => {
        const amount = minorUnits(values[member], order.purchase_currency);
        if (!(amount > 0 && amount <= most)) throw new Problem({ status: 400, code: "amount", errors: { [member]: say("orders.amountFlaw", { amount: money(most, order.purchase_currency) }) } });
        await post(`${path}/${id}/${kind}s`, { [member]: amount, reference: values.reference.trim() || undefined, description: values.description.trim() || undefined }, { once, timeoutSeconds: 45 });
        tell(say(`orders.${kind}Asked`));
        load();
      },
    });
  const cancel = () =>
    confirmDialog(say("orders.cancel"), say("orders.cancelText"), say("orders.cancel"), async () => {
      await post(`${path}/${id}/cancel`);
      tell(say("orders.cancelled"));
      load();
    });

  const back = { href: "#/orders", label: say("nav.orders") };
  return {
    refresh: load,
    hear: (name) => /^(order|capture|refund)\./.test(name) && load(),
    view: () => {
      if (problem && !order) return [head(say("orders.one"), { back }), problemNotice(problem, load)];
      if (!order) return [head(say("orders.one"), { back }), spinner()];
      const currency = order.purchase_currency;
      const [refundable, capturable] = [order.refundable_amount, order.remaining_authorized_amount];
      return [
        head(say("orders.one"), {
          back,
          actions: [
            refundable > 0 && button(say("orders.refund"), () => move({ kind: "refund", most: refundable, member: "refunded_amount" }), { kind: "primary" }),
            capturable > 0 && button(say("orders.capture"), () => move({ kind: "capture", most: capturable, member: "captured_amount" }), { kind: refundable > 0 ? "" : "primary" }),
            capturable > 0 && capturable === order.order_amount && button(say("orders.cancel"), cancel, { kind: "danger" }),
          ],
        }),
        h("div", { "aria-live": "polite" }, isUnderWay() && notice("warning", h("p", null, say("orders.underWay")))),
        h("div", { class: "columns" },
          h("div", { class: "column" },
            h("section", { class: "card amount-card", "aria-label": say("amount") },
              h("p", { class: "amount-large figures" }, money(order.order_amount, currency)), h("p", { role: "status" }, badge(order.status)), bar(order)),
            h("section", { class: "card", "aria-label": say("details") }, facts([
              [say("payment"), paymentText(order.payment)],
              [say("orders.captured"), money(order.captured_amount, currency)],
              [say("orders.refunded"), order.refunded_amount ? money(order.refunded_amount, currency) : null],
              [say("orders.left"), order.remaining_authorized_amount ? money(order.remaining_authorized_amount, currency) : null],
              [say("reference"), order.merchant_reference1],
              [say("reference2"), order.merchant_reference2],
              [say("sessions.one"), h("a", { href: `#/sessions/${order.session_id}` }, shortID(order.session_id))],
              [say("created"), moment(order.created_at)],
              ["ID", h("code", { class: "id" }, order.order_id)],
            ])),
            cart({ order_items: order.order_lines, order_amount: order.original_order_amount, order_tax_amount: order.order_tax_amount, purchase_currency: currency })),
          h("section", { class: "card", "aria-label": say("orders.movements") }, h("h2", null, say("orders.movements")), movements(order))),
      ];
    },
  };
}

/** How much of the order was taken and given back. */
function bar({ order_amount: whole, captured_amount: captured, refunded_amount: refunded }) {
  const share = (amount) => (whole > 0 ? (amount / whole) * 100 : 0);
  return h("svg", { class: "bar", viewBox: "0 0 100 4", preserveAspectRatio: "none", width: "100%", height: 10, "aria-hidden": "true" },
    h("rect", { class: "bar-base", width: 100, height: 4 }), h("rect", { class: "bar-captured", width: share(captured), height: 4 }),
    h("rect", { class: "bar-refunded", x: share(captured) - share(refunded), width: share(refunded), height: 4 }));
}

function movements(order) {
  const all = [
    ...order.captures.map((each) => ({ ...each, kind: "capture", id: each.capture_id, amount: each.captured_amount, at: each.created_at })),
    ...order.refunds.map((each) => ({ ...each, kind: "refund", id: each.refund_id, amount: each.refunded_amount, at: each.created_at })),
  ].sort((a, b) => String(b.at).localeCompare(String(a.at)));
  if (all.length === 0) return h("p", { class: "quiet" }, say("orders.noMovements"));
  return h("ul", { class: "movements", role: "list" }, all.map((each) =>
    h("li", { key: `${each.kind} ${each.id}` },
      h("div", null, h("p", { class: "strong" }, say(each.kind === "refund" ? "orders.refunded" : "orders.captured")), h("p", { class: "quiet" }, each.at && moment(each.at), each.reference && ` · ${each.reference}`), each.description && h("p", { class: "quiet" }, each.description), each.failure_message && h("p", { class: "quiet" }, each.failure_message)),
      h("div", { class: "movement-amount" }, h("p", { class: "figures strong" }, `${each.kind === "refund" ? "−" : ""}${money(each.amount, order.purchase_currency)}`), badge(each.state)))));
}
