// The ways to pay: through whom, with which settings, and whether they work.

import { h } from "/shared/view.js";
import { get, post, put, remove } from "/portal/api.js";
import {
  areaField, badge, button, choiceField, confirmDialog, copyButton, facts, formDialog, head, notice, problemNotice, problemText, render, spinner, switchField, tell, textField,
} from "/portal/parts.js";
import { say } from "/portal/texts.js";

const path = "/portal/v1/payment-methods";

/** What is said in this language, where it differs from what the server says. */
const textOf = (key) => (say(key) === key ? undefined : say(key));

/** A setting as a person reads it: `client_id` is “Client id”. */
const settingName = (name) => textOf(`setting.${name}`) ?? `${name[0].toUpperCase()}${name.slice(1)}`.replaceAll("_", " ");

/** What a provider's setting is for: the server says it in English. */
const explanationOf = (provider, { name, explanation }) => textOf(`explain.${provider}.${name}`) ?? textOf(`explain.${name}`) ?? explanation;

/** A setting's value; what nobody reads as a whole, like a certificate, is folded. */
const settingValue = (value) =>
  value.length <= 100
    ? h("code", { class: "address" }, value)
    : h("details", { class: "long-value" }, h("summary", null, say("methods.longValue", { count: value.length })), h("code", { class: "address" }, value));

export function methodsScreen() {
  let methods = null;
  let problem = null;
  /** By method: `asking`, findings, or a problem. */
  const checks = new Map();
  const load = async () => {
    try {
      methods = (await get(path)).content;
      problem = null;
    } catch (found) {
      problem = found;
    }
    render();
  };
  load();

  const setUp = (method) => {
    const providers = method.providers.map(({ provider }) => provider);
    const fieldsOf = (provider) => method.providers.find((each) => each.provider === provider)?.fields ?? [];
    const isKept = (provider, name) => provider === method.provider && method.secrets_kept?.includes(name);
    const values = { provider: method.provider ?? providers[0], enabled: method.provider ? method.enabled : true, capture: method.capture ?? "AUTOMATIC" };
    for (const { fields } of method.providers) for (const { name } of fields) values[`settings.${name}`] = method.settings?.[name] ?? "";
    formDialog({
      title: say("methods.setUp", { method: say(`method.${method.method}`) }), label: say("save"), values,
      names: ["provider", "enabled", "capture", ...method.providers.flatMap(({ fields }) => fields.map(({ name }) => `settings.${name}`))],
      fields: (form) => [
        choiceField(form, "provider", { label: say("methods.provider"), choices: providers.map((each) => [each, say(`provider.${each}`)]) }),
        ...fieldsOf(form.values.provider).map((field) => {
          const kept = isKept(form.values.provider, field.name);
          const given = {
            label: settingName(field.name),
            hint: [explanationOf(form.values.provider, field), !field.required && say("optional"), kept && say("methods.kept")].filter(Boolean).join(" "),
            spellcheck: "false", autocomplete: "off", required: field.required && !kept,
          };
          return field.name.includes("certificate") || field.name.includes("private_key")
            ? areaField(form, `settings.${field.name}`, given)
            : textField(form, `settings.${field.name}`, { ...given, type: field.secret ? "password" : "text" });
        }),
        choiceField(form, "capture", { label: say("methods.capture"), hint: say("methods.captureHint"), choices: ["AUTOMATIC", "MANUAL"].map((each) => [each, say(`capture.${each}`)]) }),
        switchField(form, "enabled", { label: say("methods.enabled") }),
      ],
      submit: async (given) => {
        const settings = Object.fromEntries(fieldsOf(given.provider).map(({ name }) => [name, given[`settings.${name}`].trim()]).filter(([, value]) => value !== ""));
        replace(await put(`${path}/${method.method}`, { provider: given.provider, enabled: given.enabled, capture: given.capture, settings }));
        tell(say("saved"));
      },
    });
  };
  const replace = (changed) => {
    methods = methods.map((each) => (each.method === changed.method ? changed : each));
    checks.delete(changed.method);
    render();
  };
  const toggle = async (method) => {
    try {
      // Secrets that are left out stay as they are.
      replace(await put(`${path}/${method.method}`, { provider: method.provider, enabled: !method.enabled, capture: method.capture, settings: method.settings ?? {} }));
      tell(say("saved"));
    } catch (found) {
      tell(problemText(found), "danger");
    }
  };
  const check = async (method) => {
    checks.set(method.method, "asking");
    render();
    try {
      checks.set(method.method, await post(`${path}/${method.method}/check`, undefined, { timeoutSeconds: 60 }));
    } catch (found) {
      checks.set(method.method, { problem: found });
    }
    render();
  };
  const subscribe = async (method) => {
    try {
      replace(await post(`${path}/${method.method}/subscribe`, undefined, { timeoutSeconds: 60 }));
      tell(say("methods.subscribed"));
    } catch (found) {
      tell(problemText(found), "danger");
    }
  };
  const removeIt = (method) =>
    confirmDialog(say("methods.remove", { method: say(`method.${method.method}`) }), say("methods.removeText"), say("remove"), async () => {
      await remove(`${path}/${method.method}`);
      tell(say("removed"));
      load();
    });

  const card = (method) => {
    const result = checks.get(method.method);
    const name = say(`method.${method.method}`);
    return h("section", { class: "card method", key: method.method, "aria-labelledby": `method-${method.method}` },
      h("div", { class: "section-head" },
        h("div", null, h("h2", { id: `method-${method.method}` }, name), h("p", { class: "quiet" }, method.provider ? say("methods.through", { provider: say(`provider.${method.provider}`) }) : say("methods.notSetUp"))),
        badge(method.provider ? (method.enabled ? "ON" : "OFF") : "NOT_SET_UP")),
      method.built_in && notice("", h("p", null, say("methods.builtIn"))),
      method.provider && facts([
        [say("methods.capture"), say(`capture.${method.capture}`)],
        ...Object.entries(method.settings ?? {}).map(([key, value]) => [settingName(key), settingValue(value)]),
        [say("methods.secrets"), method.secrets_kept?.length ? method.secrets_kept.map(settingName).join(", ") : null],
        [say("methods.notifications"), method.provider === "SIMULATED" ? null : h("span", { class: "with-copy" }, h("code", { class: "address" }, method.notification_url), copyButton(method.notification_url))],
      ]),
      h("div", { "aria-live": "polite" },
        result === "asking" && spinner(say("methods.asking")),
        result?.problem && problemNotice(result.problem),
        result?.findings && h("ul", { class: "findings", role: "list" }, result.findings.map(({ text, sound }, index) => h("li", { key: index }, notice(sound ? "good" : "danger", h("p", null, text)))))),
      h("div", { class: "actions" },
        method.providers.length > 0 && button(say(method.provider ? "change" : "methods.begin"), () => setUp(method), { kind: method.provider ? "" : "primary", "aria-label": `${say(method.provider ? "change" : "methods.begin")}: ${name}` }),
        method.provider && button(say(method.enabled ? "methods.switchOff" : "methods.switchOn"), () => toggle(method), { "aria-label": `${say(method.enabled ? "methods.switchOff" : "methods.switchOn")}: ${name}` }),
        method.provider && button(say("methods.check"), () => check(method), { disabled: result === "asking", "aria-label": `${say("methods.check")}: ${name}` }),
        method.providers.some(({ provider, needs_subscription }) => needs_subscription && provider === method.provider) && button(say("methods.subscribe"), () => subscribe(method), { "aria-label": `${say("methods.subscribe")}: ${name}` }),
        method.provider && button(say("remove"), () => removeIt(method), { kind: "danger", "aria-label": `${say("remove")}: ${name}` })));
  };
  return {
    refresh: load,
    view: () => [
      head(say("nav.methods"), { lead: say("methods.lead") }),
      problem && problemNotice(problem, load),
      !methods && !problem && spinner(),
      methods && h("div", { class: "methods" }, methods.map(card)),
    ],
  };
}
