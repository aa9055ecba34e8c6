// From a code or a link to a paired phone.

import { Problem } from "/shared/calls.js";
import { h } from "/shared/view.js";
import { grouped, readCode } from "./code.js";
import { beginPairing, dropPairing, pair } from "./device.js";
import { mark } from "./screens.js";
import { say } from "./texts.js";

export class Pairing {
  /**
   * `link` is the token of a deep link, `begun` a pairing that was begun and not answered, `pairedAs` the name of what
   * this phone is paired as already.
   */
  constructor({ link, begun, pairedAs, onChange, onPaired, onKept }) {
    Object.assign(this, { link, pairedAs, onChange, onPaired, onKept });
    this.typed = grouped(begun?.code ?? "");
    this.name = begun?.name ?? "";
    /** `{ key, values }` of what is wrong. */
    this.flaw = null;
    this.isPairing = false;
  }

  type = (event) => {
    const input = event.target;
    const { state, text } = readCode(input.value);
    // Grouped as it grows, but only at the end: in the middle a person is correcting.
    const isAtEnd = input.selectionStart === input.value.length && event.inputType !== "deleteContentBackward";
    this.typed = state !== "wrong" && isAtEnd ? grouped(text) : input.value;
    this.flaw = state === "wrong" && isAtEnd ? { key: "pair.slip" } : null;
    this.onChange();
  };

  paste = async () => {
    try {
      const text = (await navigator.clipboard.readText()).trim();
      const link = /#([A-Za-z0-9_-]{16,64})$/.exec(text)?.[1];
      if (link) {
        this.link = link;
      } else {
        const { state, text: code } = readCode(text);
        this.typed = state === "wrong" ? text : grouped(code);
        this.flaw = state === "wrong" ? { key: "pair.slip" } : null;
      }
    } catch {
      // The browser or the person said no: it can still be typed.
    }
    this.onChange();
  };

  nameIt = (event) => {
    this.name = event.target.value;
  };

  submit = async (event) => {
    event.preventDefault();
    if (this.isPairing) return;
    const { state, text } = this.link ? { state: "complete" } : readCode(this.typed);
    if (state !== "complete") {
      this.flaw = { key: state === "wrong" ? "pair.slip" : "pair.unfinished" };
      this.onChange();
      document.getElementById("code")?.focus();
      return;
    }
    this.flaw = null;
    this.isPairing = true;
    this.onChange();
    try {
      const secret = this.link ? { token: this.link } : { code: text };
      this.onPaired(await pair(await beginPairing(secret, this.name.trim().slice(0, 100))));
    } catch (error) {
      this.flaw = this.flawOf(error);
      this.isPairing = false;
      this.onChange();
      document.getElementById("code")?.focus();
    }
  };

  flawOf(error) {
    if (!(error instanceof Problem)) return { key: "pair.failed", values: { detail: String(error?.message ?? error) } };
    switch (error.code) {
      case "enrollment_code_invalid": return { key: this.link ? "pair.invalidLink" : "pair.invalid" };
      case "code_attempts_exceeded": return { key: "pair.tooMany", values: { seconds: error.retryAfterSeconds ?? 60 } };
      default: return error.isUncertain ? { key: "pair.unreachable" } : { key: "pair.failed", values: { detail: error.detail ?? error.code } };
    }
  }

  keep = async () => {
    await dropPairing();
    this.onKept();
  };

  /** Another code instead of the link. */
  forgetLink = async () => {
    await dropPairing();
    this.link = null;
    this.flaw = null;
    this.onChange();
  };

  view() {
    const { link, flaw, isPairing } = this;
    const title = say(link ? "pair.linkTitle" : "pair.title");
    return { key: link ? "pair-link" : "pair", title, parts: [
      h("main", { class: "screen pairing", key: "screen-pair", id: "content", tabindex: "-1" },
        h("div", { class: "welcome" }, mark(), h("h1", { tabindex: "-1" }, title), h("p", { class: "quiet" }, say(link ? "pair.linkLead" : "pair.lead"))),
        this.pairedAs !== undefined && h("p", { class: "notice warning", key: "replaces" }, say("pair.replaces", { name: this.pairedAs || say("menu.unnamed") })),
        h("form", { class: "form", key: "form", novalidate: true, onsubmit: this.submit },
          !link && h("div", { class: "field", key: "code" },
            h("label", { for: "code" }, say("pair.code")),
            h("div", { class: "code-row" },
              h("input", {
                class: "input code-input code", id: "code", name: "code", type: "text", value: this.typed, oninput: this.type, autocomplete: "one-time-code", autocapitalize: "characters",
                autocorrect: "off", spellcheck: "false", enterkeyhint: "go", inputmode: "text", maxlength: 48, "aria-describedby": flaw ? "code-flaw code-hint" : "code-hint", "aria-invalid": flaw ? "true" : null,
              }),
              navigator.clipboard?.readText && h("button", { class: "button", type: "button", onclick: this.paste }, say("pair.paste"))),
            flaw && h("p", { class: "flaw", id: "code-flaw", role: "alert", key: "flaw" }, say(flaw.key, flaw.values)),
            h("p", { class: "hint", id: "code-hint" }, say("pair.hint"))),
          link && flaw && h("p", { class: "notice danger", role: "alert", key: "link-flaw" }, say(flaw.key, flaw.values)),
          h("div", { class: "field", key: "name" },
            h("label", { for: "till-name" }, say("pair.name")),
            h("input", { class: "input", id: "till-name", name: "name", type: "text", value: this.name, oninput: this.nameIt, maxlength: 100, autocomplete: "off", placeholder: say("pair.namePlaceholder"), "aria-describedby": "name-hint" }),
            h("p", { class: "hint", id: "name-hint" }, say("pair.nameHint"))),
          h("button", { class: "button primary wide", type: "submit", key: "submit", "aria-disabled": isPairing ? "true" : null }, isPairing && h("span", { class: "spinner" }), say(isPairing ? "pair.doing" : "pair.button")),
          this.pairedAs !== undefined && h("button", { class: "button wide", type: "button", key: "keep", onclick: this.keep }, say("pair.keep")),
          link && this.pairedAs === undefined && h("button", { class: "button plain wide", type: "button", key: "other", onclick: this.forgetLink }, say("pair.typeInstead"))),
        !link && h("p", { class: "quiet centred", key: "qr" }, say("pair.qr"), h("br"), h("a", { href: "/portal#/codes" }, say("pair.portal")))),
    ] };
  }
}
