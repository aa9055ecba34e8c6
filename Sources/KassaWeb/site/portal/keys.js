// The credentials of the merchant's backends.

import { h } from "/shared/view.js";
import { post, remove } from "/portal/api.js";
import { badge, button, confirmDialog, empty, formDialog, head, List, moment, secretDialog, shell, table, tell, textField } from "/portal/parts.js";
import { say } from "/portal/texts.js";

const path = "/portal/v1/api-keys";

export function keysScreen() {
  const list = new List(path);
  list.load();
  const create = () =>
    formDialog({
      title: say("keys.create"), label: say("keys.create"), names: ["name"], values: { name: "" },
      fields: (form) => textField(form, "name", { label: say("name"), hint: say("keys.nameHint"), maxlength: 100, autofocus: true }),
      submit: async ({ name }, once) => {
        const made = await post(path, { name: name.trim() }, { once });
        list.load();
        // After this dialog has closed.
        setTimeout(() => secretDialog(say("keys.made"), say("keys.madeText"), made.api_key));
      },
    });
  const revoke = (key) => {
    const isOwn = key.id === shell.account.api_key.id;
    confirmDialog(say("keys.revoke"), say(isOwn ? "keys.revokeOwn" : "keys.revokeText", { name: key.name }), say("keys.revoke"), async () => {
      await remove(`${path}/${key.id}`);
      tell(say("keys.revoked"));
      list.load();
    });
  };
  const createButton = () => button(say("keys.create"), create, { kind: "primary", icon: "plus" });
  return {
    refresh: () => list.refresh(),
    view: () => [
      head(say("nav.keys"), { lead: say("keys.lead"), actions: [createButton()] }),
      table(list, {
        caption: say("nav.keys"), key: (row) => row.id,
        columns: [
          { title: say("name"), cell: (row) => h("span", null, h("span", { class: "strong" }, row.name), row.id === shell.account?.api_key.id && h("span", { class: "quiet" }, ` · ${say("keys.own")}`)), value: (row) => row.name },
          { title: say("keys.prefix"), cell: (row) => h("code", null, `${row.prefix}…`) },
          { title: say("status"), cell: (row) => badge(row.revoked_at ? "REVOKED" : "IN_FORCE"), value: (row) => row.revoked_at ?? "" },
          { title: say("created"), cell: (row) => moment(row.created_at), value: (row) => row.created_at },
          { title: say("actions"), class: "row-actions", cell: (row) => !row.revoked_at && button(say("keys.revoke"), () => revoke(row), { kind: "small danger", "aria-label": `${say("keys.revoke")}: ${row.name}` }) },
        ],
        empty: empty("keys", say("keys.empty"), say("keys.emptyText"), createButton()),
      }),
    ],
  };
}
