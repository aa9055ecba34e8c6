// Sends a request to this server from the page, and tells what came back. Knows nothing of how it looks.

/** Credentials never come from the portal's cookie: what is tried is what the sample does. */
const requestOptions = { cache: "no-store", credentials: "omit", redirect: "manual" };

/** A fresh key. `crypto.randomUUID` is missing on plain HTTP. */
export function freshKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Sends a request as `requestOf` makes it. Calls `onChange` with `{ status, statusText, milliseconds, headers, type, text,
 * isOpen, byteCount }` when the head is there, for each part of a stream, and at the end. Throws when no answer came.
 */
export async function send(request, credential, { signal, onChange }) {
  const began = performance.now();
  const headers = new Headers();
  if (request.credential === "apiKey" && credential) headers.set("Authorization", `Basic ${credential}`);
  if (request.credential === "deviceToken" && credential) headers.set("Authorization", `Bearer ${credential}`);
  for (const header of request.headers) headers.set(header.name, header.isFresh ? freshKey() : header.value);
  const response = await fetch(request.url, {
    ...requestOptions, method: request.method, headers, signal,
    body: request.body === undefined ? undefined : JSON.stringify(request.body),
  });
  const answer = {
    status: response.status, statusText: response.statusText, milliseconds: Math.round(performance.now() - began),
    headers: [...response.headers].sort(([one], [other]) => (one < other ? -1 : 1)),
    type: (response.headers.get("content-type") ?? "").split(";")[0], text: "", isOpen: true, byteCount: 0,
  };
  const isText = answer.type === "" || /^text\/|json$|yaml$|xml$/.test(answer.type);
  const decoder = new TextDecoder();
  const reader = response.body?.getReader();
  const isStream = answer.type === "text/event-stream";
  if (isStream) onChange({ ...answer });
  while (reader) {
    const { value, done } = await reader.read();
    if (done) break;
    answer.byteCount += value.length;
    if (isText) answer.text += decoder.decode(value, { stream: true });
    if (isStream) onChange({ ...answer });
  }
  if (!isStream) answer.milliseconds = Math.round(performance.now() - began);
  onChange({ ...answer, isOpen: false });
}

/** Members that name something, beside those that end in `_id`. */
const names = new Set(["enrollment_code"]);

/** What an answer names, for the next request: `session_id`, `device_id`, `enrollment_code` … */
export function idsOf(text, operation) {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    return {};
  }
  const ids = {};
  const collect = (object) => {
    for (const [name, one] of Object.entries(object ?? {})) {
      if (typeof one === "string" && (/_id$/.test(name) || names.has(name))) ids[name] ??= one;
      else if (one && typeof one === "object" && !Array.isArray(one)) collect(one);
    }
  };
  const first = Array.isArray(value?.content) ? value.content[0] : value;
  if (typeof first?.id === "string") ids[nounOf(operation.path)] = first.id;
  collect(first);
  if (typeof value?.credentials?.bearer_token === "string") ids.bearer_token = value.credentials.bearer_token;
  return ids;
}

/** A body with what is known in place of the example's ids. */
export function withKnown(value, known) {
  if (Array.isArray(value)) return value.map((one) => withKnown(one, known));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [
    name, typeof one === "string" && Object.hasOwn(known, name) ? known[name] : withKnown(one, known),
  ]));
}

/** The name of a path parameter among the ids: `{id}` is of what the path names before it. */
export function idName(operation, name) {
  return name === "id" ? nounOf(operation.path.slice(0, operation.path.indexOf("/{id}"))) : name;
}

const nounOf = (path) => `${path.split("/").filter((step) => step && !step.startsWith("{")).at(-1).replace(/s$/, "").replaceAll("-", "_")}_id`;
