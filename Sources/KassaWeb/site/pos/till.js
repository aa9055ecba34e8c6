// What a till knows and does: its line of sessions, the one that is open, and the calls that change them.
//
// The server is the only memory. Each screen follows from what was read last, so that a reload, a sleep or a lost
// answer leaves nothing to be put right.

import { Problem, pause } from "/shared/calls.js";
import { follow } from "/shared/events.js";
import { keepDevice, serverNow } from "./device.js";

const POLL_SECONDS = 4;
/** While the stream is open: only for what a stream that fell silent would hide. */
const SLOW_POLL_SECONDS = 60;
/** Between two looks after an attempt that is under way. */
const SETTLE_SECONDS = 3;

export const isOver = (session) => !["CREATED", "ACTIVE"].includes(session.status);
/** The newest attempt, while money may still move by it. */
export const attemptOf = (session) =>
  !isOver(session) && ["PENDING", "UNKNOWN"].includes(session.payment?.state) ? session.payment : null;

export class Till {
  /** `onChange` is called after each change; `onArrival` with a session that is new in the line. */
  constructor(client, { onChange, onArrival, onRevoked }) {
    this.client = client;
    this.onChange = onChange;
    this.onArrival = onArrival;
    this.device = client.phone.device;
    /** `connecting`, `live`, `polling` (calls work, the stream does not) or `offline`. */
    this.connection = "connecting";
    /** Whether the line was read at least once. */
    this.isRead = false;
    this.sessions = new Map();
    /** The session on the screen, and what became known of it beside its state. */
    this.openID = null;
    /** What the clerk asked for and has no answer yet: its name, as the button's. */
    this.doing = null;
    /** What to say of the last thing that did not work: `{ key, detail }`. */
    this.trouble = null;
    /** Sessions whose end was asked for while nobody knew the outcome. */
    this.cancelAsked = new Set();
    /** Sessions that could not be cancelled because they were paid. */
    this.wasPaidBefore = new Set();
    this.receipts = new Map();
    this.shown = new Set();
    this.stopping = new AbortController();
    client.onRevoked = () => {
      this.stop();
      onRevoked();
    };
  }

  get line() {
    return [...this.sessions.values()].filter((session) => !isOver(session)).sort((a, b) => a.created_at.localeCompare(b.created_at));
  }

  get open() {
    return this.openID === null ? null : (this.sessions.get(this.openID) ?? null);
  }

  /** Another session of this phone that must end first, or null: one at a time can be paid. */
  get inTheWay() {
    return this.line.find((session) => session.status === "ACTIVE" && session.session_id !== this.openID) ?? null;
  }

  start() {
    this.listen();
    this.poll();
    this.lookAfterAttempt();
    const { signal } = this.stopping;
    let hiddenAt = 0;
    const wake = () => {
      this.listen();
      this.readLine();
    };
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "hidden") hiddenAt = Date.now();
      else if (Date.now() - hiddenAt > 15_000) wake();
      else this.noteShown();
    }, { signal });
    addEventListener("pageshow", (event) => event.persisted && wake(), { signal });
    addEventListener("online", wake, { signal });
    addEventListener("offline", () => this.setConnection("offline"), { signal });
  }

  stop() {
    this.stopping.abort();
    this.listening?.abort();
  }

  setConnection(state) {
    if (this.connection === state || this.stopping.signal.aborted) return;
    this.connection = state;
    this.onChange();
  }

  /** Follows the stream, from where the last one ended. */
  listen() {
    this.listening?.abort();
    const listening = (this.listening = new AbortController());
    const { signal } = listening;
    this.stopping.signal.addEventListener("abort", () => listening.abort(), { once: true, signal });
    follow("/pos/v1/events", {
      headers: this.client.headers, lastEventID: this.lastEventID, signal,
      onState: (state) => {
        this.isStreaming = state === "open";
        if (this.isStreaming) this.setConnection("live");
        else if (this.connection === "live") {
          this.setConnection("polling");
          this.readLine();
        }
      },
      onProblem: (problem) => {
        this.client.hear(problem);
        return !signal.aborted;
      },
      onEvent: (event) => {
        this.lastEventID = event.id ?? this.lastEventID;
        this.hear(event);
      },
    });
  }

  hear({ name, data }) {
    if (name === "ready") return void this.readLine();
    if (name === "device.revoked") return this.client.onRevoked();
    if (name === "device.changed") return void this.readDevice();
    let id;
    try {
      id = JSON.parse(data).session_id;
    } catch {
      return;
    }
    if (id) this.readSession(id);
  }

  /** Reads the line again and again: seldom while the stream is open, often from the moment it is not. */
  async poll() {
    const { signal } = this.stopping;
    let readAt = -Infinity;
    while (!signal.aborted) {
      // The pauses are a little longer or shorter than their time, so that many phones do not ask at once.
      const wantedSeconds = this.isStreaming ? SLOW_POLL_SECONDS : POLL_SECONDS;
      if (Date.now() - readAt >= wantedSeconds * 900) {
        readAt = Date.now();
        await this.readLine();
      }
      await pause(POLL_SECONDS * 1000 * (0.9 + Math.random() * 0.2), signal);
    }
  }

  /** Looks after the attempt on the screen, for as long as there is one. */
  async lookAfterAttempt() {
    const { signal } = this.stopping;
    while (!signal.aborted) {
      await pause(SETTLE_SECONDS * 1000, signal);
      const session = this.open;
      const attempt = session && attemptOf(session);
      if (!attempt || this.doing || signal.aborted || document.visibilityState === "hidden") continue;
      // In the playground nobody taps unless asked to, and to settle would use up the faults that were planned for it.
      const settles = attempt.state === "PENDING" && !(attempt.method === "CARD" && this.client.isPlayground);
      try {
        if (settles) await this.client.call("POST", `${path(session)}/payments/${attempt.payment_id}/finalize`);
        await this.readSession(session.session_id);
      } catch (error) {
        if (error.isUncertain) this.noteUnreachable(error);
        await this.readSession(session.session_id);
      }
    }
  }

  noteUnreachable(problem) {
    if (problem.status === 0) this.setConnection("offline");
    else if (problem.status >= 500) this.setConnection(this.isStreaming ? "live" : "polling");
    this.failing = problem.status >= 500;
    this.onChange();
  }

  noteReachable() {
    this.failing = false;
    if (this.connection === "offline" || this.connection === "connecting") this.setConnection(this.isStreaming ? "live" : "polling");
  }

  async readDevice() {
    try {
      this.device = await this.client.call("GET", "/pos/v1/device");
      await keepDevice(this.client.phone, this.device);
      this.onChange();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
    }
  }

  async readLine() {
    try {
      const { content } = await this.client.call("GET", "/pos/v1/sessions", { timeoutSeconds: 12 });
      this.noteReachable();
      const listed = new Set(content.map((session) => session.session_id));
      const wasRead = this.isRead;
      this.isRead = true;
      for (const session of content) this.take(session, { isNew: wasRead });
      // What is not in the line any more has ended: how, only the session itself tells.
      for (const session of [...this.sessions.values()]) {
        if (!isOver(session) && !listed.has(session.session_id)) this.readSession(session.session_id);
      }
      this.onChange();
      for (const session of content) if (["QUEUED", "PUSHED"].includes(session.delivery.state)) this.readSession(session.session_id);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this.noteUnreachable(error);
    }
  }

  async readSession(id) {
    try {
      const session = await this.client.call("GET", `/pos/v1/sessions/${id}`, { timeoutSeconds: 12 });
      this.noteReachable();
      this.take(session, { isNew: true });
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (error.status === 404) {
        this.sessions.delete(id);
        if (this.openID === id) this.openID = null;
      } else this.noteUnreachable(error);
    }
    this.onChange();
  }

  /** Takes what was read, unless something newer was read before. */
  take(session, { isNew }) {
    const known = this.sessions.get(session.session_id);
    if (known && known.version > session.version) return;
    this.sessions.set(session.session_id, session);
    // What was asked for has happened, as the stream may tell before the answer is there.
    if (this.doing && session.session_id === this.openID && session.version > this.doingSince) this.doing = null;
    if (!known && isNew && !isOver(session)) this.onArrival(session);
    if (known && !isOver(known) && isOver(session) && session.session_id !== this.openID) {
      this.ended = session;
      this.sessions.delete(session.session_id);
    }
    if (session.status === "FINALIZED" && session.session_id === this.openID) this.readReceipt(session);
  }

  async readReceipt(session) {
    if (this.receipts.has(session.session_id)) return;
    this.receipts.set(session.session_id, null);
    try {
      this.receipts.set(session.session_id, await this.client.call("GET", `${path(session)}/receipt`));
      this.onChange();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this.receipts.delete(session.session_id);
    }
  }

  /** Puts a session on the screen; null: the line. */
  choose(id) {
    const before = this.open;
    if (before && isOver(before) && before.session_id !== id) this.sessions.delete(before.session_id);
    this.openID = id;
    this.trouble = null;
    this.ended = null;
    if (id !== null && !this.sessions.has(id)) this.readSession(id);
    const session = this.open;
    if (session?.status === "FINALIZED") this.readReceipt(session);
    this.onChange();
  }

  /** Tells the server that the clerk sees the open session: once it is on the screen, and the screen is on. */
  noteShown() {
    const session = this.open;
    if (!session || isOver(session) || this.shown.has(session.session_id) || document.visibilityState !== "visible") return;
    this.shown.add(session.session_id);
    // Two frames: in the first it is drawn, in the second it was.
    requestAnimationFrame(() => requestAnimationFrame(async () => {
      try {
        await this.client.call("POST", `${path(session)}/shown`);
      } catch {
        this.shown.delete(session.session_id);
      }
    }));
  }

  /**
   * Does one thing that the clerk asked for, one at a time. Whatever comes of it, the session is read afterwards: the
   * screen shows what is, not what was hoped for.
   */
  async act(name, work) {
    const session = this.open;
    if (!session || this.doing) return;
    this.doing = name;
    this.doingSince = session.version;
    this.trouble = null;
    this.onChange();
    try {
      await work(session);
      this.noteReachable();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this.noteRefusal(error, session, name);
    } finally {
      await this.readSession(session.session_id);
      if (this.doing === name) this.doing = null;
      this.onChange();
    }
  }

  noteRefusal(problem, session, name) {
    switch (problem.code) {
      case "session_finalized":
        if (name === "cancel" || name === "back") this.wasPaidBefore.add(session.session_id);
        return;
      case "payment_outcome_unknown":
        if (name === "cancel") this.cancelAsked.add(session.session_id);
        return;
      case "no_payment":
      case "payment_in_progress":
      case "session_over":
        // The session itself tells what is: it is read next.
        return;
      case "device_busy":
        void this.readLine();
        this.trouble = { key: "trouble.device_busy" };
        return;
      case "method_unavailable":
        this.trouble = { key: "trouble.method_unavailable" };
        return;
      default:
        if (problem.status === 0) {
          this.setConnection("offline");
          this.trouble = { key: "trouble.unreachable" };
        } else if (problem.status >= 500) this.trouble = { key: "trouble.server" };
        else if (problem.status !== 401) this.trouble = { key: "trouble.other", detail: problem.detail };
    }
  }

  pay(method) {
    return this.act(`pay.${method}`, (session) => this.client.call("POST", `${path(session)}/payments`, { body: { method } }));
  }

  /** The customer's card, in the playground. */
  tap(outcome) {
    const dev = (session) => `/pos/v1/dev/sessions/${session.session_id}/simulate-tap?outcome=${encodeURIComponent(outcome)}`;
    return this.act(`tap.${outcome}`, (session) => this.client.call("POST", dev(session)));
  }

  /** Back to the choice of the method. */
  back() {
    return this.act("back", (session) => {
      const attempt = attemptOf(session);
      return attempt && this.client.call("POST", `${path(session)}/payments/${attempt.payment_id}/cancel`);
    });
  }

  cancel() {
    return this.act("cancel", (session) => this.client.call("POST", `${path(session)}/cancel`));
  }

  /** Seconds until `time` by the server's clock, at least 0. */
  secondsUntil = (time) => Math.max(0, (Date.parse(time) - serverNow()) / 1000);
}

const path = (session) => `/pos/v1/sessions/${session.session_id}`;
