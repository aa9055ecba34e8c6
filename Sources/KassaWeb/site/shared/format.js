// Money, times and shares as a person of the chosen language writes them.

import { language } from "./language.js";

/** Digits of the minor unit where they are not two (ISO 4217), as the server has them. Browsers' own tables differ. */
const minorDigits = new Map(
  [
    [0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"],
    [3, "BHD IQD JOD KWD LYD OMR TND"],
  ].flatMap(([digits, codes]) => codes.split(" ").map((code) => [code, digits])),
);
export const digitsOf = (currency) => minorDigits.get(currency) ?? 2;

/** English as it is written in Europe: the day before the month, 24 hours. */
const locale = () => (language() === "sv" ? "sv-SE" : "en-GB");

const formats = new Map();
function cached(kind, options, make) {
  const key = `${kind} ${locale()} ${JSON.stringify(options)}`;
  if (!formats.has(key)) formats.set(key, make(locale(), options));
  return formats.get(key);
}
const numbers = (options) => cached("number", options, (...given) => new Intl.NumberFormat(...given));
const dates = (options) => cached("date", options, (...given) => new Intl.DateTimeFormat(...given));

function moneyFormat(currency) {
  const digits = digitsOf(currency);
  return numbers({
    style: "currency", currency, currencyDisplay: language() === "sv" ? "symbol" : "code",
    minimumFractionDigits: digits, maximumFractionDigits: digits,
  });
}

/** An amount of minor units, like `SEK 1,250.00` or `1 250,00 kr`. */
export const money = (amount, currency) => moneyFormat(currency).format(amount / 10 ** digitsOf(currency));

/** The same in parts of `{ type, value }`, for setting the currency smaller than the number. */
export const moneyParts = (amount, currency) => moneyFormat(currency).formatToParts(amount / 10 ** digitsOf(currency));

export const number = (value) => numbers({}).format(value);

/** A share in basis points, like `25 %`. */
export const basisPoints = (points) => numbers({ style: "percent", maximumFractionDigits: 2 }).format(points / 10_000);

export const time = (value) => dates({ hour: "2-digit", minute: "2-digit" }).format(new Date(value));
export const timeWithSeconds = (value) => dates({ hour: "2-digit", minute: "2-digit", second: "2-digit" }).format(new Date(value));
export const date = (value) => dates({ dateStyle: "medium" }).format(new Date(value));
export const dateAndTime = (value) => dates({ dateStyle: "medium", timeStyle: "short" }).format(new Date(value));

/** Whole seconds as `2:05`. */
export const countdown = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

/** How long ago, or ahead, like `3 minutes ago`. */
export function relative(value, now = Date.now()) {
  const seconds = Math.round((new Date(value) - now) / 1000);
  const relativeTimes = cached("relative", { numeric: "auto" }, (...given) => new Intl.RelativeTimeFormat(...given));
  for (const [unit, size] of [["day", 86_400], ["hour", 3600], ["minute", 60]]) {
    if (Math.abs(seconds) >= size) return relativeTimes.format(Math.trunc(seconds / size), unit);
  }
  return relativeTimes.format(seconds, "second");
}
