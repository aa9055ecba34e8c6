// Beside an operation: its sample in ten languages, its payload, trying it, and what it answers.

import { h, icon } from "/shared/view.js";
import { goodResponse, placeholderOf, requestOf, variantsOf } from "./operations.js";
import { languages, payloadOf, sampleOf } from "./samples.js";
import { inBrowser, inTab } from "./storage.js";
import { coloured } from "./text.js";
import { say } from "./texts.js";
import { idName, idsOf, send, withKnown } from "./trying.js";

const storedAs = { apiKey: "kassa-docs-api-key", deviceToken: "kassa-docs-device-token" };
const environment = { apiKey: "KASSA_API_KEY", deviceToken: "KASSA_DEVICE_TOKEN" };
const isOwnMachine = ["127.0.0.1", "localhost", "[::1]"].includes(location.hostname);
const copyDrawing = ["M9 9h10v11H9z", "M5 15V4h10"];
const doneDrawing = ["M5 12.5l4.5 4.5L19 7.5"];

/** Everything that is chosen or typed beside the operations. */
const state = {
  document: undefined,
  operation: undefined,
  variant: undefined,
  language: inBrowser.get("kassa-docs-language-of-samples") ?? "curl",
  server: inBrowser.get("kassa-docs-server") ?? "this",
  addresses: {
    production: inBrowser.get("kassa-docs-production") ?? "https://pay.example.com",
    playground: inBrowser.get("kassa-docs-playground") ?? "http://127.0.0.1:8080",
  },
  answerStatus: undefined,
  values: {},
  bodyText: undefined,
  trial: undefined,
  ids: {},
};
let redraw = () => {};
let announce = () => {};

/** Says where the page is drawn and heard. */
export function preparePanel(document, onChange, onSay) {
  state.document = document;
  redraw = onChange;
  announce = onSay;
  if (!languages.some((one) => one.id === state.language)) state.language = "curl";
}

/** Turns to an operation; what was typed for the one before is gone, and what is under way is stopped. */
export function turnTo(operation) {
  state.trial?.stop?.();
  Object.assign(state, {
    operation, variant: operation && variantsOf(operation)[0], values: {}, bodyText: undefined, trial: undefined,
    answerStatus: operation && goodResponse(operation)?.status,
  });
  // What earlier answers told is offered, and can be changed.
  for (const parameter of operation?.parameters ?? []) {
    const id = parameter.in === "path" ? state.ids[idName(operation, parameter.name)] : undefined;
    if (id) state.values[`path:${parameter.name}`] = id;
  }
}

const addressOf = (server) => (server === "this" ? location.origin : state.addresses[server].replace(/\/+$/, "") || location.origin);

const credentialOf = (kind) => inTab.get(storedAs[kind]) ?? (kind === "apiKey" ? inBrowser.get(storedAs[kind]) : undefined) ?? "";

/** The example's body, with the ids that earlier answers told. */
const exampleBody = () => withKnown(state.variant.body, state.ids);

/** The body as typed: `{ value }`; with `flaw` when it is no JSON. */
function typedBody() {
  if (state.bodyText === undefined) return { value: exampleBody() };
  try {
    return { value: JSON.parse(state.bodyText) };
  } catch (error) {
    return { value: exampleBody(), flaw: error.message };
  }
}

function currentRequest(server) {
  return requestOf(state.document, state.operation, {
    server, variant: state.variant, values: state.values, body: state.operation.body ? typedBody().value : undefined,
  });
}

// ------------------------------------------------------------------------------------------------------------- drawing

/** What is shown beside the operation. */
export function panel() {
  const { operation } = state;
  if (!operation) return h("aside", { class: "panel", key: "none" }, serverCard());
  if (!state.variant) return h("aside", { class: "panel", key: operation.id, "aria-label": say("answer") }, answerCard());
  const request = currentRequest(addressOf(state.server));
  return h("aside", { class: "panel", key: operation.id, "aria-label": say("sample") },
    serverCard(), sampleCard(request), trialCard(), payloadCard(request), answerCard());
}

export function serverCard() {
  const choose = (event) => {
    state.server = event.target.value;
    inBrowser.set("kassa-docs-server", state.server);
    redraw();
  };
  const type = (event) => {
    state.addresses[state.server] = event.target.value;
    inBrowser.set(`kassa-docs-${state.server}`, event.target.value);
    redraw();
  };
  return h("section", { class: "card server" },
    h("div", { class: "field" },
      h("label", { for: "server" }, say("server")),
      h("select", { id: "server", class: "input", value: state.server, onchange: choose },
        ["this", "production", "playground"].map((server) =>
          h("option", { value: server, selected: server === state.server }, say(server === "this" ? "thisServer" : server))))),
    state.server === "this"
      ? h("p", { class: "address" }, h("code", null, location.origin))
      : h("div", { class: "field" },
        h("label", { for: "address", class: "unseen" }, say("serverAddress")),
        h("input", {
          id: "address", class: "input code", type: "url", spellcheck: "false", autocomplete: "off", value: state.addresses[state.server],
          oninput: type, "aria-describedby": "address-hint",
        })),
    state.server === "this" ? null : h("p", { class: "hint", id: "address-hint" }, say("serverHint")));
}

function sampleCard(request) {
  const { operation } = state;
  const text = sampleOf(state.language, request);
  const language = languages.find((one) => one.id === state.language);
  const variants = variantsOf(operation);
  return h("section", { class: "card code-card", "aria-labelledby": "sample-title" },
    h("div", { class: "card-head" }, h("h2", { id: "sample-title" }, say("sample")), copyButton("sample", text, `${say("copy")}: ${language.label}`)),
    h("div", { class: "tabs", role: "tablist", "aria-label": say("languages"), onkeydown: moveBetweenTabs },
      languages.map((one) => h("button", {
        type: "button", role: "tab", id: `tab-${one.id}`, "aria-selected": String(one.id === state.language), "aria-controls": "sample-code",
        tabindex: one.id === state.language ? "0" : "-1", onclick: () => chooseLanguageOfSamples(one.id),
      }, one.label))),
    variants.length > 1
      ? h("div", { class: "field variant" },
        h("label", { for: "variant" }, say("variant")),
        h("select", { id: "variant", class: "input", value: state.variant.id, onchange: (event) => chooseVariant(event.target.value) },
          variants.map((one) => h("option", { value: one.id, selected: one.id === state.variant.id }, one.label))))
      : null,
    h("pre", { id: "sample-code", class: "block", role: "tabpanel", tabindex: "0", "aria-labelledby": `tab-${language.id}` },
      h("code", null, coloured(text, language.syntax))),
    request.credential === "none"
      ? null
      : h("p", { class: "quiet" }, say(language.id === "javascript" ? "environmentTab" : "environment", { name: environment[request.credential] })));
}

function chooseLanguageOfSamples(id) {
  state.language = id;
  inBrowser.set("kassa-docs-language-of-samples", id);
  redraw();
}

function moveBetweenTabs(event) {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  const at = languages.findIndex((one) => one.id === state.language);
  const next = step ? (at + step + languages.length) % languages.length : { Home: 0, End: languages.length - 1 }[event.key];
  if (next === undefined) return;
  event.preventDefault();
  chooseLanguageOfSamples(languages[next].id);
  document.getElementById(`tab-${languages[next].id}`)?.focus();
}

function chooseVariant(id) {
  state.variant = variantsOf(state.operation).find((one) => one.id === id);
  state.bodyText = undefined;
  redraw();
}

function payloadCard(request) {
  const text = payloadOf(request);
  if (text === undefined) return null;
  return h("section", { class: "card code-card", "aria-labelledby": "payload-title" },
    h("div", { class: "card-head" }, h("h2", { id: "payload-title" }, say("payload")), copyButton("payload", text, `${say("copy")}: ${say("payload")}`)),
    h("pre", { class: "block", tabindex: "0", "aria-labelledby": "payload-title" }, h("code", null, coloured(text, "json"))));
}

function answerCard() {
  const { operation } = state;
  const shown = operation.responses.filter((response) => response.contents.some((content) => content.examples.length > 0));
  if (shown.length === 0) return null;
  const response = shown.find((one) => one.status === state.answerStatus) ?? shown[0];
  const examples = response.contents.flatMap((content) => content.examples.map((example) => ({ ...example, type: content.type })));
  const example = examples[Math.min(state.answerExample ?? 0, examples.length - 1)];
  const text = typeof example.value === "string" ? example.value : JSON.stringify(example.value, null, 2);
  return h("section", { class: "card code-card", "aria-labelledby": "answer-title" },
    h("div", { class: "card-head" }, h("h2", { id: "answer-title" }, say("answer")), copyButton("answer", text, `${say("copy")}: ${say("answer")}`)),
    h("div", { class: "field variant" },
      h("label", { for: "answer-status", class: "unseen" }, say("status")),
      h("select", {
        id: "answer-status", class: "input", onchange: (event) => {
          [state.answerStatus, state.answerExample] = event.target.value.split(" ").map((one, index) => (index ? Number(one) : one));
          redraw();
        },
      }, shown.flatMap((one) => one.contents.flatMap((content) => content.examples).map((each, index) => h("option", {
        value: `${one.status} ${index}`, selected: one === response && each.id === example.id,
      }, `${one.status} · ${each.summary}`))))),
    h("pre", { class: "block", tabindex: "0", "aria-labelledby": "answer-title" },
      h("code", null, coloured(text, typeof example.value === "string" ? "" : "json"))));
}

function copyButton(name, text, label) {
  const isCopied = state.copied === name;
  return h("button", {
    type: "button", class: "button plain small copy", "data-copy": name, "aria-label": label, onclick: () => copy(name, text),
  }, icon(isCopied ? doneDrawing : copyDrawing), say(isCopied ? "copied" : "copy"));
}

let forgetCopy;
async function copy(name, text) {
  await navigator.clipboard.writeText(text);
  state.copied = name;
  announce(say("copied"));
  clearTimeout(forgetCopy);
  forgetCopy = setTimeout(() => {
    state.copied = undefined;
    redraw();
  }, 2000);
  redraw();
}

// -------------------------------------------------------------------------------------------------------------- trying

function trialCard() {
  const { operation, trial } = state;
  const parameters = operation.parameters.filter((parameter) => !isFixed(parameter));
  return h("section", { class: "card trial", "aria-labelledby": "trial-title" },
    h("details", { id: "trial" },
      h("summary", null, h("h2", { id: "trial-title" }, say("tryIt"))),
      h("form", { class: "trial-form", novalidate: true, onsubmit: submit },
        h("p", { class: "quiet" }, say("tryLead", { address: location.host })),
        operation.credential === "none" ? null : credentialFields(operation.credential),
        ["path", "query", "header"].map((place) => {
          const those = parameters.filter((parameter) => parameter.in === place);
          return those.length === 0 ? null : h("fieldset", null, h("legend", null, say(place)), those.map(parameterField));
        }),
        operation.body ? bodyField() : null,
        trial?.complaint ? h("p", { class: "notice danger", role: "alert" }, trial.complaint) : null,
        h("div", { class: "actions" },
          trial?.isUnderWay
            ? h("button", { type: "button", class: "button", onclick: () => trial.stop() }, h("span", { class: "spinner" }), say("stop"))
            : h("button", { type: "submit", class: "button primary" }, say("send")),
          h("code", { class: "request-line" }, `${operation.method} ${requestPath()}`))),
      trial?.answer || trial?.failure ? h("div", { class: "outcome", id: "outcome" }, outcome(trial)) : null));
}

const requestPath = () => currentRequest("").url;

function credentialFields(kind) {
  const value = credentialOf(kind);
  const keep = (text) => {
    inTab.set(storedAs[kind], text.trim());
    if (kind === "apiKey" && inBrowser.get(storedAs.apiKey) !== undefined) inBrowser.set(storedAs.apiKey, text.trim());
    redraw();
  };
  const isRemembered = inBrowser.get(storedAs.apiKey) !== undefined;
  return h("fieldset", null, h("legend", null, say("credential")),
    h("div", { class: "field" },
      h("label", { for: "credential" }, say(kind === "apiKey" ? "key" : "token")),
      h("input", {
        id: "credential", class: "input code", type: "password", autocomplete: "off", spellcheck: "false", value,
        placeholder: kind === "apiKey" ? "kassa_test_api_…" : null, oninput: (event) => keep(event.target.value), "aria-describedby": "credential-hint",
      }),
      h("p", { class: "hint", id: "credential-hint" }, say("keyHint"))),
    kind === "apiKey"
      ? [
        value === "" && isOwnMachine
          ? h("button", { type: "button", class: "button small", onclick: takePlaygroundKey }, say("usePlayground")) : null,
        h("label", { class: "check" },
          h("input", {
            type: "checkbox", checked: isRemembered, disabled: value === "" && !isRemembered,
            onchange: (event) => (inBrowser.set(storedAs.apiKey, event.target.checked ? credentialOf("apiKey") : undefined), redraw()),
          }), say("remember")),
      ]
      : value === "" && (credentialOf("apiKey") !== "" || isOwnMachine)
        ? h("button", { type: "button", class: "button small", onclick: takeSimulatedDevice }, say("makeDevice")) : null,
    state.notice ? h("p", { class: "quiet", role: "status" }, state.notice) : null);
}

/** The playground gives its key to a page on its own machine. */
async function takePlaygroundKey() {
  state.notice = undefined;
  try {
    const response = await fetch("/portal/v1/playground", { credentials: "omit", headers: { "Kassa-Portal": "1" } });
    if (!response.ok) throw new Error(String(response.status));
    inTab.set(storedAs.apiKey, (await response.json()).api_key);
  } catch {
    state.notice = say("notPlayground");
  }
  redraw();
}

async function takeSimulatedDevice() {
  state.notice = undefined;
  if (credentialOf("apiKey") === "") await takePlaygroundKey();
  try {
    const response = await fetch("/ipp/v1/dev/devices", {
      method: "POST", credentials: "omit", headers: { Authorization: `Basic ${credentialOf("apiKey")}`, "Content-Type": "application/json" },
      body: JSON.stringify({ name: "API reference" }),
    });
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.detail ?? answer.title);
    inTab.set(storedAs.deviceToken, answer.credentials.bearer_token);
    state.ids.device_id = answer.id;
  } catch (error) {
    state.notice = say("noDevice", { reason: error.message });
  }
  redraw();
}

function parameterField(parameter) {
  const name = `${parameter.in}:${parameter.name}`;
  const id = `parameter-${parameter.in}-${parameter.name}`;
  const schema = placeholderSchema(parameter);
  const isList = schema.type === "array";
  const value = state.values[name];
  const set = (text) => {
    state.values[name] = isList ? text.split("\n").map((line) => line.trim()).filter(Boolean) : text;
    redraw();
  };
  const choices = schema.enum ?? (schema.type === "boolean" ? ["true", "false"] : undefined);
  const properties = {
    id, class: "input code", spellcheck: "false", autocomplete: "off", oninput: (event) => set(event.target.value),
    "aria-required": parameter.required ? "true" : null,
  };
  return h("div", { class: "field" },
    h("label", { for: id }, h("code", null, parameter.name), parameter.required ? h("span", { class: "is-required" }, ` ${say("required")}`) : null),
    choices
      ? h("select", { ...properties, value: value ?? "" }, h("option", { value: "" }, ""), choices.map((choice) =>
        h("option", { value: choice, selected: choice === value }, choice)))
      : isList
        ? h("textarea", { ...properties, rows: "2", value: (value ?? []).join("\n"), placeholder: (schema.examples?.[0] ?? []).join("\n") })
        : h("input", { ...properties, type: "text", value: value ?? "", placeholder: parameter.required ? String(placeholderOf(state.document, parameter)) : null }),
    parameter.name === "Idempotency-Key" ? h("p", { class: "hint" }, say("fresh")) : null);
}

/** Whether there is nothing to choose: one value is allowed, and it is required. */
const isFixed = (parameter) => parameter.required && placeholderSchema(parameter).enum?.length === 1;

function placeholderSchema(parameter) {
  const reference = parameter.schema?.$ref?.split("/").at(-1);
  return (reference ? state.document.components.schemas[reference] : parameter.schema) ?? {};
}

function bodyField() {
  const text = state.bodyText ?? JSON.stringify(exampleBody() ?? {}, null, 2);
  const { flaw } = typedBody();
  return h("div", { class: "field" },
    h("label", { for: "body" }, say("body")),
    h("textarea", {
      id: "body", class: "input code", rows: String(Math.min(18, text.split("\n").length + 1)), spellcheck: "false", autocomplete: "off", value: text,
      "aria-invalid": flaw ? "true" : null, "aria-describedby": flaw ? "body-flaw" : null,
      oninput: (event) => {
        state.bodyText = event.target.value;
        redraw();
      },
    }),
    flaw ? h("p", { class: "flaw", id: "body-flaw" }, say("bodyFlaw", { reason: flaw })) : null);
}

async function submit(event) {
  event.preventDefault();
  const { operation } = state;
  const missing = operation.parameters.filter((one) => one.required && !isFixed(one) && !state.values[`${one.in}:${one.name}`]).map((one) => one.name);
  const credential = operation.credential === "none" ? undefined : credentialOf(operation.credential);
  const flaw = operation.body ? typedBody().flaw : undefined;
  const complaint = flaw ? say("bodyFlaw", { reason: flaw })
    : missing.length ? say("missing", { names: missing.join(", ") }) : credential === "" ? say("missingKey") : undefined;
  if (complaint) {
    state.trial = { complaint };
    redraw();
    return;
  }
  const controller = new AbortController();
  const trial = { isUnderWay: true, stop: () => controller.abort() };
  state.trial = trial;
  redraw();
  try {
    const request = currentRequest(location.origin);
    // Lists are only sent when they were typed: the example is for the sample.
    const sent = { ...request, url: withoutExamples(request.url) };
    await send(sent, credential, {
      signal: controller.signal,
      onChange: (answer) => {
        trial.answer = answer;
        if (trial === state.trial) redraw();
      },
    });
    Object.assign(state.ids, idsOf(trial.answer.text, operation));
    announce(say("answered", { status: trial.answer.status, milliseconds: trial.answer.milliseconds }));
  } catch (error) {
    if (trial.answer) trial.answer = { ...trial.answer, isOpen: false };
    else if (!controller.signal.aborted) trial.failure = error.message;
  }
  trial.isUnderWay = false;
  if (trial === state.trial) {
    redraw();
    document.getElementById("outcome")?.scrollIntoView({ block: "nearest" });
  }
}

function withoutExamples(url) {
  const target = new URL(url);
  for (const parameter of state.operation.parameters) {
    if (parameter.in === "query" && state.values[`query:${parameter.name}`] === undefined && !parameter.required) {
      target.searchParams.delete(parameter.name);
    }
  }
  return target.href;
}

function outcome({ answer, failure }) {
  if (failure !== undefined) return h("p", { class: "notice danger", role: "alert" }, say("unreachable", { reason: failure }));
  const isGood = answer.status >= 200 && answer.status < 300;
  let text = answer.text;
  if (/json$/.test(answer.type)) {
    try {
      text = JSON.stringify(JSON.parse(text), null, 2);
    } catch {
      // Shown as it came.
    }
  }
  return [
    h("p", { class: "outcome-head" },
      h("span", { class: `badge ${isGood ? "good" : "danger"}` }, `${answer.status} ${answer.statusText}`.trim()),
      h("span", { class: "quiet figures" }, `${answer.milliseconds} ms`),
      text ? copyButton("outcome", text, `${say("copy")}: ${say("answerBody")}`) : null),
    answer.type === "text/event-stream" ? h("p", { class: "quiet" }, say(answer.isOpen ? "streaming" : "streamEnded")) : null,
    h("details", { class: "nested" }, h("summary", null, say("answerHeaders")),
      h("pre", { class: "block", tabindex: "0" }, h("code", null, answer.headers.map(([name, value]) => `${name}: ${value}\n`).join("")))),
    text
      ? h("pre", { class: "block", id: "answer-body", tabindex: "0", "aria-label": say("answerBody") },
        h("code", null, text.length < 100_000 ? coloured(text, /json$/.test(answer.type) ? "json" : "") : text))
      : h("p", { class: "quiet" }, answer.byteCount > 0 ? say("bytes", { count: answer.byteCount, type: answer.type }) : say("emptyBody")),
  ];
}
