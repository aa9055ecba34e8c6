// Where events are sent, and what became of each.

import { dateAndTime, timeWithSeconds } from "/shared/format.js";
import { h } from "/shared/view.js";
import { get, onceKey, post, put, remove } from "/portal/api.js";
import {
  ago, badge, button, confirmDialog, copyButton, empty, facts, formDialog, go, head, isPlayground, link, List, moment, notice, problemNotice, problemText, render,
  secretDialog, spinner, switchField, table, tell, textField,
} from "/portal/parts.js";
import { say } from "/portal/texts.js";

const path = "/portal/v1/webhooks";
/** What can be subscribed to (contract of the callbacks). */
const types = [
  "ipp.session.created", "ipp.session.activated", "ipp.session.finalized", "ipp.session.cancelled", "ipp.session.expired", "ipp.session.failed",
  "ipp.payment.failed", "ipp.payment.late", "ipp.device.paired", "ipp.device.deleted", "order.created", "order.cancelled", "capture.created", "capture.failed",
  "refund.created", "refund.failed",
];

const eventsView = (events) => (events[0] === "*" ? say("webhooks.all") : say("webhooks.some", { count: events.length }));
const statusOf = (webhook) => (webhook.enabled ? "ENABLED" : "DISABLED");

function edit(webhook, done) {
  const chosen = new Set(webhook?.events ?? ["*"]);
  formDialog({
    title: webhook ? say("webhooks.change") : say("webhooks.create"), label: say("save"), names: ["name", "url", "events"],
    values: { name: webhook?.name ?? "", url: webhook?.url ?? "", isAll: chosen.has("*"), enabled: webhook?.enabled ?? true },
    fields: (form) => [
      textField(form, "name", { label: say("name"), hint: say("webhooks.nameHint"), maxlength: 100, autofocus: true }),
      textField(form, "url", { label: say("webhooks.url"), hint: isPlayground() ? say("webhooks.urlHintLocal") : say("webhooks.urlHint"), type: "url", inputmode: "url", spellcheck: "false", autocapitalize: "none" }),
      switchField(form, "isAll", { label: say("webhooks.everything") }),
      !form.values.isAll && h("fieldset", { class: "choices" }, h("legend", null, say("webhooks.types")),
        types.map((type) => h("label", { key: type, class: "check" },
          h("input", { type: "checkbox", checked: chosen.has(type), onchange: ({ target }) => (target.checked ? chosen.add(type) : chosen.delete(type)) }),
          h("span", null, say.knows(`event.${type.replace(/^ipp\./, "")}`) ? say(`event.${type.replace(/^ipp\./, "")}`) : type, " ", h("code", { class: "quiet" }, type)))),
        form.flawOf("events") && h("p", { class: "flaw", role: "alert" }, form.flawOf("events"))),
      webhook && switchField(form, "enabled", { label: say("webhooks.enabled") }),
    ],
    submit: async ({ name, url, isAll, enabled }, once) => {
      const body = { name: name.trim(), url: url.trim(), events: isAll ? ["*"] : [...chosen].filter((type) => type !== "*") };
      if (webhook) done(await put(`${path}/${webhook.id}`, { ...body, enabled }));
      else {
        const made = await post(path, body, { once });
        done(made);
        setTimeout(() => secretDialog(say("webhooks.secret"), say("webhooks.secretText"), made.secret));
      }
    },
  });
}

export function webhooksScreen() {
  const list = new List(path);
  list.load();
  const create = () => button(say("webhooks.create"), () => edit(null, (made) => go(`/webhooks/${made.id}`)), { kind: "primary", icon: "plus" });
  return {
    refresh: () => list.refresh(),
    view: () => [
      head(say("nav.webhooks"), { lead: say("webhooks.lead"), actions: [create()] }),
      table(list, {
        caption: say("nav.webhooks"), key: (row) => row.id, href: (row) => `#/webhooks/${row.id}`,
        columns: [
          { title: say("name"), cell: (row) => h("span", { class: "strong" }, row.name), value: (row) => row.name },
          { title: say("webhooks.url"), cell: (row) => h("code", { class: "address" }, row.url), value: (row) => row.url },
          { title: say("webhooks.types"), cell: (row) => eventsView(row.events) },
          { title: say("status"), cell: (row) => badge(statusOf(row)), value: statusOf },
        ],
        empty: empty("webhooks", say("webhooks.empty"), say("webhooks.emptyText"), create(), isPlayground() && h("p", { class: "quiet" }, say("webhooks.listen"), " ", h("code", null, "kassa listen"))),
      }),
    ],
  };
}

export function webhookScreen({ id, query, signal }) {
  let webhook = null;
  let problem = null;
  let open = null;
  const resending = new Set();
  const deliveries = new List(`${path}/${id}/deliveries`, { status: query.status });
  deliveries.load();
  const load = async () => {
    try {
      webhook = await get(`${path}/${id}`);
      problem = null;
    } catch (found) {
      problem = found;
    }
    render();
  };
  load();
  const refresh = () => deliveries.refresh();
  const timer = setInterval(() => document.visibilityState === "visible" && refresh(), 4000);
  signal.addEventListener("abort", () => clearInterval(timer));

  const test = async () => {
    try {
      await post(`${path}/${id}/test`, undefined, { once: onceKey() });
      tell(say("webhooks.testSent"));
      setTimeout(refresh, 400);
    } catch (found) {
      tell(problemText(found), "danger");
    }
  };
  const rotate = () =>
    confirmDialog(say("webhooks.rotate"), say("webhooks.rotateText"), say("webhooks.rotate"), async () => {
      const made = await post(`${path}/${id}/rotate-secret`, undefined, { once: onceKey() });
      load();
      setTimeout(() => secretDialog(say("webhooks.secret"), say("webhooks.secretText"), made.secret));
    });
  const removeIt = () =>
    confirmDialog(say("webhooks.remove"), say("webhooks.removeText"), say("webhooks.remove"), async () => {
      await remove(`${path}/${id}`);
      tell(say("removed"));
      go("/webhooks");
    });
  const resend = async (delivery) => {
    resending.add(delivery.id);
    render();
    try {
      await post(`/portal/v1/webhook-deliveries/${delivery.id}/resend`, undefined, { once: onceKey() });
      tell(say("webhooks.resent"));
    } catch (found) {
      tell(problemText(found), "danger");
    }
    resending.delete(delivery.id);
    refresh();
    render();
  };

  const back = { href: "#/webhooks", label: say("nav.webhooks") };
  return {
    refresh: () => (load(), refresh()),
    hear: () => setTimeout(refresh, 300),
    view: () => {
      if (problem && !webhook) return [head(say("webhooks.one"), { back }), problemNotice(problem, load)];
      if (!webhook) return [head(say("webhooks.one"), { back }), spinner()];
      return [
        head(webhook.name, {
          back,
          actions: [
            button(say("webhooks.test"), test, { kind: "primary" }), button(say("change"), () => edit(webhook, (changed) => ((webhook = changed), tell(say("saved")), render()))),
            button(say("webhooks.rotate"), rotate), button(say("webhooks.remove"), removeIt, { kind: "danger" }),
          ],
        }),
        !webhook.enabled && notice("warning", h("p", null, say(webhook.disabled_reason === "GONE" ? "webhooks.gone" : "webhooks.off"))),
        webhook.previous_secret_valid_until && notice("", h("p", null, say("webhooks.bothSign", { at: timeWithSeconds(webhook.previous_secret_valid_until) }))),
        h("section", { class: "card", "aria-label": say("details") }, facts([
          [say("webhooks.url"), h("code", { class: "address" }, webhook.url)],
          [say("status"), badge(statusOf(webhook))],
          [say("webhooks.types"), webhook.events[0] === "*" ? say("webhooks.all") : h("ul", { class: "tags", role: "list" }, webhook.events.map((type) => h("li", { key: type }, h("code", null, type))))],
          [say("webhooks.secret"), h("span", { class: "quiet" }, say("webhooks.secretHidden"))],
          [say("created"), moment(webhook.created_at)],
        ])),
        h("div", { class: "section-head" },
          h("h2", { class: "section-title" }, say("webhooks.deliveries")),
          h("div", { class: "field inline" }, h("label", { for: "delivery-status" }, say("status")),
            h("select", { id: "delivery-status", class: "input", value: query.status ?? "", onchange: ({ target }) => go(target.value ? `/webhooks/${id}?status=${target.value}` : `/webhooks/${id}`) },
              [["", say("all")], ...["PENDING", "DELIVERED", "DEAD"].map((each) => [each, say(`delivery.${each}`)])].map(([value, text]) => h("option", { key: value, value, selected: value === (query.status ?? "") }, text))))),
        deliveries.problem && !deliveries.page
          ? problemNotice(deliveries.problem, () => deliveries.load())
          : !deliveries.page
            ? spinner()
            : deliveries.isEmpty
              ? query.status ? empty("webhooks", say("nothingFits"), say("nothingFitsText"), link(say("showAll"), `#/webhooks/${id}`)) : empty("webhooks", say("webhooks.noDeliveries"), say("webhooks.noDeliveriesText"), button(say("webhooks.test"), test, { kind: "primary" }))
              : [
                h("ul", { class: "deliveries", role: "list" }, deliveries.rows.map((delivery) => deliveryView(delivery, { isOpen: open === delivery.id, toggle: () => ((open = open === delivery.id ? null : delivery.id), render()), resend, isBusy: resending.has(delivery.id) }))),
                h("nav", { class: "pages", "aria-label": say("pages") },
                  h("p", { class: "quiet" }, ""),
                  h("div", { class: "actions" },
                    button(say("newer"), () => deliveries.newer(), { kind: "small", icon: "back", disabled: deliveries.cursors.length === 1 }),
                    button(say("older"), () => deliveries.older(), { kind: "small older", icon: "forward", disabled: !deliveries.page.next_cursor }))),
              ],
      ];
    },
  };
}

function deliveryView(delivery, { isOpen, toggle, resend, isBusy }) {
  const last = delivery.tries.at(-1);
  const payload = JSON.stringify(delivery.payload, null, 2);
  return h("li", { key: delivery.id, class: "card delivery" },
    h("div", { class: "delivery-line" },
      h("button", { type: "button", class: "delivery-open", "aria-expanded": String(isOpen), onclick: toggle },
        h("span", { class: "strong" }, delivery.type), h("span", { class: "quiet" }, dateAndTime(delivery.created_at))),
      h("span", { class: "delivery-state" }, badge(`delivery.${delivery.status}` && delivery.status), last && h("span", { class: "quiet figures" }, tryText(last), ` · ${last.duration_milliseconds} ms`)),
      button(say("webhooks.resend"), () => resend(delivery), { kind: "small", disabled: isBusy || delivery.status === "PENDING", "aria-label": `${say("webhooks.resend")}: ${delivery.type}` })),
    isOpen && h("div", { class: "delivery-more" },
      facts([
        [say("webhooks.eventID"), h("code", null, delivery.event_id)],
        [say("webhooks.next"), delivery.next_try_at && ago(delivery.next_try_at)],
        [say("webhooks.finished"), delivery.finished_at && moment(delivery.finished_at)],
      ]),
      h("h3", null, say("webhooks.tries")),
      delivery.tries.length === 0
        ? h("p", { class: "quiet" }, say("webhooks.noTries"))
        : h("ol", { class: "tries" }, delivery.tries.map((attempt, index) =>
          h("li", { key: index }, h("span", { class: "figures" }, timeWithSeconds(attempt.started_at ?? attempt.at)), " ", h("span", { class: "strong" }, tryText(attempt)), ` · ${attempt.duration_milliseconds} ms`, attempt.response_excerpt && h("pre", { class: "excerpt", tabindex: "0" }, attempt.response_excerpt)))),
      h("div", { class: "section-head" }, h("h3", null, say("webhooks.payload")), copyButton(payload)),
      h("pre", { class: "payload", tabindex: "0", "aria-label": say("webhooks.payload") }, payload)));
}

const tryText = (attempt) => (attempt.response_status ? `HTTP ${attempt.response_status}` : say.knows(`try.${attempt.error}`) ? say(`try.${attempt.error}`) : attempt.error);
