// Payment requests: the live list, and one with everything that happened to it.

import { basisPoints, money, timeWithSeconds } from "/shared/format.js";
import { h } from "/shared/view.js";
import { all, get, put, withQuery } from "/portal/api.js";
import { sessionColumns } from "/portal/devices.js";
import { createCodes } from "/portal/enrollments.js";
import {
  ago, badge, button, confirmDialog, empty, facts, go, head, isPlayground, link, List, moment, notice, problemNotice, problemText, render, spinner, table, tell,
} from "/portal/parts.js";
import { tapCard, tapOutcomes, testSession } from "/portal/testing.js";
import { say } from "/portal/texts.js";

const path = "/ipp/v1/sessions";
const states = ["CREATED", "ACTIVE", "FINALIZED", "CANCELLED", "EXPIRED", "FAILED"];
const isOver = ({ status }) => status !== "CREATED" && status !== "ACTIVE";

export function sessionsScreen({ query }) {
  const list = new List(path, query);
  list.load();
  let devices = [];
  let locations = [];
  all("/ipp/v1/devices").then((found) => ((devices = found), render()), () => {});
  all("/ipp/v1/locations").then((found) => ((locations = found), render()), () => {});
  const nameOf = (deviceID) => {
    const device = devices.find(({ id }) => id === deviceID);
    return device && (device.name || device.hardware_id);
  };
  const isFiltered = Object.values(query).some(Boolean);
  const filter = (change) => go(withQuery("/sessions", { ...query, ...change }));
  const choice = (name, label, choices) =>
    h("div", { class: "field" }, h("label", { for: `filter-${name}` }, label),
      h("select", { id: `filter-${name}`, class: "input", value: query[name] ?? "", onchange: ({ target }) => filter({ [name]: target.value }) },
        [["", say("all")], ...choices].map(([value, text]) => h("option", { key: value, value, selected: value === (query[name] ?? "") }, text))));
  const test = () => button(say("testing.create"), () => testSession(), { kind: "primary", icon: "plus" });
  return {
    refresh: () => list.refresh(),
    hear: (name) => /^ipp\.(session|payment)\./.test(name) && list.refresh(),
    view: () => [
      head(say("nav.sessions"), { lead: say("sessions.lead"), actions: [isPlayground() && test()] }),
      h("form", { class: "filters", role: "search", "aria-label": say("filter"), onsubmit: (event) => (event.preventDefault(), filter({ merchant_reference1: event.target.elements.reference.value.trim() })) },
        choice("status", say("status"), states.map((status) => [status, say(`status.${status}`)])),
        devices.length > 1 && choice("device_id", say("device"), devices.map((device) => [device.id, device.name || device.hardware_id])),
        locations.length > 1 && choice("location_id", say("location"), locations.map(({ id, name }) => [id, name])),
        h("div", { class: "field" }, h("label", { for: "filter-reference" }, say("reference")),
          h("input", { id: "filter-reference", name: "reference", class: "input", type: "search", enterkeyhint: "search", created: (element) => (element.value = query.merchant_reference1 ?? "") })),
        isFiltered && link(say("showAll"), "#/sessions", { kind: "plain" })),
      table(list, {
        caption: say("nav.sessions"), key: (row) => row.session_id, href: (row) => `#/sessions/${row.session_id}`,
        columns: [
          ...sessionColumns(),
          { title: say("device"), cell: (row) => nameOf(row.device_id) ?? "–", value: (row) => nameOf(row.device_id) },
          { title: say("payment"), cell: (row) => paymentText(row.payment) },
        ],
        empty: isFiltered
          ? empty("sessions", say("nothingFits"), say("nothingFitsText"), link(say("showAll"), "#/sessions"))
          : devices.length
            ? empty("sessions", say("sessions.empty"), say("sessions.emptyText"), isPlayground() && test(), link(say("sessions.how"), "/docs", { target: "_blank" }))
            : empty("devices", say("sessions.noDevices"), say("sessions.noDevicesText"), button(say("devices.pair"), createCodes, { kind: isPlayground() ? "" : "primary", icon: "plus" }), isPlayground() && test()),
      }),
    ],
  };
}

export const paymentText = (payment) =>
  !payment ? "–" : h("span", null, say(`method.${payment.method}`), payment.card ? ` ${capitalised(payment.card.brand)} •• ${payment.card.last_four}` : "", payment.failure_reason ? h("span", { class: "quiet" }, " ", reasonText(payment.failure_reason)) : null);

const capitalised = (word) => word.charAt(0).toUpperCase() + word.slice(1);

const reasonText = (reason) => (say.knows(`reason.${reason}`) ? say(`reason.${reason}`) : reason);

export function sessionScreen({ id, signal }) {
  let session = null;
  let problem = null;
  let device = null;
  /** What became of the wish to cancel: null, `asking`, or a problem. */
  let cancelling = null;
  let outcome = "SUCCESS";
  let tapping = false;
  const load = async () => {
    try {
      session = await get(`${path}/${id}`);
      problem = null;
      if (isOver(session) && cancelling === "asking") cancelling = null;
      device ??= await get(`/ipp/v1/devices/${session.device_id}`).catch(() => null);
    } catch (found) {
      problem = found;
    }
    render();
  };
  load();
  // Steps of the delivery are no events: while the session is open they are looked for.
  const timer = setInterval(() => session && !isOver(session) && document.visibilityState === "visible" && load(), 2500);
  signal.addEventListener("abort", () => clearInterval(timer));

  const cancel = () =>
    confirmDialog(say("sessions.cancel"), say("sessions.cancelText"), say("sessions.cancel"), async () => {
      try {
        session = await put(`${path}/${id}/cancel`);
        cancelling = null;
        tell(say("sessions.cancelledNoMoney"));
      } catch (found) {
        if (found.code !== "session_finalized" && found.code !== "payment_outcome_unknown" && found.code !== "session_over") throw found;
        cancelling = found.code === "payment_outcome_unknown" ? "asking" : found;
        if (cancelling === "asking") askAgain(found.retryAfterSeconds ?? 5);
        load();
      }
    });
  /** Goes on asking until it is known whether money moved. */
  const askAgain = (seconds) =>
    setTimeout(async () => {
      if (signal.aborted || cancelling !== "asking") return;
      try {
        session = await put(`${path}/${id}/cancel`);
        cancelling = null;
        tell(say("sessions.cancelledNoMoney"));
      } catch (found) {
        if (found.code === "payment_outcome_unknown" || found.isUncertain) askAgain(found.retryAfterSeconds ?? 5);
        else cancelling = found;
        load();
      }
      render();
    }, seconds * 1000);

  const tap = async () => {
    tapping = true;
    render();
    try {
      session = await tapCard(id, outcome);
    } catch (found) {
      tell(problemText(found), "danger");
    }
    tapping = false;
    load();
  };

  const back = { href: "#/sessions", label: say("nav.sessions") };
  return {
    refresh: load,
    hear: (name, data) => data.session_id === id && load(),
    view: () => {
      if (problem && !session) return [head(say("sessions.one"), { back }), problemNotice(problem, load)];
      if (!session) return [head(say("sessions.one"), { back }), spinner()];
      return [
        head(say("sessions.one"), {
          back,
          actions: [
            session.order_id && link(say("sessions.toOrder"), `#/orders/${session.order_id}`, { icon: "orders" }),
            !isOver(session) && button(say("sessions.cancel"), cancel, { kind: "danger", disabled: cancelling === "asking" }),
          ],
        }),
        h("div", { "aria-live": "polite" },
          cancelling === "asking" && notice("warning", h("p", { class: "strong" }, say("sessions.unknown")), h("p", null, say("sessions.unknownText"))),
          cancelling?.code === "session_finalized" && notice("warning", h("p", { class: "strong" }, say("sessions.alreadyPaid")), h("p", null, say("sessions.alreadyPaidText"))),
          cancelling?.code === "session_over" && notice("", h("p", null, say("sessions.over")))),
        h("div", { class: "columns" },
          h("div", { class: "column" },
            h("section", { class: "card amount-card", "aria-label": say("amount") },
              h("p", { class: "amount-large figures" }, money(session.order_amount, session.purchase_currency)),
              h("p", { role: "status" }, badge(session.status), session.failure_reason && h("span", { class: "quiet" }, " ", reasonText(session.failure_reason))),
              h("p", { class: "quiet" }, say(`sessions.state.${session.status}`))),
            isPlayground() && !isOver(session) && h("section", { class: "card tap-card", "aria-label": say("testing.card") },
              h("h2", null, say("testing.card")),
              h("p", { class: "quiet" }, say("testing.cardText")),
              h("div", { class: "inline" },
                h("label", { class: "unseen", for: "outcome" }, say("testing.outcome")),
                h("select", { id: "outcome", class: "input", value: outcome, onchange: ({ target }) => ((outcome = target.value), render()) },
                  tapOutcomes.map((each) => h("option", { key: each, value: each, selected: each === outcome }, each === "SUCCESS" ? say("testing.success") : reasonText(each)))),
                button(say("testing.tap"), tap, { kind: "primary", disabled: tapping }))),
            h("section", { class: "card", "aria-label": say("details") },
              facts([
                [say("reference"), session.merchant_reference1],
                [say("reference2"), session.merchant_reference2],
                [say("device"), device ? h("a", { href: `#/devices/${device.id}` }, device.name || device.hardware_id) : h("code", { class: "id" }, session.device_id)],
                [say("payment"), session.payment && paymentText(session.payment)],
                [say("created"), moment(session.created_at)],
                !isOver(session) ? [say("sessions.expires"), ago(session.expires_at)] : ["", null],
                [say("sessions.data"), session.merchant_data && h("code", { class: "code-line" }, session.merchant_data)],
                ["ID", h("code", { class: "id" }, session.session_id)],
              ])),
            cart(session)),
          h("section", { class: "card timeline-card", "aria-label": say("timeline") }, h("h2", null, say("timeline")), timeline(session))),
      ];
    },
  };
}

export const cart = ({ order_items: lines, order_amount, order_tax_amount, purchase_currency: currency }) =>
  h("section", { class: "card", "aria-label": say("cart") },
    h("h2", null, say("cart")),
    h("ul", { class: "cart", role: "list" }, lines.map((line, index) =>
      h("li", { key: index },
        h("div", null, h("span", null, line.name), h("span", { class: "quiet" }, line.quantity > 1 ? `${line.quantity} × ${money(line.unit_price, currency)} · ` : "", `${say("tax")} ${basisPoints(line.tax_rate)}`)),
        h("span", { class: "figures" }, money(line.total_amount, currency))))),
    h("dl", { class: "sum" },
      order_tax_amount !== undefined && h("div", { class: "quiet" }, h("dt", null, say("taxOf")), h("dd", { class: "figures" }, money(order_tax_amount, currency))),
      h("div", { class: "strong" }, h("dt", null, say("total")), h("dd", { class: "figures" }, money(order_amount, currency)))));

// MARK: The timeline

/** Which of the three rails a step happens on: the backend's, the phone's, or the money's. */
const railOf = (what) => (what.startsWith("delivery.") || what === "session.activated" ? 1 : what.startsWith("payment.") || what === "session.finalized" ? 2 : 0);
const railX = [12, 40, 68];
const textX = 96;
const rowHeight = 60;
const colourOf = (what) =>
  ({ "session.finalized": "good", "payment.failed": "danger", "session.failed": "danger", "payment.late": "warning", "session.cancelled": "end", "session.expired": "end" })[what] ?? "";

const stepText = (step) => (say.knows(`step.${step.what}`) ? say(`step.${step.what}`) : step.what);

/** How long one step came after the one before, as a person says it. */
function gap(milliseconds) {
  if (milliseconds < 1000) return `+ ${milliseconds} ms`;
  if (milliseconds < 60_000) return `+ ${(milliseconds / 1000).toFixed(1)} s`;
  return `+ ${Math.floor(milliseconds / 60_000)} min ${Math.round((milliseconds % 60_000) / 1000)} s`;
}

/** The steps as stations of a line over three rails, each with its time. The same is there as a list for who cannot see it. */
function timeline(session) {
  const steps = session.timeline ?? [];
  const height = 44 + steps.length * rowHeight;
  const y = (index) => 62 + index * rowHeight;
  const route = steps.map((step, index) => {
    const [x, here] = [railX[railOf(step.what)], y(index)];
    if (index === 0) return `M${x} ${here}`;
    const before = railX[railOf(steps[index - 1].what)];
    return x === before ? `L${x} ${here}` : `C${before} ${here - rowHeight / 2} ${x} ${here - rowHeight / 2} ${x} ${here}`;
  }).join("");
  return [
    h("ul", { class: "rails", role: "list" }, ["backend", "phone", "money"].map((rail) => h("li", { key: rail, class: `rail-${rail}` }, say(`rail.${rail}`)))),
    h("svg", { class: "timeline", width: "100%", height, "aria-hidden": "true" },
      railX.map((x) => h("line", { class: "rail", x1: x, x2: x, y1: 34, y2: height })),
      h("path", { class: "route", d: route }),
      steps.map((step, index) =>
        h("g", { key: `${step.what} ${step.at}` },
          h("circle", { class: `station ${colourOf(step.what)}`, cx: railX[railOf(step.what)], cy: y(index), r: 8 }),
          h("text", { class: "step", x: textX, y: y(index) - 2 }, stepText(step)),
          h("text", { class: "when figures", x: textX, y: y(index) + 18 },
            timeWithSeconds(step.at), `.${step.at.slice(20, 23)}`, index > 0 ? `   ${gap(new Date(step.at) - new Date(steps[index - 1].at))}` : "", step.failure_reason ? `   ${reasonText(step.failure_reason)}` : ""))),
      railX.map((x, index) => h("text", { class: "rail-name", x, y: 18, "text-anchor": "middle" }, "ABC"[index]))),
    h("ol", { class: "unseen" }, steps.map((step) => h("li", { key: `${step.what} ${step.at}` }, `${timeWithSeconds(step.at)} ${stepText(step)} ${step.failure_reason ? reasonText(step.failure_reason) : ""}`))),
    steps.length === 0 && h("p", { class: "quiet" }, say("timeline.none")),
  ];
}
