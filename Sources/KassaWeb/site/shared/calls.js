// Calls to this server, and what may go wrong with them.

/** Why a call has no result: the server's problem (RFC 9457), or that no answer came. */
export class Problem extends Error {
  constructor({ status = 0, code, detail, errors, retryAfterSeconds, requestID, serverTime }) {
    super(detail ?? code);
    this.name = "Problem";
    /** 0: no answer came. */
    this.status = status;
    /** The server's stable word, or `unreachable`. */
    this.code = code;
    this.detail = detail;
    /** Failing fields with what to send instead. */
    this.errors = errors ?? {};
    this.retryAfterSeconds = retryAfterSeconds;
    this.requestID = requestID;
    /** The server's clock, where a proof failed by its time. */
    this.serverTime = serverTime;
  }

  /** Nobody knows whether it was done: no answer, or one that says so. */
  get isUncertain() {
    return this.status === 0 || this.status >= 500;
  }
}

/** The problem that an answer carries, whatever its body is. */
export async function problemOf(response) {
  let body = {};
  try {
    body = await response.json();
  } catch {
    // A proxy's own page, perhaps: the status alone must do.
  }
  const retryAfter = Number(response.headers.get("retry-after"));
  return new Problem({
    status: response.status, code: body.code ?? body.error_code ?? `http_${response.status}`,
    detail: body.detail ?? body.title ?? body.error_messages?.join("; "), errors: body.errors,
    retryAfterSeconds: Number.isFinite(retryAfter) && retryAfter > 0 ? retryAfter : undefined,
    requestID: response.headers.get("x-request-id") ?? undefined, serverTime: body.server_time,
  });
}

/**
 * Makes one call and reads its JSON; null where the answer has no body. Throws `Problem`. `headers` may be a function
 * of method and path that makes them at the last moment. Gives up after `timeoutSeconds`.
 */
export async function call(method, path, { body, headers = {}, timeoutSeconds = 25, signal } = {}) {
  const response = await send(method, path, { body, headers, timeoutSeconds, signal });
  if (!response.ok) throw await problemOf(response);
  if (response.status === 204) return null;
  try {
    return await response.json();
  } catch {
    throw new Problem({ code: "unreachable", detail: "the answer broke off" });
  }
}

/** Makes one call, and returns the browser's own response. Throws `Problem` where there is none. */
export async function send(method, path, { body, headers = {}, timeoutSeconds, signal } = {}) {
  const signals = [signal, timeoutSeconds ? AbortSignal.timeout(timeoutSeconds * 1000) : null].filter(Boolean);
  try {
    const given = typeof headers === "function" ? await headers(method, path) : headers;
    return await fetch(path, {
      method, cache: "no-store", credentials: "same-origin", redirect: "error",
      headers: { Accept: "application/json", ...(body === undefined ? {} : { "Content-Type": "application/json" }), ...given },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: signals.length ? AbortSignal.any(signals) : undefined,
    });
  } catch (error) {
    if (error instanceof Problem) throw error;
    throw new Problem({ code: "unreachable", detail: String(error?.message ?? error) });
  }
}

/** Waits; ends early, without an error, when `signal` is aborted. */
export const pause = (milliseconds, signal) =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
