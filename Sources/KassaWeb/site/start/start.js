// The playground's start page: a first payment in three steps, by buttons or by curl.

import { call, Problem } from "/shared/calls.js";
import { follow } from "/shared/events.js";
import { money, timeWithSeconds } from "/shared/format.js";
import { chooseLanguage, language, languages, onLanguage, speaker } from "/shared/language.js";
import { h, icon, show } from "/shared/view.js";

const say = speaker({
  en: {
    title: "Take your first payment", lead: "Kassa is a server for payments in a shop: your backend asks, a phone collects, your backend hears. This is its playground: everything works, and no real money moves.",
    portal: "Portal", pos: "POS app", docs: "API reference", openapi: "openapi.yaml", language: "Language", loading: "Loading …", tryAgain: "Try again", copy: "Copy", copied: "Copied", curl: "The same from your backend",
    step1: "Get a phone", step1Text: "Phones pair with a one-time code. Here the playground can be the phone; or open the POS app beside this page.",
    simulated: "Use a simulated phone", window: "Open the POS app", another: "Use another phone", waiting: "Waiting for the POS app to pair … It is in the other window.", pairAgain: "Open it again", blocked: "The browser did not open the window. Use this link:", phoneReady: "{name} is ready.",
    step2: "Ask it for money", step2Text: "Your backend creates a session on the phone: an amount with its lines.", ask: "Ask for {amount}", asked: "The phone has it in its line.", askAgain: "Ask for another",
    step3: "Let the customer pay", step3Simulated: "Tap a card on the simulated phone. Try a decline first, if you like.", step3Window: "In the POS app's window, choose the payment, then the card. Or tap the card from here.", tap: "Tap a card", decline: "Tap a card that is declined", declined: "Declined: the session stays open. Tap another card.", notPaid: "The session ended without a payment. Ask for another.",
    paid: "Paid.", paidText: ({ amount, seconds }) => `${amount}, ${seconds} ${seconds === 1 ? "second" : "seconds"} after this page was opened. The money is simulated; everything else is as in a shop.`, paidAgain: "{amount}. The money is simulated; everything else is as in a shop.", seeIt: "See what happened in the portal", again: "Take another",
    heard: "What your backend heard", heardText: "These go signed to every webhook of yours. Here they come from the stream of events.",
    next: "Where to go from here", portalText: "Devices, sessions, refunds, webhooks, keys. You are signed in with one click.", posText: "The clerk's app. It runs in any browser, and installs on a phone.", docsText: "Every call, with samples in ten languages.",
    withheld: "The key is not shown here", withheldText: "This page gives the playground's key to a browser on the same machine only, by 127.0.0.1 or localhost. Paste the key that the terminal shows:", key: "API key", use: "Use this key", keyRefused: "This key does not work here.",
    failed: "That did not work: {detail}", unreachable: "the server does not answer", till: "Simulated phone", item: "T-shirt",
  },
  sv: {
    title: "Ta emot din första betalning", lead: "Kassa är en server för betalningar i butik: ditt kassasystem begär, en telefon tar betalt, kassasystemet får veta. Detta är lekplatsen: allt fungerar, och inga riktiga pengar flyttas.",
    portal: "Portal", pos: "POS-app", docs: "API-referens", openapi: "openapi.yaml", language: "Språk", loading: "Laddar …", tryAgain: "Försök igen", copy: "Kopiera", copied: "Kopierat", curl: "Samma sak från ditt kassasystem",
    step1: "Skaffa en telefon", step1Text: "Telefoner parkopplas med en engångskod. Här kan lekplatsen vara telefonen; eller öppna POS-appen bredvid.",
    simulated: "Använd en simulerad telefon", window: "Öppna POS-appen", another: "Använd en annan telefon", waiting: "Väntar på att POS-appen parkopplas … Den finns i det andra fönstret.", pairAgain: "Öppna igen", blocked: "Webbläsaren öppnade inte fönstret. Använd länken:", phoneReady: "{name} är redo.",
    step2: "Begär pengar", step2Text: "Ditt kassasystem skapar en session på telefonen: ett belopp med sina rader.", ask: "Begär {amount}", asked: "Telefonen har den i sin kö.", askAgain: "Begär en till",
    step3: "Låt kunden betala", step3Simulated: "Blippa ett kort på den simulerade telefonen. Prova gärna ett nekat först.", step3Window: "Välj betalningen i POS-appens fönster, sedan kortet. Eller blippa kortet härifrån.", tap: "Blippa ett kort", decline: "Blippa ett kort som nekas", declined: "Nekat: sessionen är kvar. Blippa ett annat kort.", notPaid: "Sessionen slutade utan betalning. Begär en till.",
    paid: "Betalt.", paidText: ({ amount, seconds }) => `${amount}, ${seconds} ${seconds === 1 ? "sekund" : "sekunder"} efter att sidan öppnades. Pengarna är simulerade; allt annat är som i butik.`, paidAgain: "{amount}. Pengarna är simulerade; allt annat är som i butik.", seeIt: "Se vad som hände i portalen", again: "Ta en till",
    heard: "Vad ditt kassasystem fick höra", heardText: "Dessa går signerade till var och en av dina webhooks. Här kommer de från händelseströmmen.",
    next: "Vidare härifrån", portalText: "Enheter, sessioner, återbetalningar, webhooks, nycklar. Du loggas in med ett klick.", posText: "Appen i kassan. Den går i vilken webbläsare som helst och kan installeras på en telefon.", docsText: "Alla anrop, med exempel på tio språk.",
    withheld: "Nyckeln visas inte här", withheldText: "Sidan ger bara lekplatsens nyckel till en webbläsare på samma maskin, via 127.0.0.1 eller localhost. Klistra in nyckeln som terminalen visar:", key: "API-nyckel", use: "Använd nyckeln", keyRefused: "Nyckeln fungerar inte här.",
    failed: "Det gick inte: {detail}", unreachable: "servern svarar inte", till: "Simulerad telefon", item: "T-shirt",
  },
});

const proof = { "Kassa-Portal": "1" };
const amount = 25_000;
const currency = "SEK";
const openedAt = performance.now();
const state = {
  /** `null` until it is known; empty when it is withheld. */
  key: null, pasted: "", keyFlaw: null, problem: null,
  /** The device, with `isSimulated`. */
  device: null, pairing: null, session: null,
  /** How long the first payment took, from opening the page. */
  paidSeconds: null, paymentCount: 0, busy: null, wasDeclined: false, heard: [], copied: null,
};

const authorization = () => ({ ...proof, Authorization: `Basic ${state.key}` });
const ask = (method, path, body) => call(method, path, { body, headers: authorization });

// MARK: What the buttons do

async function act(name, work) {
  if (state.busy) return;
  state.busy = name;
  state.problem = null;
  draw();
  try {
    await work();
  } catch (problem) {
    state.problem = problem;
  }
  state.busy = null;
  draw();
}

const locationID = async () => (await ask("GET", "/ipp/v1/locations?page_size=1000")).content.at(-1)?.id;

const useSimulated = () =>
  act("simulated", async () => {
    const device = await ask("POST", "/ipp/v1/dev/devices", { name: say("till"), location_id: await locationID() });
    take(device);
  });

function take(device) {
  state.device = { id: device.id, name: device.name || say("pos"), isSimulated: device.metadata?.simulated === "true" };
  state.pairing = null;
  state.session = null;
  state.paidSeconds = null;
}

/** The window is opened at the click, while the browser still allows it; its address comes when the code is made. */
function openApp() {
  const opened = window.open("about:blank", "kassa-pos", "popup,width=430,height=880");
  return act("window", async () => {
    const enrollment = await ask("POST", "/ipp/v1/enrollments", { location_id: await locationID() });
    // The app is on this very server, under whichever name this page has.
    const { pathname, hash } = new URL(enrollment.enrollment_url);
    const address = `${location.origin}${pathname}${hash}`;
    state.pairing = { id: enrollment.enrollment_id, address, isBlocked: !opened };
    if (opened) opened.location = address;
  });
}

const isOver = ({ status }) => status !== "CREATED" && status !== "ACTIVE";

const sessionBody = () => ({
  device_id: state.device?.id ?? "DEVICE_ID", order_amount: amount, purchase_currency: currency, merchant_reference1: "ORDER-1",
  order_items: [{ name: say("item"), unit_price: amount, total_amount: amount, tax_rate: 2500, total_tax_amount: amount / 5 }],
});

const requestPayment = () =>
  act("ask", async () => {
    state.session = await ask("POST", "/ipp/v1/sessions", sessionBody());
    state.paidSeconds = null;
    state.wasDeclined = false;
  });

const tap = (outcome) =>
  act(outcome, async () => {
    state.session = await ask("POST", `/ipp/v1/dev/sessions/${state.session.session_id}/simulate-tap?outcome=${outcome}`);
    state.wasDeclined = state.session.status === "ACTIVE";
    noteEnd();
  });

function noteEnd() {
  if (state.session?.status !== "FINALIZED" || state.paidSeconds !== null) return;
  state.paidSeconds = Math.max(1, Math.round((performance.now() - openedAt) / 1000));
  state.paymentCount += 1;
}

async function openPortal(address) {
  try {
    await call("POST", "/portal/v1/sign-in", { body: { api_key: state.key }, headers: proof });
    localStorage.setItem("kassa-signed-in", "1");
  } catch {
    // The portal then asks for the key itself.
  }
  location.href = address;
}

// MARK: The beginning

async function begin() {
  state.problem = null;
  draw();
  try {
    state.key = (await call("GET", "/portal/v1/playground", { headers: proof })).api_key;
    await useKey();
  } catch (problem) {
    if (problem instanceof Problem && problem.status === 403) state.key = "";
    else state.problem = problem;
  }
  draw();
}

async function useKey() {
  const { content } = await ask("GET", "/ipp/v1/devices?page_size=1");
  if (content[0]) take(content[0]);
  follow("/portal/v1/events?after=latest", { headers: authorization, signal: new AbortController().signal, onEvent: hear });
}

async function paste(event) {
  event.preventDefault();
  state.key = state.pasted.trim();
  try {
    await useKey();
    state.keyFlaw = null;
  } catch (problem) {
    state.keyFlaw = problem.status === 401 ? say("keyRefused") : problemText(problem);
    state.key = "";
  }
  draw();
}

async function hear({ id, data }) {
  const envelope = JSON.parse(data);
  state.heard = [{ id, at: envelope.timestamp, type: envelope.type }, ...state.heard].slice(0, 8);
  draw();
  // The one that is waited for; or the first, however it was made.
  if (envelope.type === "ipp.device.paired" && (state.pairing ? envelope.data.enrollment_id === state.pairing.id : !state.device && !state.busy)) {
    take(await ask("GET", `/ipp/v1/devices/${envelope.data.device_id}`).catch(() => ({ id: envelope.data.device_id, name: say("pos") })));
  }
  if (envelope.data.session_id && envelope.data.session_id === state.session?.session_id) {
    state.session = await ask("GET", `/ipp/v1/sessions/${state.session.session_id}`).catch(() => state.session);
    if (envelope.type === "ipp.payment.failed") state.wasDeclined = true;
    noteEnd();
  }
  draw();
}

// MARK: Drawing

const pictures = { done: "M5 13l4.5 4.5L19 7", warning: ["M12 4l9 16H3z", "M12 10v4", "M12 17v.01"], copy: ["M9 9h11v11H9z", "M5 15H4V4h11v1"] };
const problemText = (problem) => (problem.status === 0 ? say("unreachable") : (problem.detail ?? problem.code ?? String(problem)));
const button = (label, onclick, { kind = "", name } = {}) =>
  h("button", { type: "button", class: `button ${kind}`, onclick, disabled: Boolean(state.busy) }, state.busy && state.busy === name && h("span", { class: "spinner", "aria-hidden": "true" }), label);

/** The lines that do the same, and a button beside their heading that copies them. */
function command(name, text) {
  return h("div", { class: "step-code" },
    h("details", { created: (element) => (element.open = matchMedia("(min-width: 60rem)").matches) },
      h("summary", null, say("curl")),
      h("pre", { id: `curl-${name}`, tabindex: "0", "aria-label": `${say("curl")}: ${say(name)}` }, text)),
    h("button", {
      type: "button", class: "button small", "aria-label": `${say(state.copied === name ? "copied" : "copy")}: ${say(name)}`,
      onclick: async () => {
        try {
          await navigator.clipboard.writeText(text);
          state.copied = name;
          setTimeout(() => ((state.copied = null), draw()), 1500);
          draw();
        } catch {
          getSelection().selectAllChildren(document.getElementById(`curl-${name}`));
        }
      },
    }, icon(state.copied === name ? pictures.done : pictures.copy), say(state.copied === name ? "copied" : "copy")));
}

const curl = (method, path, body) =>
  `curl -s ${method === "GET" ? "" : method === "POST" && body ? "" : `-X ${method} `}${location.origin}${path} \\\n  -H 'Authorization: Basic ${state.key}'` +
  (body ? ` \\\n  -H 'Content-Type: application/json' \\\n  -d '${JSON.stringify(body, null, 2).replaceAll("'", "'\\''")}'` : "");

function step(number, isDone, isNext, ...children) {
  return h("li", { key: number, class: `step ${isDone ? "is-done" : ""} ${isNext ? "is-next" : ""}`, "aria-current": isNext ? "step" : null },
    h("span", { class: "number", "aria-hidden": "true" }, isDone ? icon(pictures.done) : number), children);
}

const outcome = (text) => h("p", { class: "outcome", role: "status" }, icon(pictures.done), text);

function steps() {
  const { device, session, pairing } = state;
  const hasEnded = Boolean(session) && isOver(session);
  const isPaid = session?.status === "FINALIZED";
  return h("ol", { class: "steps", role: "list" },
    step(1, Boolean(device), !device,
      h("div", { class: "step-body" },
        h("h2", null, say("step1")),
        h("p", null, say("step1Text")),
        device && !pairing && outcome(say("phoneReady", { name: device.name })),
        pairing && h("p", { role: "status" }, say(pairing.isBlocked ? "blocked" : "waiting"), " ", h("a", { href: pairing.address, target: "_blank", rel: "noopener" }, say("pairAgain"))),
        h("div", { class: "actions" },
          button(say("simulated"), useSimulated, { kind: device ? "" : "primary", name: "simulated" }), button(say("window"), openApp, { name: "window" }))),
      command("step1", `${curl("POST", "/ipp/v1/dev/devices", { name: say("till") })}`)),
    step(2, Boolean(session), Boolean(device && !session),
      h("div", { class: "step-body" },
        h("h2", null, say("step2")),
        h("p", null, say("step2Text")),
        session && !hasEnded && outcome(say("asked")),
        device && session?.status !== "ACTIVE" && h("div", { class: "actions" }, button(session ? say("askAgain") : say("ask", { amount: money(amount, currency) }), requestPayment, { kind: session ? "" : "primary", name: "ask" }))),
      command("step2", curl("POST", "/ipp/v1/sessions", sessionBody()))),
    step(3, isPaid, Boolean(session && !hasEnded),
      h("div", { class: "step-body" },
        h("h2", null, say("step3")),
        h("p", null, say(device && !device.isSimulated ? "step3Window" : "step3Simulated")),
        isPaid && outcome(say("paid")),
        hasEnded && !isPaid && h("p", { role: "status" }, say("notPaid")),
        state.wasDeclined && !hasEnded && h("p", { role: "status", class: "strong" }, say("declined")),
        session && !hasEnded && h("div", { class: "actions" },
          button(say("tap"), () => tap("SUCCESS"), { kind: "primary", name: "SUCCESS" }), button(say("decline"), () => tap("DECLINED_GENERIC"), { name: "DECLINED_GENERIC" }))),
      command("step3", `${curl("POST", `/ipp/v1/dev/sessions/${session?.session_id ?? "SESSION_ID"}/simulate-tap`)}\n${curl("GET", "/portal/v1/events")}`)));
}

const paid = () =>
  h("section", { class: "paid", role: "status", created: (element) => element.scrollIntoView({ block: "center", behavior: "smooth" }) },
    h("h2", null, say("paid")),
    h("p", null, say(state.paymentCount > 1 ? "paidAgain" : "paidText", { amount: money(state.session.order_amount, state.session.purchase_currency), seconds: state.paidSeconds })),
    h("div", { class: "actions" }, button(say("seeIt"), () => openPortal(`/portal#/sessions/${state.session.session_id}`), { kind: "primary" }), button(say("again"), requestPayment, { name: "ask" })));

const heard = () =>
  state.heard.length > 0 && h("section", { "aria-labelledby": "heard" },
    h("h2", { id: "heard" }, say("heard")), h("p", { class: "quiet" }, say("heardText")),
    h("ul", { class: "heard", role: "list" }, state.heard.map(({ id, at, type }) => h("li", { key: id }, h("time", { datetime: at, class: "quiet" }, timeWithSeconds(at)), h("code", null, type)))));

const ways = () =>
  h("section", { "aria-labelledby": "next" },
    h("h2", { id: "next" }, say("next")),
    h("div", { class: "ways" },
      h("button", { type: "button", class: "way", onclick: () => openPortal("/portal") }, h("strong", null, say("portal")), h("span", null, say("portalText"))),
      h("a", { class: "way", href: "/pos" }, h("strong", null, say("pos")), h("span", null, say("posText"))),
      h("a", { class: "way", href: "/docs" }, h("strong", null, say("docs")), h("span", null, say("docsText")))));

const withheld = () =>
  h("section", { class: "card", "aria-labelledby": "withheld" },
    h("h2", { id: "withheld" }, say("withheld")),
    h("form", { class: "key-form", novalidate: true, onsubmit: paste },
      h("div", { class: "field" },
        h("label", { for: "key" }, say("key")), h("p", { class: "hint", id: "key-hint" }, say("withheldText")),
        h("input", { id: "key", class: "input", type: "password", autocomplete: "off", spellcheck: "false", "aria-describedby": "key-hint", "aria-invalid": state.keyFlaw ? "true" : null, value: state.pasted, oninput: ({ target }) => (state.pasted = target.value) }),
        state.keyFlaw && h("p", { class: "flaw", role: "alert" }, state.keyFlaw)),
      h("button", { type: "submit", class: "button primary" }, say("use"))));

let stepShown = 0;

/** Brings the step that is next into sight: its button is what a person looks for. */
function showNextStep() {
  const { device, session } = state;
  const next = session && !isOver(session) ? 3 : device && !session ? 2 : 1;
  if (next > stepShown && stepShown > 0) document.querySelector(".step.is-next")?.scrollIntoView({ block: "nearest", behavior: "smooth" });
  stepShown = next;
}

function draw() {
  show(document.getElementById("start"),
    h("header", { class: "top" },
      h("p", { class: "brand" }, h("svg", { viewBox: "0 0 32 32", "aria-hidden": "true" }, h("rect", { width: 32, height: 32, rx: 8 }), h("path", { d: "M11 8v16M21.5 8 12 16l9.5 8" })), "Kassa"),
      h("nav", { "aria-label": "Kassa" }, h("ul", { role: "list" },
        h("li", null, h("a", { href: "/portal", onclick: (event) => state.key && (event.preventDefault(), openPortal("/portal")) }, say("portal"))), h("li", null, h("a", { href: "/pos" }, say("pos"))), h("li", null, h("a", { href: "/docs" }, say("docs"))), h("li", null, h("a", { href: "/openapi.yaml" }, say("openapi"))),
        Object.entries(languages).filter(([name]) => name !== language()).map(([name, text]) => h("li", { key: name }, h("button", { type: "button", lang: name, onclick: () => chooseLanguage(name) }, text)))))),
    h("main", null,
      h("div", { class: "hero" }, h("h1", null, say("title")), h("p", { class: "quiet" }, say("lead"))),
      state.problem && h("div", { class: "notice danger", role: "alert" }, icon(pictures.warning), h("div", null, h("p", null, say("failed", { detail: problemText(state.problem) })), state.key === null && h("button", { type: "button", class: "button small", onclick: begin }, say("tryAgain")))),
      state.key === null && !state.problem && h("p", { role: "status" }, h("span", { class: "spinner", "aria-hidden": "true" }), say("loading")),
      state.key === "" && withheld(),
      state.key && [state.paidSeconds !== null && paid(), steps(), heard()],
      ways()));
  document.title = `${say("title")} – Kassa`;
  if (state.key) showNextStep();
}

onLanguage(draw);
begin();
