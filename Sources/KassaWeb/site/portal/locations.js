// The places where devices stand.

import { h } from "/shared/view.js";
import { post, put, remove } from "/portal/api.js";
import { button, confirmDialog, empty, formDialog, head, link, List, moment, table, tell, textField } from "/portal/parts.js";
import { say } from "/portal/texts.js";

const path = "/portal/v1/locations";
const names = ["name", "street_address", "street_address2", "postal_code", "city", "country"];

export function locationsScreen() {
  const list = new List("/ipp/v1/locations");
  list.load();

  const edit = (place) =>
    formDialog({
      title: place ? say("locations.change") : say("locations.create"), label: say("save"), names,
      values: Object.fromEntries(names.map((name) => [name, place?.[name] ?? ""])),
      fields: (form) => [
        textField(form, "name", { label: say("name"), hint: say("locations.nameHint"), maxlength: 100, autofocus: true }),
        textField(form, "street_address", { label: say("locations.street"), maxlength: 100, autocomplete: "off" }),
        textField(form, "street_address2", { label: say("locations.street2"), maxlength: 100, autocomplete: "off" }),
        h("div", { class: "pair" },
          textField(form, "postal_code", { label: say("locations.postalCode"), maxlength: 20, autocomplete: "off" }),
          textField(form, "city", { label: say("locations.city"), maxlength: 100, autocomplete: "off" })),
        textField(form, "country", { label: say("locations.country"), hint: say("locations.countryHint"), maxlength: 2, autocapitalize: "characters" }),
      ],
      submit: async (values, once) => {
        const body = Object.fromEntries(names.map((name) => [name, values[name].trim() || undefined]));
        if (body.country) body.country = body.country.toUpperCase();
        await (place ? put(`${path}/${place.id}`, body) : post(path, body, { once }));
        tell(say("saved"));
        list.load();
      },
    });
  const removeIt = (place) =>
    confirmDialog(say("locations.remove"), say("locations.removeText", { name: place.name }), say("locations.remove"), async () => {
      await remove(`${path}/${place.id}`);
      tell(say("removed"));
      list.load();
    });
  const create = () => button(say("locations.create"), () => edit(null), { kind: "primary", icon: "plus" });

  return {
    refresh: () => list.refresh(),
    view: () => [
      head(say("nav.locations"), { lead: say("locations.lead"), actions: [create()] }),
      table(list, {
        caption: say("nav.locations"), key: (row) => row.id,
        columns: [
          { title: say("name"), cell: (row) => h("span", { class: "strong" }, row.name), value: (row) => row.name },
          { title: say("locations.address"), cell: (row) => [row.street_address, row.street_address2, [row.postal_code, row.city].filter(Boolean).join(" "), row.country].filter(Boolean).join(", ") || "–" },
          { title: say("created"), cell: (row) => moment(row.created_at), value: (row) => row.created_at },
          {
            title: say("actions"), class: "row-actions", cell: (row) => h("div", { class: "actions" },
              link(say("nav.devices"), `#/devices?location_id=${row.id}`, { kind: "small plain" }),
              button(say("change"), () => edit(row), { kind: "small", "aria-label": `${say("change")}: ${row.name}` }),
              button(say("remove"), () => removeIt(row), { kind: "small danger", "aria-label": `${say("remove")}: ${row.name}` })),
          },
        ],
        empty: empty("locations", say("locations.empty"), say("locations.emptyText"), create()),
      }),
    ],
  };
}
