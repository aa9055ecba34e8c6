// Who this phone is: its key, its token, and the proof that it has the key (RFC 9449, DPoP).
//
// The private key is made by the browser and cannot be read out, not even by this page. It lies in IndexedDB together
// with the token, which is worthless without it.

import { Problem, call, pause } from "/shared/calls.js";

const DATABASE = "kassa-pos";
const STORE = "device";

function opened() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

async function inStore(mode, work) {
  const database = await opened();
  try {
    return await new Promise((resolve, reject) => {
      const transaction = database.transaction(STORE, mode, { durability: "strict" });
      const request = work(transaction.objectStore(STORE));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onerror = transaction.onabort = () => reject(transaction.error);
    });
  } finally {
    database.close();
  }
}

const kept = (name) => inStore("readonly", (store) => store.get(name));
const keep = (name, value) => inStore("readwrite", (store) => store.put(value, name));
const forget = (name) => inStore("readwrite", (store) => store.delete(name));

const encoder = new TextEncoder();
const base64URL = (bytes) =>
  btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
const part = (value) => base64URL(encoder.encode(JSON.stringify(value)));

/** Seconds that the server's clock is ahead of this phone's; learnt from its answers. */
let clockAheadSeconds = 0;
export const serverNow = () => Date.now() + clockAheadSeconds * 1000;
const learnClock = (time) => {
  const told = Date.parse(time ?? "");
  // Less than that is the way of the answer, or of whole seconds.
  if (Number.isFinite(told) && Math.abs(told - serverNow()) > 2000) clockAheadSeconds = Math.round((told - Date.now()) / 1000);
};

/** Whether the browser can make a key for this page: it can over https, and on the machine itself. */
export const canHoldKey = () => Boolean(globalThis.isSecureContext && globalThis.crypto?.subtle && globalThis.indexedDB);

/** The phone as it was paired: `{ token, keys, publicKey, device }`, or undefined. */
export const pairedPhone = () => kept("phone");
/** A pairing that was begun and not answered, or undefined. */
export const begunPairing = () => kept("pairing");
export const forgetPhone = () => forget("phone");
export const keepDevice = async (phone, device) => keep("phone", { ...phone, device });

function platform() {
  if (/iPhone|iPad|iPod/.test(navigator.userAgent) || (/Macintosh/.test(navigator.userAgent) && navigator.maxTouchPoints > 1)) return "IOS";
  return /Android/.test(navigator.userAgent) ? "ANDROID" : "TERMINAL";
}

/** Remembers what to pair with, `{ code }` or `{ token }`, so that a reload loses nothing. */
export async function beginPairing(secret, name) {
  const before = await begunPairing();
  if (before && before.code === secret.code && before.token === secret.token && before.name === name) return before;
  const keys = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign", "verify"]);
  const { kty, crv, x, y } = await crypto.subtle.exportKey("jwk", keys.publicKey);
  let hardwareID = await kept("hardware");
  if (!hardwareID) await keep("hardware", (hardwareID = crypto.randomUUID()));
  const pairing = { ...secret, name, keys, publicKey: { kty, crv, x, y }, hardwareID, registrationID: crypto.randomUUID() };
  await keep("pairing", pairing);
  return pairing;
}
export const dropPairing = () => forget("pairing");

/**
 * Registers this phone; sends the same request again while no answer comes, which the server allows for a minute.
 * Throws `Problem`: after one that is certain, the pairing is forgotten.
 */
export async function pair(pairing) {
  const body = {
    ...(pairing.code ? { enrollment_code: pairing.code } : { enrollment_token: pairing.token }),
    hardware_id: pairing.hardwareID, platform: platform(), registration_id: pairing.registrationID,
    public_key: pairing.publicKey, ...(pairing.name ? { name: pairing.name } : {}),
  };
  for (let attempt = 1; ; attempt += 1) {
    try {
      const { credentials, ...device } = await call("POST", "/pos/v1/devices", { body, timeoutSeconds: 12 });
      const phone = { token: credentials.bearer_token, keys: pairing.keys, publicKey: pairing.publicKey, device };
      await keep("phone", phone);
      await forget("pairing");
      return phone;
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (!error.isUncertain && error.status !== 429) await forget("pairing");
      if (!error.isUncertain || attempt === 4) throw error;
      await pause(800 * 2 ** attempt);
    }
  }
}

/** Speaks with the server as the phone that was paired. */
export class PhoneClient {
  constructor(phone) {
    this.phone = phone;
    this.tokenHash = crypto.subtle.digest("SHA-256", encoder.encode(phone.token)).then(base64URL);
    /** Whether money here is play money: its tokens say so. */
    this.isPlayground = phone.token.startsWith("kassa_test_");
    /** Called when the server knows this phone no longer. */
    this.onRevoked = () => {};
  }

  /** The headers of one call: the token, and the proof for this method and address. */
  headers = async (method, path) => {
    const header = part({ typ: "dpop+jwt", alg: "ES256", jwk: this.phone.publicKey });
    const claims = part({
      jti: crypto.randomUUID(), htm: method, htu: location.origin + path.split("?")[0],
      iat: Math.floor(serverNow() / 1000), ath: await this.tokenHash,
    });
    const signed = encoder.encode(`${header}.${claims}`);
    const signature = await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, this.phone.keys.privateKey, signed);
    return { Authorization: `DPoP ${this.phone.token}`, DPoP: `${header}.${claims}.${base64URL(signature)}` };
  };

  /** Makes one call. Throws `Problem`. */
  async call(method, path, options = {}) {
    try {
      return await call(method, path, { ...options, headers: this.headers });
    } catch (error) {
      if (!this.hear(error)) throw error;
      return await call(method, path, { ...options, headers: this.headers });
    }
  }

  /** Learns from a refused proof what time it is; then the same call may be made again. Notes that the phone was removed. */
  hear(problem) {
    if (problem.code === "unauthorized") this.onRevoked();
    if (problem.code !== "dpop_proof_invalid" || !problem.serverTime) return false;
    const before = clockAheadSeconds;
    learnClock(problem.serverTime);
    return clockAheadSeconds !== before;
  }
}
