// Calls of the portal: as the merchant who signed in, and with what shows that this page makes them.

import { call, Problem } from "/shared/calls.js";

/** The server takes the cookie only beside this: a page of another site cannot send it. */
export const proof = { "Kassa-Portal": "1" };

const listeners = new Set();
/** `listener` is called when the sign-in is over. */
export const onSignedOut = (listener) => listeners.add(listener);

let era = 0;
/** Somebody else may sign in next: what was asked before says nothing of them. */
export const forgetAnswers = () => (era += 1);

async function request(method, path, body, { once, timeoutSeconds } = {}) {
  const begun = era;
  try {
    return await call(method, path, { body, timeoutSeconds, headers: { ...proof, ...(once ? { "Idempotency-Key": once } : {}) } });
  } catch (problem) {
    if (problem instanceof Problem && problem.status === 401 && path !== "/portal/v1/sign-in" && begun === era) {
      for (const listener of listeners) listener();
    }
    throw problem;
  }
}

export const get = (path) => request("GET", path);
export const put = (path, body) => request("PUT", path, body);
export const remove = (path) => request("DELETE", path);
/** With `once`, a key made by `onceKey`, the same post has one effect however often it is made. */
export const post = (path, body, options) => request("POST", path, body, options);

/** A key for one intention: kept while the answer is not known, so that trying again is safe. */
export const onceKey = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/** A path with those of the values that are there. */
export function withQuery(path, values) {
  const given = Object.entries(values).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}

/** Every element of a list that is short by nature: locations, to choose from. */
export async function all(path) {
  const found = [];
  for (let cursor; ; ) {
    const page = await get(withQuery(path, { page_size: 1000, cursor }));
    found.push(...page.content);
    cursor = page.next_cursor;
    if (!cursor || found.length >= 5000) return found;
  }
}
