// The playground's test payments: a session made by a click, and a card that taps.

import { digitsOf } from "/shared/format.js";
import { get, onceKey, post, withQuery } from "/portal/api.js";
import { choiceField, formDialog, go, tell, textField } from "/portal/parts.js";
import { say } from "/portal/texts.js";

export const tapOutcomes = [
  "SUCCESS", "DECLINED_GENERIC", "INSUFFICIENT_FUNDS", "LOST_CARD", "STOLEN_CARD", "EXPIRED_CARD", "INCORRECT_CVC", "PROCESSING_ERROR", "INCORRECT_NUMBER",
  "CARD_VELOCITY_EXCEEDED",
];

/** The whole minor units of what somebody typed, or NaN. */
export function minorUnits(text, currency) {
  const match = /^(\d{1,10})(?:[.,](\d+))?$/.exec(text.replaceAll(/[\s\u00a0\u202f']/g, ""));
  const digits = digitsOf(currency);
  if (!match || (match[2] ?? "").length > digits) return NaN;
  return Number(match[1]) * 10 ** digits + Number((match[2] ?? "").padEnd(digits, "0") || 0);
}

/** One line at 25 % tax, which is what the amount says. */
export const sessionBody = (device_id, order_amount, purchase_currency, merchant_reference1) => ({
  device_id, order_amount, purchase_currency, merchant_reference1: merchant_reference1 || undefined,
  order_items: [{
    type: "physical", name: say("testing.item"), quantity: 1, unit_price: order_amount, total_amount: order_amount, tax_rate: 2500,
    total_tax_amount: Math.round((order_amount * 2500) / 12_500),
  }],
});

const NEW = "new";

/** Asks for device and amount, and makes the session. `chosen` is the device to begin with. */
export async function testSession(chosen) {
  const { content } = await get(withQuery("/ipp/v1/devices", { page_size: 100 }));
  const devices = chosen && !content.some(({ id }) => id === chosen.id) ? [chosen, ...content] : content;
  const pageKey = onceKey();
  formDialog({
    title: say("testing.create"), lead: say("testing.lead"), label: say("testing.send"), names: ["device_id", "order_amount", "purchase_currency", "merchant_reference1"],
    values: { device_id: chosen?.id ?? devices[0]?.id ?? NEW, order_amount: "100", purchase_currency: "SEK", merchant_reference1: "" },
    fields: (form) => [
      choiceField(form, "device_id", {
        label: say("testing.device"), hint: form.values.device_id === NEW ? say("testing.newHint") : undefined,
        choices: [...devices.map((device) => [device.id, `${device.name || device.hardware_id} – ${say(`status.${device.status}`)}`]), [NEW, say("testing.new")]],
      }),
      textField(form, "order_amount", { label: say("amount"), inputmode: "decimal" }),
      choiceField(form, "purchase_currency", { label: say("testing.currency"), choices: ["SEK", "NOK", "DKK", "EUR"].map((each) => [each, each]) }),
      textField(form, "merchant_reference1", { label: say("reference"), hint: say("testing.referenceHint"), maxlength: 255 }),
    ],
    submit: async (values, once) => {
      let device = values.device_id;
      if (device === NEW) device = (await simulatedDevice(pageKey)).id;
      const amount = minorUnits(values.order_amount, values.purchase_currency);
      const { session_id } = await post("/ipp/v1/sessions", sessionBody(device, Number.isNaN(amount) ? 0 : amount, values.purchase_currency, values.merchant_reference1), { once });
      go(`/sessions/${session_id}`);
    },
  });
}

/** A phone that nobody holds: it stands at the first location. */
export async function simulatedDevice(once) {
  const { content } = await get(withQuery("/ipp/v1/locations", { page_size: 1000 }));
  return post("/ipp/v1/dev/devices", { name: say("testing.name"), location_id: content.at(-1)?.id }, { once });
}

export async function tapCard(sessionID, outcome) {
  const session = await post(withQuery(`/ipp/v1/dev/sessions/${sessionID}/simulate-tap`, { outcome }));
  tell(session.status === "FINALIZED" ? say("testing.paid") : say("testing.declined"), session.status === "FINALIZED" ? "good" : "warning");
  return session;
}
