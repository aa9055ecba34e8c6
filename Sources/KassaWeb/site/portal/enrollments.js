// One-time codes: made here, shown large, and watched until a phone has used them.

import { h } from "/shared/view.js";
import { qrDrawing } from "/shared/qr.js";
import { all, get, post, remove, withQuery } from "/portal/api.js";
import {
  ago, areaField, badge, button, choiceField, code, confirmDialog, copyButton, empty, facts, formDialog, go, head, link, List, metadataOf, metadataText,
  metadataView, moment, notice, problemNotice, problemText, render, shortID, spinner, table, tell, textField,
} from "/portal/parts.js";
import { say } from "/portal/texts.js";

const path = "/ipp/v1/enrollments";
const sheetMax = 60;

/** A code in groups that the eye keeps, and that the till reads with or without spaces. */
const grouped = (text) => (text.includes("-") ? text : text.replaceAll(/(.{3})(?=.)/g, "$1 "));

export async function createCodes() {
  const locations = await all("/ipp/v1/locations");
  if (locations.length === 0) return go("/locations");
  formDialog({
    title: say("codes.create"), lead: say("codes.createLead"), label: say("codes.create"),
    names: ["location_id", "ttl", "count", "metadata"],
    values: { location_id: locations.at(-1).id, ttl: "TWO_HOURS", count: "1", metadata: "" },
    fields: (form) => [
      choiceField(form, "location_id", { label: say("location"), choices: locations.map(({ id, name }) => [id, name]) }),
      choiceField(form, "ttl", {
        label: say("codes.life"), hint: form.values.ttl === "TWO_HOURS" ? say("codes.lifeShort") : say("codes.lifeLong"),
        choices: ["TWO_HOURS", "TWENTY_FOUR_HOURS", "FORTY_EIGHT_HOURS", "SEVENTY_TWO_HOURS"].map((ttl) => [ttl, say(`ttl.${ttl}`)]),
      }),
      textField(form, "count", { label: say("codes.count"), hint: say("codes.countHint", { max: sheetMax }), type: "number", min: 1, max: sheetMax, inputmode: "numeric" }),
      areaField(form, "metadata", { label: say("metadata"), hint: say("metadata.hint"), rows: 3 }),
    ],
    submit: async ({ location_id, ttl, count, metadata }, once) => {
      const wanted = Math.max(1, Math.min(sheetMax, Math.trunc(Number(count)) || 1));
      const made = [];
      for (let number = 0; number < wanted; number += 1) {
        made.push(await post(path, { location_id, ttl, metadata: metadataOf(metadata) }, { once: `${once}-${number}` }));
        if (wanted > 1 && number % 10 === 9) tell(say("codes.madeSome", { count: number + 1, wanted }));
      }
      go(wanted === 1 ? `/codes/${made[0].enrollment_id}` : `/sheet/${made.map(({ enrollment_id }) => enrollment_id).join(",")}`);
    },
  });
}

export function enrollmentsScreen({ query }) {
  const list = new List(path, filters(query));
  list.load();
  let locations = new Map();
  all("/ipp/v1/locations").then((found) => ((locations = new Map(found.map((each) => [each.id, each.name]))), render()), () => {});
  const filtered = Boolean(query.pending || query.location_id);
  return {
    refresh: () => list.refresh(),
    hear: (name) => name.startsWith("ipp.device.") && list.refresh(),
    view: () => {
      const pending = list.rows.filter(({ status }) => status === "PENDING");
      return [
        head(say("nav.codes"), {
          lead: say("codes.lead"),
          actions: [
            pending.length > 0 && link(say("codes.printAll"), `#/sheet/${pending.slice(0, sheetMax).map((each) => each.enrollment_id).join(",")}`, { icon: "print" }),
            button(say("codes.create"), createCodes, { kind: "primary", icon: "plus" }),
          ],
        }),
        h("div", { class: "filters", role: "search", "aria-label": say("filter") },
          h("div", { class: "field" }, h("label", { for: "pending" }, say("status")),
            h("select", { id: "pending", class: "input", value: query.pending ?? "", onchange: ({ target }) => go(withQuery("/codes", { ...query, pending: target.value })) },
              [["", say("all")], ["1", say("codes.notUsed")]].map(([value, text]) => h("option", { key: value, value, selected: value === (query.pending ?? "") }, text)))),
          locations.size > 1 && h("div", { class: "field" }, h("label", { for: "at" }, say("location")),
            h("select", { id: "at", class: "input", value: query.location_id ?? "", onchange: ({ target }) => go(withQuery("/codes", { ...query, location_id: target.value })) },
              [["", say("all")], ...locations].map(([value, text]) => h("option", { key: value, value, selected: value === (query.location_id ?? "") }, text))))),
        table(list, {
          caption: say("nav.codes"), key: (row) => row.enrollment_id, href: (row) => `#/codes/${row.enrollment_id}`,
          columns: [
            { title: say("codes.code"), cell: (row) => (row.enrollment_code ? h("code", { class: "code-short" }, row.enrollment_code.includes("-") ? `${row.enrollment_code.slice(0, 8)}…` : grouped(row.enrollment_code)) : shortID(row.enrollment_id)) },
            { title: say("status"), cell: (row) => badge(row.status), value: (row) => row.status },
            { title: say("location"), cell: (row) => locations.get(row.location_id) ?? "–", value: (row) => locations.get(row.location_id) },
            { title: say("metadata"), cell: (row) => metadataView(row.metadata) ?? "–" },
            { title: say("codes.expires"), cell: (row) => (row.status === "PENDING" ? ago(row.expires_at) : "–"), value: (row) => row.expires_at },
          ],
          empty: filtered
            ? empty("codes", say("nothingFits"), say("nothingFitsText"), link(say("showAll"), "#/codes"))
            : empty("codes", say("codes.empty"), say("codes.emptyText"), button(say("codes.create"), createCodes, { kind: "primary", icon: "plus" })),
        }),
      ];
    },
  };
}

const filters = ({ pending, location_id }) => ({ include_consumed: pending ? "false" : undefined, location_id });

/** One code, as large as a clerk across the counter needs it. */
export function enrollmentScreen({ id, signal }) {
  let enrollment = null;
  let problem = null;
  let device = null;
  let place = null;
  const load = async () => {
    try {
      enrollment = await get(`${path}/${id}`);
      problem = null;
      if (enrollment.status === "CONSUMED" && !device) device = await deviceOf(enrollment);
      place ??= await get(`/ipp/v1/locations/${enrollment.location_id}`).catch(() => null);
    } catch (found) {
      problem = found;
    }
    render();
  };
  load();
  // Expiry and cancelling by somebody else are not told: they are looked for.
  const timer = setInterval(() => enrollment?.status === "PENDING" && document.visibilityState === "visible" && load(), 5000);
  signal.addEventListener("abort", () => clearInterval(timer));

  const back = { href: "#/codes", label: say("nav.codes") };
  const cancel = () =>
    confirmDialog(say("codes.cancel"), say("codes.cancelText"), say("codes.cancel"), async () => {
      await remove(`${path}/${id}`);
      tell(say("codes.cancelled"));
      go("/codes");
    });
  return {
    refresh: load,
    hear: (name, data) => {
      if (name === "ipp.device.paired" && data.enrollment_id === id) {
        device = { id: data.device_id };
        load();
      }
    },
    view: () => {
      if (problem && !enrollment) return [head(say("codes.one"), { back }), problemNotice(problem, load)];
      if (!enrollment) return [head(say("codes.one"), { back }), spinner()];
      const isPending = enrollment.status === "PENDING" && enrollment.enrollment_code;
      return [
        head(say("codes.one"), {
          back,
          actions: [
            isPending && button(say("print"), () => print(), { icon: "print" }),
            ["PENDING", "EXPIRED"].includes(enrollment.status) && button(say("codes.cancel"), cancel, { kind: "danger" }),
          ],
        }),
        h("div", { class: "code-page" },
          h("div", { class: "code-status", "aria-live": "polite" },
            enrollment.status === "PENDING" && h("p", null, h("span", { class: "dot is-waiting", "aria-hidden": "true" }), say("codes.waiting")),
            enrollment.status === "CONSUMED" && notice("good", h("p", { class: "strong" }, say("codes.used")),
              device?.id && h("p", null, h("a", { href: `#/devices/${device.id}` }, say("codes.toDevice")))),
            enrollment.status === "EXPIRED" && notice("warning", h("p", null, say("codes.expired"))),
            enrollment.status === "CANCELLED" && notice("", h("p", null, say("codes.cancelled")))),
          isPending && codeCard(enrollment, place?.name, true),
          h("section", { class: "card", "aria-label": say("details") },
            facts([
              [say("status"), badge(enrollment.status)],
              [say("location"), place?.name],
              [say("created"), moment(enrollment.created_at)],
              [say("codes.expires"), h("span", null, moment(enrollment.expires_at), " (", ago(enrollment.expires_at), ")")],
              [say("metadata"), metadataView(enrollment.metadata)],
              ["ID", h("code", { class: "id" }, enrollment.enrollment_id)],
            ]),
            ["EXPIRED", "CONSUMED", "CANCELLED"].includes(enrollment.status) && button(say("codes.create"), createCodes, { kind: "primary", icon: "plus" }))),
      ];
    },
  };
}

async function deviceOf(enrollment) {
  // A device carries its enrollment's metadata and location; the newest of that moment is the one.
  const { content } = await get(withQuery("/ipp/v1/devices", { location_id: enrollment.location_id, page_size: 50 }));
  const fits = content.filter((device) => metadataText(device.metadata) === metadataText(enrollment.metadata) && device.created_at >= enrollment.created_at);
  return fits.length === 1 ? fits[0] : null;
}

const codeCard = (enrollment, place, hasButtons) =>
  h("section", { class: "card code-card", key: enrollment.enrollment_id, "aria-label": say("codes.code") },
    qrDrawing(enrollment.enrollment_url, say("codes.qr")),
    h("div", { class: "code-text" },
      place && h("p", { class: "quiet" }, place),
      h("p", { class: "quiet" }, say("codes.type")),
      h("p", { class: `code-large ${enrollment.enrollment_code.includes("-") ? "is-long" : ""}` }, h("code", null, grouped(enrollment.enrollment_code))),
      metadataView(enrollment.metadata),
      h("p", { class: "quiet" }, say("codes.until"), " ", moment(enrollment.expires_at)),
      hasButtons && h("div", { class: "actions screen-only" },
        copyButton(enrollment.enrollment_code, say("codes.copy"), ""),
        copyButton(enrollment.enrollment_url, say("codes.copyLink"), ""),
        link(say("codes.open"), enrollment.enrollment_url, { target: "_blank", rel: "noopener" }))));

/** Many codes on paper, one for each till. */
export function sheetScreen({ id, signal }) {
  const ids = (id ?? "").split(",").filter(Boolean).slice(0, sheetMax);
  let enrollments = null;
  let problem = null;
  let places = new Map();
  const load = async () => {
    try {
      places = new Map((await all("/ipp/v1/locations")).map((each) => [each.id, each.name]));
      const found = [];
      for (const each of ids) found.push(await get(`${path}/${each}`).catch((error) => (error.status === 404 ? null : Promise.reject(error))));
      enrollments = found.filter(Boolean);
      problem = null;
    } catch (error) {
      problem = error;
    }
    render();
  };
  load();
  const timer = setInterval(() => document.visibilityState === "visible" && enrollments?.some(({ status }) => status === "PENDING") && load(), 30_000);
  signal.addEventListener("abort", () => clearInterval(timer));
  return {
    refresh: load,
    hear: (name) => name === "ipp.device.paired" && load(),
    view: () => {
      const pending = enrollments?.filter(({ status, enrollment_code }) => status === "PENDING" && enrollment_code) ?? [];
      return [
        head(say("codes.sheet"), {
          back: { href: "#/codes", label: say("nav.codes") }, lead: say("codes.sheetLead"),
          actions: [button(say("print"), () => print(), { kind: "primary", icon: "print", disabled: pending.length === 0 })],
        }),
        problem && problemNotice(problem, load),
        !enrollments && !problem && spinner(),
        enrollments && h("p", { class: "quiet screen-only", role: "status" }, say("codes.sheetCount", { pending: pending.length, used: enrollments.filter(({ status }) => status === "CONSUMED").length })),
        h("div", { class: "sheet" }, pending.map((each) => codeCard(each, places.get(each.location_id), false))),
      ];
    },
  };
}
