// The phones and terminals of the merchant.

import { money } from "/shared/format.js";
import { h } from "/shared/view.js";
import { all, get, put, remove, withQuery } from "/portal/api.js";
import { createCodes } from "/portal/enrollments.js";
import {
  ago, areaField, badge, button, choiceField, confirmDialog, empty, facts, formDialog, go, head, isPlayground, link, List, metadataOf, metadataText, metadataView, moment,
  problemNotice, render, shortID, spinner, table, tell, textField,
} from "/portal/parts.js";
import { testSession } from "/portal/testing.js";
import { say } from "/portal/texts.js";

const path = "/ipp/v1/devices";

export function devicesScreen({ query, signal }) {
  const list = new List(path, { location_id: query.location_id });
  list.load();
  let locations = new Map();
  all("/ipp/v1/locations").then((found) => ((locations = new Map(found.map((each) => [each.id, each.name]))), render()), () => {});
  // Being online is not an event: it is looked for.
  const timer = setInterval(() => document.visibilityState === "visible" && list.refresh(), 15_000);
  signal.addEventListener("abort", () => clearInterval(timer));
  return {
    refresh: () => list.refresh(),
    hear: (name) => name.startsWith("ipp.device.") && list.refresh(),
    view: () => [
      head(say("nav.devices"), { lead: say("devices.lead"), actions: [button(say("devices.pair"), createCodes, { kind: "primary", icon: "plus" })] }),
      locations.size > 1 && h("div", { class: "filters", role: "search", "aria-label": say("filter") },
        h("div", { class: "field" }, h("label", { for: "at" }, say("location")),
          h("select", { id: "at", class: "input", value: query.location_id ?? "", onchange: ({ target }) => go(withQuery("/devices", { location_id: target.value })) },
            [["", say("all")], ...locations].map(([value, text]) => h("option", { key: value, value, selected: value === (query.location_id ?? "") }, text))))),
      table(list, {
        caption: say("nav.devices"), key: (row) => row.id, href: (row) => `#/devices/${row.id}`,
        columns: [
          { title: say("name"), cell: (row) => h("span", { class: "strong" }, row.name || row.hardware_id), value: (row) => row.name || row.hardware_id },
          { title: say("status"), cell: (row) => badge(row.status), value: (row) => row.status },
          { title: say("devices.seen"), cell: (row) => ago(row.last_seen_at), value: (row) => row.last_seen_at },
          { title: say("location"), cell: (row) => locations.get(row.location_id) ?? "–", value: (row) => locations.get(row.location_id) },
          { title: say("devices.platform"), cell: (row) => say(`platform.${row.platform}`), value: (row) => row.platform },
        ],
        empty: query.location_id
          ? empty("devices", say("nothingFits"), say("nothingFitsText"), link(say("showAll"), "#/devices"))
          : empty("devices", say("devices.empty"), say("devices.emptyText"), button(say("devices.pair"), createCodes, { kind: "primary", icon: "plus" })),
      }),
    ],
  };
}

export function deviceScreen({ id, signal }) {
  let device = null;
  let problem = null;
  let locations = [];
  const sessions = new List("/ipp/v1/sessions", { device_id: id }, 5);
  sessions.load();
  let isGone = false;
  let hasLeft = false;
  const load = async () => {
    if (isGone) return;
    try {
      device = await get(`${path}/${id}`);
      problem = null;
    } catch (found) {
      problem = found;
    }
    render();
  };
  load();
  all("/ipp/v1/locations").then((found) => ((locations = found), render()), () => {});
  const timer = setInterval(() => document.visibilityState === "visible" && load(), 15_000);
  signal.addEventListener("abort", () => clearInterval(timer));

  /** A device is replaced whole: what is not changed is sent as it is. */
  const replace = (change) => put(`${path}/${id}`, { name: device.name || undefined, metadata: device.metadata ?? {}, location_id: device.location_id, ...change });
  const rename = () =>
    formDialog({
      title: say("devices.rename"), label: say("save"), names: ["name", "metadata"], values: { name: device.name ?? "", metadata: metadataText(device.metadata) },
      fields: (form) => [
        textField(form, "name", { label: say("name"), maxlength: 100, autofocus: true }),
        areaField(form, "metadata", { label: say("metadata"), hint: say("metadata.hint"), rows: 3 }),
      ],
      submit: async ({ name, metadata }) => {
        device = await replace({ name: name.trim() || undefined, metadata: metadataOf(metadata) });
        tell(say("saved"));
      },
    });
  const move = () =>
    formDialog({
      title: say("devices.move"), lead: say("devices.moveText"), label: say("devices.move"), names: ["location_id"], values: { location_id: device.location_id ?? "" },
      fields: (form) => choiceField(form, "location_id", { label: say("location"), choices: [["", say("devices.nowhere")], ...locations.map((each) => [each.id, each.name])] }),
      submit: async ({ location_id }) => {
        device = await replace({ location_id: location_id || undefined });
        tell(say("saved"));
      },
    });
  const removeIt = () =>
    confirmDialog(say("devices.remove"), say("devices.removeText", { name: device.name || device.hardware_id }), say("devices.remove"), async () => {
      isGone = true;
      try {
        await remove(`${path}/${id}`);
      } catch (found) {
        isGone = false;
        throw found;
      }
      leave();
    });
  /** Removed, here or by somebody else: there is nothing left to show. */
  const leave = () => {
    if (signal.aborted || hasLeft) return;
    isGone = hasLeft = true;
    tell(say("devices.removed"));
    go("/devices");
  };

  const back = { href: "#/devices", label: say("nav.devices") };
  return {
    refresh: load,
    hear: (name, data) => {
      if (name.startsWith("ipp.session.")) sessions.refresh();
      if (name === "ipp.device.deleted" && data.device_id === id) leave();
    },
    view: () => {
      if (problem && !device) return [head(say("devices.one"), { back }), problemNotice(problem, load)];
      if (!device) return [head(say("devices.one"), { back }), spinner()];
      return [
        head(device.name || device.hardware_id, {
          back,
          actions: [
            isPlayground() && button(say("testing.create"), () => testSession(device), { kind: "primary", icon: "plus" }),
            button(say("devices.rename"), rename), button(say("devices.move"), move), button(say("devices.remove"), removeIt, { kind: "danger" }),
          ],
        }),
        h("section", { class: "card", "aria-label": say("details") }, facts([
          [say("status"), badge(device.status)],
          [say("devices.seen"), ago(device.last_seen_at)],
          [say("location"), locations.find((each) => each.id === device.location_id)?.name ?? say("devices.nowhere")],
          [say("devices.platform"), say(`platform.${device.platform}`)],
          [say("devices.hardware"), device.hardware_id],
          [say("devices.paired"), moment(device.created_at)],
          [say("metadata"), metadataView(device.metadata)],
          ["ID", h("code", { class: "id" }, device.id)],
        ])),
        h("h2", { class: "section-title" }, say("devices.sessions")),
        table(sessions, {
          caption: say("devices.sessions"), key: (row) => row.session_id, href: (row) => `#/sessions/${row.session_id}`,
          columns: sessionColumns(),
          empty: h("p", { class: "quiet" }, say("devices.noSessions")),
        }),
      ];
    },
  };
}

export const sessionColumns = () => [
  { title: say("reference"), cell: (row) => (row.merchant_reference1 ? h("span", { class: "strong" }, row.merchant_reference1) : shortID(row.session_id)), value: (row) => row.merchant_reference1 },
  { title: say("status"), cell: (row) => badge(row.status), value: (row) => row.status },
  { title: say("amount"), class: "amount", cell: (row) => money(row.order_amount, row.purchase_currency), value: (row) => row.order_amount },
  { title: say("created"), cell: (row) => moment(row.created_at), value: (row) => row.created_at },
];
