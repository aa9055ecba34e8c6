// What is said, in English and Swedish.

const KEY = "kassa-language";
export const languages = { en: "English", sv: "Svenska" };

function preferred() {
  try {
    const chosen = localStorage.getItem(KEY);
    if (chosen in languages) return chosen;
  } catch {
    // Storage may be switched off: the browser's own language counts.
  }
  for (const language of navigator.languages ?? []) {
    const known = language.slice(0, 2).toLowerCase();
    if (known in languages) return known;
  }
  return "en";
}

let current = preferred();
const listeners = new Set();
document.documentElement.lang = current;

export const language = () => current;

/** Chooses a language, for this and later visits, and tells those who asked by `onLanguage`. */
export function chooseLanguage(chosen) {
  if (!(chosen in languages)) return;
  current = chosen;
  document.documentElement.lang = chosen;
  try {
    localStorage.setItem(KEY, chosen);
  } catch {
    // It lasts as long as the page, then.
  }
  for (const listener of listeners) listener(chosen);
}

export const onLanguage = (listener) => listeners.add(listener);

/**
 * Makes a speaker of texts of the form `{ en: { key: text }, sv: { … } }`. A text may be a function of its values;
 * otherwise `{name}` in it stands for the value of that name. A key without text is shown as it is.
 */
export function speaker(texts) {
  const say = (key, values = {}) => {
    const text = texts[current]?.[key] ?? texts.en[key];
    if (text === undefined) return key;
    if (typeof text === "function") return text(values);
    return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
  };
  /** Whether there is a text of this key. */
  say.knows = (key) => texts.en[key] !== undefined;
  return say;
}
