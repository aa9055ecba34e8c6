// The code that a clerk types: read as the server reads it, so that a slip is caught here and costs no attempt.

const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const UNFINISHED_UUID = /^[0-9a-f]{8}-[0-9a-f-]{0,27}$/i;
/** Symbols of the shortest code and of the longest, with the check symbol. */
export const symbolsMin = 9;
export const symbolsMax = 25;

/** `sum` times the generator, in the field of 32 elements with x^5 + x^2 + 1. */
const timesGenerator = (sum) => (sum << 1) ^ (sum & 16 ? 0b100101 : 0);

/**
 * Reads what was typed or pasted. Answers `{ state, text }`: `complete` with the code as it is sent; `unfinished`,
 * when more may follow; `wrong`, when the check symbol tells of a slip or a character is none of a code.
 */
export function readCode(typed) {
  const trimmed = typed.trim();
  if (UUID.test(trimmed)) return { state: "complete", text: trimmed.toLowerCase() };
  if (UNFINISHED_UUID.test(trimmed) && trimmed.length > 9) return { state: "unfinished", text: trimmed.toLowerCase() };
  let sum = 0;
  let text = "";
  for (const character of trimmed.replace(/[ -]/g, "")) {
    const symbol = foldSymbol(character);
    if (symbol === null) return { state: "wrong", text: trimmed };
    sum = timesGenerator(sum) ^ ALPHABET.indexOf(symbol);
    text += symbol;
  }
  if (text.length < symbolsMin) return { state: "unfinished", text };
  if (text.length > symbolsMax || sum !== 0) return { state: "wrong", text };
  return { state: "complete", text };
}

/** One character as a symbol of the alphabet, or null. */
function foldSymbol(character) {
  // Not `toUpperCase` alone: it makes letters of the alphabet out of some that are none.
  if (!/^[0-9A-Za-z]$/.test(character)) return null;
  const upper = character.toUpperCase();
  const folded = upper === "O" ? "0" : upper === "I" || upper === "L" ? "1" : upper;
  return ALPHABET.includes(folded) ? folded : null;
}

/** The code as it is shown while it is typed: groups of three, which a person keeps in mind. */
export function grouped(text) {
  return UNFINISHED_UUID.test(text) ? text : text.replace(/(.{3})(?=.)/g, "$1 ");
}
