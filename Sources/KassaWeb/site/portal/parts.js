// The parts that every screen is made of.

import { Problem } from "/shared/calls.js";
import { dateAndTime, relative } from "/shared/format.js";
import { h, icon } from "/shared/view.js";
import { get, onceKey, withQuery } from "/portal/api.js";
import { say } from "/portal/texts.js";

// MARK: What the shell lends to screens. It sets these once.

export const shell = {
  /** Draws everything anew, soon. */
  render() {},
  /** Opens a dialog: `view(close)` describes what is in it. */
  openDialog() {},
  closeDialog() {},
  /** Says something that happened, for some seconds. */
  tell() {},
  account: null,
};
export const render = () => shell.render();
export const tell = (text, kind) => shell.tell(text, kind);
export const isPlayground = () => shell.account?.environment === "playground";
export const go = (address) => (location.hash = address);

// MARK: Icons

const paths = {
  sessions: ["M4 7h16v10H4z", "M4 11h16", "M8 15h3"],
  orders: ["M6 3h12v18l-3-2-3 2-3-2-3 2z", "M9 8h6", "M9 12h6"],
  devices: ["M8 2.5h8a1 1 0 0 1 1 1v17a1 1 0 0 1-1 1H8a1 1 0 0 1-1-1v-17a1 1 0 0 1 1-1z", "M11 18.5h2"],
  codes: ["M4 4h6v6H4z", "M14 4h6v6h-6z", "M4 14h6v6H4z", "M14 14h2v2M20 14v6M17 20h-3M20 17h-3"],
  locations: ["M12 21s7-6.1 7-11.5A7 7 0 0 0 5 9.5C5 14.9 12 21 12 21z", "M12 12a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5z"],
  methods: ["M3 6h18v12H3z", "M3 10h18", "M7 14.5h4"],
  webhooks: ["M12 8a4 4 0 1 0-4.5 4L5 17", "M9 17h7", "M12 8l4 7", "M5 19.5a2.5 2.5 0 1 0 0-5", "M18 19.5a2.5 2.5 0 1 0-2-4"],
  keys: ["M8 15a4 4 0 1 0 0 .01z", "M11 12l9-9", "M17 6l2.5 2.5", "M14 9l2 2"],
  audit: ["M6 3h9l4 4v14H6z", "M14 3v5h5", "M9 13h6", "M9 17h6"],
  security: ["M12 3l7 3v5c0 5-3 8-7 10-4-2-7-5-7-10V6z", "M9 12l2 2 4-4"],
  menu: ["M4 7h16", "M4 12h16", "M4 17h16"],
  close: ["M6 6l12 12", "M18 6L6 18"],
  back: ["M15 5l-7 7 7 7"],
  forward: ["M9 5l7 7-7 7"],
  plus: ["M12 5v14", "M5 12h14"],
  copy: ["M9 9h11v11H9z", "M5 15H4V4h11v1"],
  done: ["M5 13l4.5 4.5L19 7"],
  warning: ["M12 4l9 16H3z", "M12 10v4", "M12 17v.01"],
  info: ["M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18z", "M12 11v5", "M12 8v.01"],
  print: ["M7 8V3h10v5", "M5 8h14a1 1 0 0 1 1 1v8h-3", "M7 17H4V9", "M7 14h10v7H7z"],
  out: ["M14 4H5v16h9", "M10 12h10", "M16 8l4 4-4 4"],
  refresh: ["M20 11a8 8 0 1 0-2 6", "M20 5v6h-6"],
};
export const picture = (name, label) => icon(paths[name], label);

// MARK: Small things

export const button = (label, onclick, { kind = "", icon: name, disabled, ...rest } = {}) =>
  h("button", { type: "button", class: `button ${kind}`, onclick, disabled, ...rest }, name && picture(name), label);

export const link = (label, address, { kind = "", icon: name, ...rest } = {}) =>
  h("a", { class: `button ${kind}`, href: address, ...rest }, name && picture(name), label);

/** Copies `text`, and says so in its own place. */
export const copyButton = (text, label = say("copy"), kind = "small") =>
  h("button", {
    type: "button", class: `button ${kind}`,
    onclick: async ({ currentTarget }) => {
      const done = await copy(text);
      currentTarget.classList.toggle("is-copied", done);
      tell(done ? say("copied") : say("notCopied"), done ? "good" : "warning");
      setTimeout(() => currentTarget.classList.remove("is-copied"), 1500);
    },
  }, picture("copy"), label);

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // A page that was opened by http from another machine has no clipboard: the text is selected and copied as by hand.
  }
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "unseen";
  (document.querySelector("dialog[open]") ?? document.body).append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}

export const moment = (value) =>
  value ? h("time", { datetime: value, title: dateAndTime(value) }, dateAndTime(value)) : h("span", { class: "quiet" }, "–");
export const ago = (value) =>
  value ? h("time", { datetime: value, title: dateAndTime(value) }, relative(value)) : h("span", { class: "quiet" }, say("never"));

const kinds = {
  PENDING: "warning", CONSUMED: "good", ONLINE: "good", CREATED: "accent", ACTIVE: "accent", FINALIZED: "good", FAILED: "danger",
  AUTHORIZED: "accent", PART_CAPTURED: "accent", CAPTURED: "good", REQUESTED: "warning", DONE: "good", REFUSED: "danger",
  DELIVERED: "good", DEAD: "danger", ENABLED: "good", ON: "good", IN_FORCE: "good",
};
export const badge = (status) =>
  h("span", { class: `badge ${kinds[status] ?? ""}`, "data-status": status }, say.knows(`status.${status}`) ? say(`status.${status}`) : status);

export const notice = (kind, ...children) =>
  h("div", { class: `notice ${kind}`, role: kind === "danger" ? "alert" : null }, picture(kind === "good" ? "done" : kind ? "warning" : "info"), h("div", null, children));

export const spinner = (label = say("loading")) => h("p", { class: "loading", role: "status" }, h("span", { class: "spinner", "aria-hidden": "true" }), label);

/** An id that is shortened to the eye, and whole to whoever copies it. */
export const shortID = (id) => h("code", { class: "id", title: id }, id.slice(0, 8));

export const code = (text) => h("code", { class: "code-line" }, text);

/** Names with what belongs to them. */
export const facts = (pairs) =>
  h("dl", { class: "facts" }, pairs.filter(([, value]) => value !== undefined && value !== null && value !== "").map(([name, value]) => h("div", { key: name }, h("dt", null, name), h("dd", null, value))));

export const metadataView = (metadata) => {
  const pairs = Object.entries(metadata ?? {});
  return pairs.length ? h("ul", { class: "tags", role: "list" }, pairs.map(([key, value]) => h("li", { key }, h("span", { class: "quiet" }, key), " ", value))) : null;
};

/** What went wrong, and what to do about it. */
export function problemText(problem) {
  if (!(problem instanceof Problem)) return String(problem?.message ?? problem);
  if (problem.status === 0) return say("problem.unreachable");
  if (say.knows(`problem.${problem.code}`)) return say(`problem.${problem.code}`, { seconds: problem.retryAfterSeconds ?? 5 });
  if (problem.status >= 500) return say("problem.server", { requestID: problem.requestID ?? "–" });
  return problem.detail ?? problem.code;
}

export const problemNotice = (problem, again) =>
  notice("danger", h("p", null, problemText(problem)), again && button(say("tryAgain"), again, { kind: "small", icon: "refresh" }));

/** The head of a screen: its name, what one can do, and where one came from. */
export const head = (title, { back, actions = [], lead } = {}) =>
  h("header", { class: "head" },
    back && h("a", { class: "back", href: back.href }, picture("back"), back.label),
    h("div", { class: "head-line" }, h("h1", { tabindex: "-1" }, title), h("div", { class: "actions" }, actions)),
    lead && h("p", { class: "lead quiet" }, lead));

/** What an empty list says: why it is empty, and what to do next. */
export const empty = (name, title, text, ...actions) =>
  h("div", { class: "empty" }, h("div", { class: "empty-icon" }, picture(name)), h("h2", null, title), h("p", { class: "quiet" }, text), h("div", { class: "actions" }, actions));

// MARK: Lists

/** One page of a list of the server, followed by its cursors. */
export class List {
  constructor(path, query = {}, size = 20) {
    this.path = path;
    this.query = query;
    this.size = size;
    this.cursors = [undefined];
    this.page = null;
    this.problem = null;
    this.isLoading = false;
    this.sorting = null;
    this.turn = 0;
  }

  async load() {
    const turn = (this.turn += 1);
    this.isLoading = true;
    this.problem = null;
    render();
    try {
      const page = await get(withQuery(this.path, { ...this.query, page_size: this.size, cursor: this.cursors.at(-1) }));
      if (turn !== this.turn) return;
      this.page = page;
    } catch (problem) {
      if (turn === this.turn) this.problem = problem;
    } finally {
      if (turn === this.turn) this.isLoading = false;
      render();
    }
  }

  /** Reads again what is shown, without a sign of it. */
  async refresh() {
    if (this.isLoading) return;
    const turn = this.turn;
    try {
      const page = await get(withQuery(this.path, { ...this.query, page_size: this.size, cursor: this.cursors.at(-1) }));
      if (turn === this.turn) this.page = page;
    } catch {
      return;
    }
    render();
  }

  filter(query) {
    this.query = query;
    this.cursors = [undefined];
    return this.load();
  }

  older() {
    this.cursors.push(this.page.next_cursor);
    return this.load();
  }

  newer() {
    this.cursors.pop();
    return this.load();
  }

  get rows() {
    const rows = this.page?.content ?? [];
    if (!this.sorting) return rows;
    const { value, isAscending } = this.sorting;
    const compared = rows.toSorted((a, b) => compare(value(a), value(b)));
    return isAscending ? compared : compared.reverse();
  }

  get isEmpty() {
    return this.page !== null && this.page.content.length === 0 && this.cursors.length === 1;
  }
}

const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a ?? "").localeCompare(String(b ?? ""), document.documentElement.lang));

/**
 * A list as a table; on a narrow screen each row is a card. A column has `title`, `cell(row)`, and with `value(row)` the
 * rows that are shown can be sorted by it. `empty` is shown where there is nothing, `href(row)` is where a row leads.
 */
export function table(list, { caption, columns, empty: whenEmpty, href, key }) {
  if (list.problem && !list.page) return problemNotice(list.problem, () => list.load());
  if (!list.page) return spinner();
  if (list.isEmpty) return whenEmpty;
  const total = list.page.total_elements;
  const first = (list.cursors.length - 1) * list.size + 1;
  return h("div", { class: "table-block", "aria-busy": String(list.isLoading) },
    list.problem && problemNotice(list.problem, () => list.load()),
    sortChoice(list, columns, caption),
    h("table", { class: "table", role: "table" },
      h("caption", { class: "unseen" }, caption),
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, columns.map((column) => headCell(list, column)))),
      h("tbody", { role: "rowgroup" }, list.rows.map((row) =>
        h("tr", { key: key(row), role: "row", class: href ? "linked" : "" }, columns.map((column, index) =>
          h("td", { role: "cell", "data-label": column.title, class: column.class }, index === 0 && href ? h("a", { href: href(row) }, column.cell(row)) : column.cell(row))))))),
    h("nav", { class: "pages", "aria-label": say("pages") },
      h("p", { class: "quiet figures", role: "status" }, total === undefined ? "" : say("range", { first: list.page.content.length ? first : 0, last: first + list.page.content.length - 1, total })),
      (list.cursors.length > 1 || list.page.next_cursor) && h("div", { class: "actions" },
        button(say("newer"), () => list.newer(), { kind: "small", icon: "back", disabled: list.cursors.length === 1 || list.isLoading }),
        button(say("older"), () => list.older(), { kind: "small older", icon: "forward", disabled: !list.page.next_cursor || list.isLoading }))));
}

/** What the heads of columns do, where rows are cards and have none. */
function sortChoice(list, columns, caption) {
  const id = `sort-${caption.toLowerCase().replaceAll(/[^a-z]/g, "-")}`;
  const choices = columns.filter(({ value }) => value).flatMap((column) => [true, false].map((isAscending) => ({ ...column, isAscending })));
  const current = choices.findIndex(({ title, isAscending }) => title === list.sorting?.title && isAscending === list.sorting?.isAscending);
  return h("div", { class: "field sort-choice" }, h("label", { for: id }, say("sort")),
    h("select", { id, class: "input", value: String(current), onchange: ({ target }) => ((list.sorting = choices[target.value] ?? null), render()) },
      [["-1", say("sort.none")], ...choices.map(({ title, isAscending }, index) => [String(index), `${title} ${isAscending ? "↑" : "↓"}`])]
        .map(([value, text]) => h("option", { key: value, value, selected: value === String(current) }, text))));
}

function headCell(list, column) {
  const isSorted = list.sorting?.title === column.title;
  const order = isSorted ? (list.sorting.isAscending ? "ascending" : "descending") : "none";
  if (!column.value) return h("th", { role: "columnheader", scope: "col", class: column.class }, column.title);
  return h("th", { role: "columnheader", scope: "col", class: column.class, "aria-sort": order },
    h("button", {
      type: "button", class: "sort",
      onclick: () => {
        list.sorting = !isSorted ? { ...column, isAscending: true } : list.sorting.isAscending ? { ...column, isAscending: false } : null;
        render();
      },
    }, column.title, h("span", { class: "sort-mark", "aria-hidden": "true" }, isSorted ? (list.sorting.isAscending ? "↑" : "↓") : "↕")));
}

// MARK: Forms

/** What is filled in, what is wrong with it, and whether it is on its way. */
export class Form {
  constructor(values, submit) {
    this.values = values;
    this.flaws = {};
    this.problem = null;
    this.isBusy = false;
    this.once = onceKey();
    this.submit = submit;
  }

  async send(event) {
    event?.preventDefault();
    if (this.isBusy) return;
    this.isBusy = true;
    this.problem = null;
    this.flaws = {};
    render();
    try {
      await this.submit(this.values, this.once);
      this.once = onceKey();
    } catch (problem) {
      this.flaws = problem.errors ?? {};
      this.problem = problem;
      // The same intention keeps its key only while nobody knows whether it was done.
      if (!problem.isUncertain) this.once = onceKey();
    } finally {
      this.isBusy = false;
      render();
      requestAnimationFrame(() => document.querySelector('[aria-invalid="true"]')?.focus());
    }
  }

  /** Flaws that belong to no field that is shown. */
  otherFlaws(names) {
    return Object.entries(this.flaws).filter(([path]) => !names.some((name) => path === name || path.startsWith(`${name}.`) || path.startsWith(`${name}[`)));
  }

  flawOf(name) {
    const found = Object.entries(this.flaws).find(([path]) => path === name || path.startsWith(`${name}.`) || path.startsWith(`${name}[`));
    return found?.[1];
  }
}

let fieldNumber = 0;
const fieldIDs = new WeakMap();
function fieldID(form, name) {
  if (!fieldIDs.has(form)) fieldIDs.set(form, (fieldNumber += 1));
  return `field-${fieldIDs.get(form)}-${name.replaceAll(/[^a-z0-9]/gi, "-")}`;
}

function field(form, name, { label, hint }, control) {
  const id = fieldID(form, name);
  const flaw = form.flawOf(name);
  const described = [hint && `${id}-hint`, flaw && `${id}-flaw`].filter(Boolean).join(" ") || null;
  return h("div", { class: "field", key: name },
    h("label", { for: id }, label),
    hint && h("p", { class: "hint", id: `${id}-hint` }, hint),
    control({ id, name, "aria-invalid": flaw ? "true" : null, "aria-describedby": described }),
    flaw && h("p", { class: "flaw", id: `${id}-flaw` }, flaw));
}

export const textField = (form, name, { label, hint, type = "text", required, ...rest }) =>
  field(form, name, { label, hint }, (given) =>
    h("input", { class: "input", type, required, value: form.values[name], oninput: ({ target }) => (form.values[name] = target.value), ...given, ...rest }));

export const areaField = (form, name, { label, hint, rows = 4, ...rest }) =>
  field(form, name, { label, hint }, (given) =>
    h("textarea", { class: "input", rows, value: form.values[name], oninput: ({ target }) => (form.values[name] = target.value), ...given, ...rest }));

export const choiceField = (form, name, { label, hint, choices, onchange }) =>
  field(form, name, { label, hint }, (given) =>
    h("select", {
      class: "input", ...given, value: form.values[name],
      onchange: ({ target }) => {
        form.values[name] = target.value;
        onchange?.(target.value);
        render();
      },
    }, choices.map(([value, text]) => h("option", { key: value, value, selected: value === form.values[name] }, text))));

export const switchField = (form, name, { label }) =>
  h("label", { class: "switch", key: name }, label, h("input", {
    type: "checkbox", role: "switch", name, checked: Boolean(form.values[name]),
    onchange: ({ target }) => ((form.values[name] = target.checked), render()),
  }));

/** `key: value`, one a line. */
export const metadataText = (metadata) => Object.entries(metadata ?? {}).map(([key, value]) => `${key}: ${value}`).join("\n");
export const metadataOf = (text) =>
  Object.fromEntries((text ?? "").split("\n").map((line) => line.trim()).filter(Boolean).map((line) => {
    const at = line.indexOf(":");
    return at < 0 ? [line, ""] : [line.slice(0, at).trim(), line.slice(at + 1).trim()];
  }));

export const formView = (form, { submit, cancel, danger, names = [] }, ...children) =>
  h("form", { class: "form", novalidate: true, onsubmit: (event) => form.send(event) },
    children,
    form.otherFlaws(names).map(([path, text]) => notice("danger", h("p", { key: path }, `${path} ${text}`))),
    form.problem && !Object.keys(form.flaws).length && notice("danger", h("p", null, problemText(form.problem))),
    h("div", { class: "actions end" },
      cancel && button(say("cancel"), cancel, { kind: "plain" }),
      h("button", { type: "submit", class: `button ${danger ? "danger" : "primary"}`, disabled: form.isBusy }, form.isBusy && h("span", { class: "spinner", "aria-hidden": "true" }), submit)));

// MARK: Dialogs

/** Opens a dialog with a form. */
export function formDialog({ title, lead, values, submit, label, danger, names, fields }) {
  const form = new Form(values, async (...given) => {
    await submit(...given);
    shell.closeDialog();
  });
  shell.openDialog(title, () => [
    lead && h("p", { class: "quiet" }, lead),
    formView(form, { submit: label, cancel: () => shell.closeDialog(), danger, names }, fields?.(form)),
  ]);
}

/** Asks before something that cannot be undone. */
export const confirmDialog = (title, text, label, act) =>
  formDialog({ title, lead: text, values: {}, submit: act, label, danger: true });

/** Shows a secret that is shown this once. */
export const secretDialog = (title, text, secret) =>
  shell.openDialog(title, () => [
    h("p", null, text),
    h("div", { class: "secret" }, h("code", { tabindex: "0", "aria-label": title }, secret), copyButton(secret, say("copy"), "primary")),
    notice("warning", h("p", null, say("secret.once"))),
    h("div", { class: "actions end" }, button(say("secret.kept"), () => shell.closeDialog())),
  ]);
