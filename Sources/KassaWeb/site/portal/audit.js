// Who changed what, newest first.

import { date, dateAndTime, timeWithSeconds } from "/shared/format.js";
import { h } from "/shared/view.js";
import { all } from "/portal/api.js";
import { empty, head, List, render, shortID, table } from "/portal/parts.js";
import { say } from "/portal/texts.js";

/** Where the subject of an entry is shown. */
const places = { session: "sessions", payment: "sessions", device: "devices", enrollment: "codes", webhook: "webhooks", order: "orders" };

export function auditScreen() {
  const list = new List("/portal/v1/audit-entries", {}, 50);
  list.load();
  let keys = new Map();
  all("/portal/v1/api-keys").then((found) => ((keys = new Map(found.map(({ id, name }) => [id, name]))), render()), () => {});
  return {
    refresh: () => list.cursors.length === 1 && list.refresh(),
    hear: () => list.cursors.length === 1 && list.refresh(),
    view: () => [
      head(say("nav.audit"), { lead: say("audit.lead") }),
      table(list, {
        caption: say("nav.audit"), key: (row) => String(row.position),
        columns: [
          { title: say("audit.at"), cell: (row) => h("time", { datetime: row.at, title: dateAndTime(row.at) }, `${date(row.at)}, ${timeWithSeconds(row.at)}`), value: (row) => row.position },
          { title: say("audit.what"), cell: (row) => h("span", null, say.knows(`event.${row.type}`) ? say(`event.${row.type}`) : row.type), value: (row) => row.type },
          { title: say("audit.subject"), cell: (row) => subject(row) },
          { title: say("audit.who"), cell: (row) => h("span", null, say(`actor.${row.actor_kind}`), keys.has(row.actor_id) ? ` “${keys.get(row.actor_id)}”` : row.actor_id && [" ", shortID(row.actor_id)]), value: (row) => row.actor_kind },
        ],
        empty: empty("audit", say("audit.empty"), say("audit.emptyText")),
      }),
    ],
  };
}

function subject({ type, subject_id }) {
  const place = /deleted$/.test(type) ? undefined : places[type.split(".")[0]];
  return place ? h("a", { href: `#/${place}/${subject_id}` }, shortID(subject_id)) : shortID(subject_id);
}
