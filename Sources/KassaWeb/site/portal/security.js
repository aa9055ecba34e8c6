// How safe the one-time codes are: the chance of guessing one, and what it is kept under.

import { number } from "/shared/format.js";
import { h } from "/shared/view.js";
import { get } from "/portal/api.js";
import { facts, head, notice, problemNotice, render, spinner } from "/portal/parts.js";
import { say } from "/portal/texts.js";

export function securityScreen({ signal }) {
  let figures = null;
  let problem = null;
  const load = async () => {
    try {
      figures = await get("/portal/v1/code-security");
      problem = null;
    } catch (found) {
      problem = found;
    }
    render();
  };
  load();
  const timer = setInterval(() => document.visibilityState === "visible" && load(), 20_000);
  signal.addEventListener("abort", () => clearInterval(timer));
  return {
    refresh: load,
    view: () => [
      head(say("nav.security"), { lead: say("security.lead") }),
      problem && problemNotice(problem, load),
      !figures && !problem && spinner(),
      figures && [
        h("section", { class: "card security-card", "aria-label": say("security.chance") },
          h("p", { class: "quiet" }, say("security.chance")),
          h("p", { class: "amount-large figures" }, figures.chance_of_hit_per_day > 0 ? say("security.oneIn", { count: number(Math.round(1 / figures.chance_of_hit_per_day)) }) : say("security.none")),
          scale(figures),
          notice(figures.bound_holds ? "good" : "danger", h("p", null, say(figures.bound_holds ? "security.holds" : "security.broken")))),
        h("section", { class: "card", "aria-label": say("details") }, facts([
          [say("security.live"), number(figures.live_codes)],
          [say("security.length"), say("security.symbols", { count: figures.code_length })],
          [say("security.attempts"), say("security.ofAttempts", { used: number(figures.attempts_used_today), all: number(figures.attempts_per_day) })],
          [say("security.source"), number(figures.attempts_per_source_per_minute)],
        ])),
        h("p", { class: "quiet explanation" }, say("security.text")),
      ],
    ],
  };
}

/** The chance on a scale from 1 in a thousand million to 1 in ten thousand, with the bound as a line. */
function scale({ chance_of_hit_per_day: chance, bound }) {
  const [least, most] = [-12, -4];
  const x = (value) => (value > 0 ? Math.max(0, Math.min(100, ((Math.log10(value) - least) / (most - least)) * 100)) : 0);
  return h("div", { class: "scale" },
    h("svg", { viewBox: "0 0 100 8", preserveAspectRatio: "none", width: "100%", height: 16, "aria-hidden": "true" },
      h("rect", { class: "scale-base", width: 100, height: 8, rx: 0 }),
      h("rect", { class: "scale-value", width: x(chance), height: 8 }),
      h("rect", { class: "scale-bound", x: x(bound), width: 0.5, height: 8 })),
    h("div", { class: "scale-text quiet" }, h("span", null, say("security.safer")), h("span", null, say("security.bound", { count: number(Math.round(1 / bound)) }))));
}
