// What the page remembers. A browser may refuse: then it lasts as long as the page.

function remembering(storageOf) {
  const forgotten = new Map();
  return {
    get(name) {
      try {
        return storageOf().getItem(name) ?? undefined;
      } catch {
        return forgotten.get(name);
      }
    },
    set(name, value) {
      try {
        if (value === undefined || value === "") storageOf().removeItem(name);
        else storageOf().setItem(name, value);
      } catch {
        forgotten.set(name, value);
      }
    },
  };
}

/** Until the tab is closed: credentials, unless the reader asks for more. */
export const inTab = remembering(() => sessionStorage);
/** For later visits: choices. */
export const inBrowser = remembering(() => localStorage);
