// What an operation acts on, made by the API itself just for one sample: a session to cancel, a device's token, a webhook.
//
// An operation with neither path parameters nor ids in its body needs nothing here. For another one, a missing line in
// `fixtures` ends the run with the operation's name.

import { createECDH, randomUUID } from "node:crypto";

/** One merchant, as its backend sees it. */
export class Shop {
  #made = new Map();

  constructor(server, { merchant, key }, callbackAddress) {
    this.server = server;
    this.merchant = merchant;
    this.key = key;
    this.callbackAddress = callbackAddress;
  }

  /** Calls the API; throws unless the answer is good. `token` is a device's. */
  async call(method, path, { body, token } = {}) {
    const response = await fetch(this.server + path, {
      method,
      headers: {
        Authorization: token === undefined ? `Basic ${this.key}` : `Bearer ${token}`,
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text === "" ? undefined : JSON.parse(text);
  }

  /** Made the first time, and the same from then on. */
  once(name, make) {
    if (!this.#made.has(name)) this.#made.set(name, make());
    return this.#made.get(name);
  }

  location() {
    return this.once("location", async () => (await this.call("GET", "/ipp/v1/locations")).content.at(-1).id);
  }

  async enrollment() {
    const made = await this.call("POST", "/ipp/v1/enrollments", { body: { location_id: await this.location() } });
    return { ...made, token: made.enrollment_url.split("#")[1] };
  }

  async device() {
    const device = await this.call("POST", "/ipp/v1/dev/devices", {
      body: { name: "Till 1", location_id: await this.location() },
    });
    return { id: device.id, token: device.credentials.bearer_token };
  }

  /** A session on a device of its own, so that no other one is in the way. */
  async session() {
    const device = await this.device();
    const session = await this.call("POST", "/ipp/v1/sessions", {
      body: {
        device_id: device.id, order_amount: 10000, purchase_currency: "SEK", merchant_reference1: "ORDER-12345",
        order_items: [
          {
            type: "physical", name: "T-Shirt", quantity: 2, unit_price: 5000, total_amount: 10000, tax_rate: 2500,
            total_tax_amount: 2000,
          },
        ],
      },
    });
    return { id: session.session_id, device: device.id, token: device.token };
  }

  async payment(method = "CARD") {
    const session = await this.session();
    const attempt = await this.call("POST", `/pos/v1/sessions/${session.id}/payments`, {
      token: session.token, body: { method },
    });
    return { ...session, payment: attempt.payment_id };
  }

  async paid() {
    const session = await this.session();
    const answer = await this.call("POST", `/ipp/v1/dev/sessions/${session.id}/simulate-tap`);
    return { ...session, order: answer.order_id };
  }

  /** An attempt that waits for the buyer's phone: by the first method that shows a code. */
  async scan() {
    const session = await this.session();
    const own = await this.call("GET", `/pos/v1/sessions/${session.id}`, { token: session.token });
    const method = own.available_methods.find((one) => one !== "CARD");
    if (method === undefined) throw new Error("no method shows a code to scan");
    const attempt = await this.call("POST", `/pos/v1/sessions/${session.id}/payments`, {
      token: session.token, body: { method },
    });
    return { ...session, method, payment: attempt.payment_id, next: attempt.next_action };
  }

  /** A paid order whose money waits to be captured, at a merchant that has it so. */
  async uncaptured() {
    await this.once("manual", () =>
      this.call("PUT", "/portal/v1/payment-methods/CARD", {
        body: { provider: "SIMULATED", enabled: true, capture: "MANUAL" },
      }));
    return (await this.paid()).order;
  }

  /** One that is used for everything but its end: a merchant may have few. */
  webhook() { return this.once("webhook", () => this.newWebhook()); }

  async newWebhook() {
    const body = { name: "Backend", url: this.callbackAddress, events: ["*"] };
    return (await this.call("POST", "/portal/v1/webhooks", { body })).id;
  }

  delivery() {
    return this.once("delivery", async () => {
      const webhook = await this.webhook();
      await this.call("POST", `/portal/v1/webhooks/${webhook}/test`);
      const list = await this.call("GET", `/portal/v1/webhooks/${webhook}/deliveries`);
      return list.content.find((delivery) => delivery.event_type?.endsWith(".test"))?.id ?? list.content[0].id;
    });
  }
}

const ownSession = async (shop) => {
  const session = await shop.session();
  return { path: { session_id: session.id }, token: session.token };
};
const ownDevice = async (shop) => ({ token: (await shop.device()).token });
const ownPayment = async (shop) => {
  const made = await shop.payment();
  return { path: { session_id: made.id, payment_id: made.payment }, token: made.token };
};
const enrollment = async (shop) => ({ path: { enrollment_id: (await shop.enrollment()).enrollment_id } });
const device = async (shop) => ({ path: { id: (await shop.device()).id } });
const session = async (shop) => ({ path: { session_id: (await shop.session()).id } });
const method = (name) => async () => ({ path: { method: name } });
const order = async (shop) => ({ path: { order_id: (await shop.paid()).order } });
const uncaptured = async (shop) => ({ path: { order_id: await shop.uncaptured() } });
const notification = async (shop) => {
  const made = await shop.scan();
  return { path: { method: made.method.toLowerCase(), merchant_id: shop.merchant, payment_id: made.payment } };
};
const scanned = async (shop) => ({ path: { payment_id: (await shop.scan()).payment } });
const image = async (shop) => ({ path: { name: (await shop.scan()).next.image_url.split("/").at(-2) } });
const webhook = async (shop) => ({ path: { id: await shop.webhook() } });
const newLocation = async (shop) => ({
  path: { id: (await shop.call("POST", "/portal/v1/locations", { body: { name: "Market stall" } })).id },
});

/**
 * By operation: what is put into the path (`path`), into the body by the names of its members (`body`), and the device's
 * token. `kinds` says which of the merchants `shop` is.
 */
export const fixtures = {
  getEnrollment: enrollment,
  deleteEnrollments: enrollment,
  getDevice: device,
  updateDevice: device,
  deleteDevice: device,
  getLocation: async (shop) => ({ path: { id: await shop.location() } }),
  updateLocation: newLocation,
  deleteLocation: newLocation,
  createSession: async (shop) => ({ body: { device_id: (await shop.device()).id } }),
  getSession: session,
  cancelSession: session,
  simulateTap: session,
  registerDevice: async (shop) => {
    const made = await shop.enrollment();
    const pair = createECDH("prime256v1");
    pair.generateKeys();
    const point = pair.getPublicKey();
    return {
      body: {
        enrollment_code: made.enrollment_code,
        enrollment_token: made.token,
        registration_id: randomUUID(),
        x: point.subarray(1, 33).toString("base64url"),
        y: point.subarray(33).toString("base64url"),
      },
    };
  },
  getOwnDevice: ownDevice,
  streamOwnEvents: ownDevice,
  listOwnSessions: ownSession,
  getOwnSession: ownSession,
  markOwnSessionShown: ownSession,
  cancelOwnSession: ownSession,
  simulateOwnTap: ownSession,
  startPayment: ownSession,
  finalizePayment: ownPayment,
  cancelPayment: ownPayment,
  getOwnReceipt: async (shop) => {
    const made = await shop.paid();
    return { path: { session_id: made.id }, token: made.token };
  },
  getReceipt: async (shop) => {
    const made = await shop.paid();
    const receipt = await shop.call("GET", `/pos/v1/sessions/${made.id}/receipt`, { token: made.token });
    return { path: { receipt_token: receipt.receipt_url.split("/").at(-1) } };
  },
  getPaymentMethod: method("CARD"),
  checkPaymentMethod: method("CARD"),
  subscribePaymentMethod: method("CARD"),
  updatePaymentMethod: async (shop, variant) => {
    const { provider } = variant.body;
    return { path: { method: provider === "SIMULATED" ? "CARD" : provider } };
  },
  deletePaymentMethod: method("KLARNA"),
  getOrder: order,
  listCaptures: order,
  createRefund: order,
  createCapture: uncaptured,
  cancelOrder: uncaptured,
  getCapture: async (shop) => {
    const { order: id } = await shop.paid();
    const [capture] = await shop.call("GET", `/ordermanagement/v1/orders/${id}/captures`);
    return { path: { order_id: id, capture_id: capture.capture_id } };
  },
  getRefund: async (shop) => {
    const { order: id } = await shop.paid();
    await shop.call("POST", `/ordermanagement/v1/orders/${id}/refunds`, { body: { refunded_amount: 100 } });
    const [refund] = (await shop.call("GET", `/ordermanagement/v1/orders/${id}`)).refunds;
    return { path: { order_id: id, refund_id: refund.refund_id } };
  },
  simulateScan: async (shop) => {
    const made = await shop.scan();
    return { path: { session_id: made.id }, query: { method: made.method } };
  },
  simulateOwnScan: async (shop) => {
    const made = await shop.scan();
    return { path: { session_id: made.id }, query: { method: made.method }, token: made.token };
  },
  getPaymentAsBuyer: scanned,
  openPaymentAsBuyer: scanned,
  approvePaymentAsBuyer: scanned,
  refusePaymentAsBuyer: scanned,
  getCodePNG: image,
  getCodeSVG: image,
  notifyOfMethod: notification,
  notifyOfPayment: notification,
  revokeAPIKey: async (shop) => ({
    path: { id: (await shop.call("POST", "/portal/v1/api-keys", { body: { name: "Webshop" } })).id },
  }),
  signIn: async (shop) => ({ body: { api_key: shop.key } }),
  createWebhook: async (shop) => ({ body: { url: shop.callbackAddress } }),
  getWebhook: webhook,
  updateWebhook: async (shop) => ({ ...(await webhook(shop)), body: { url: shop.callbackAddress } }),
  deleteWebhook: async (shop) => ({ path: { id: await shop.newWebhook() } }),
  rotateWebhookSecret: webhook,
  sendWebhookTestEvent: async (shop) => ({ path: { id: await shop.once("tested", () => shop.newWebhook()) } }),
  listWebhookDeliveries: webhook,
  resendWebhookDelivery: async (shop) => ({ path: { delivery_id: await shop.delivery() } }),
};

/**
 * Those that need a merchant of another kind: with several locations (without, others may leave the location out), with
 * money that waits to be captured, or the playground's own, whose methods show codes to scan.
 */
export const kinds = {
  createLocation: "several", updateLocation: "several", deleteLocation: "several",
  createCapture: "manual", cancelOrder: "manual", updatePaymentMethod: "manual", deletePaymentMethod: "manual",
  simulateScan: "demo", simulateOwnScan: "demo", getPaymentAsBuyer: "demo", openPaymentAsBuyer: "demo",
  approvePaymentAsBuyer: "demo", refusePaymentAsBuyer: "demo", getCodePNG: "demo", getCodeSVG: "demo",
  notifyOfMethod: "demo", notifyOfPayment: "demo",
};

/** Those that change the world of all others, and so run last: by name, in this order. */
export const disturbing = ["planCardFault", "moveClock"];
