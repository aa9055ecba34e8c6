// Server-Sent Events read by `fetch`, because a browser's own reader can send no credential of ours.

import { pause, problemOf, send } from "./calls.js";

/**
 * Follows a stream until `signal` is aborted: connects again by itself, with the last id, after a pause that grows and
 * is spread out by chance. Calls `onEvent({ id, name, data })` for each event, `onState("open" | "lost")`, and
 * `onProblem(problem)` for an answer that is none; what that returns as `false` ends it.
 */
export async function follow(path, { headers, lastEventID, onEvent, onState, onProblem, signal, silenceSeconds = 35 }) {
  let last = lastEventID;
  let failures = 0;
  while (!signal.aborted) {
    let retryAfterSeconds;
    const connection = new AbortController();
    const stop = () => connection.abort();
    signal.addEventListener("abort", stop, { once: true });
    let silence = setTimeout(stop, silenceSeconds * 1000);
    try {
      const response = await send("GET", path, {
        headers: async (...request) => ({
          ...(await headers?.(...request)), Accept: "text/event-stream", ...(last === undefined ? {} : { "Last-Event-ID": last }),
        }),
        signal: connection.signal,
      });
      if (!response.ok) {
        const problem = await problemOf(response);
        retryAfterSeconds = problem.retryAfterSeconds;
        if (onProblem?.(problem) === false) return;
      } else {
        onState?.("open");
        await read(response.body, (event) => {
          if (event.id !== undefined) last = event.id;
          if (event.data !== undefined) onEvent(event);
        }, () => {
          failures = 0;
          clearTimeout(silence);
          silence = setTimeout(stop, silenceSeconds * 1000);
        });
      }
    } catch {
      // Lost: below it is tried again.
    } finally {
      clearTimeout(silence);
      signal.removeEventListener("abort", stop);
      connection.abort();
    }
    if (signal.aborted) return;
    onState?.("lost");
    failures += 1;
    const longest = Math.min(30_000, 500 * 2 ** Math.min(failures, 6));
    const wanted = retryAfterSeconds ? retryAfterSeconds * 1000 : longest / 2 + (Math.random() * longest) / 2;
    await Promise.race([pause(wanted, signal), untilOnline(signal)]);
  }
}

/** Resolves when the browser says that the network came back; with a moment for it to be so. */
function untilOnline(signal) {
  return new Promise((resolve) => {
    if (navigator.onLine) return;
    addEventListener("online", () => setTimeout(resolve, 200), { once: true, signal });
  });
}

/** Cuts a body into events (the WHATWG's HTML standard, section 9.2.6). `onBytes` is called with each sign of life. */
async function read(body, onEvent, onBytes) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let event = {};
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    onBytes();
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const whole of lines) {
      const line = whole.endsWith("\r") ? whole.slice(0, -1) : whole;
      if (line === "") {
        if (event.id !== undefined || event.data !== undefined) onEvent({ name: "message", ...event });
        event = {};
        continue;
      }
      const [, field, text] = /^([^:]*):? ?(.*)$/s.exec(line);
      if (field === "id") event.id = text;
      else if (field === "event") event.name = text;
      else if (field === "data") event.data = event.data === undefined ? text : `${event.data}\n${text}`;
    }
  }
}
