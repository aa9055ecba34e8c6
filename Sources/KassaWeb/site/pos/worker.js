// Keeps the POS app's own files on the phone, so that it opens without a network and says so. Never data: every call of
// the API goes to the server, and its answers are kept nowhere.

/** Of all files together: another version has another name, so that no two versions ever mix. */
const SHELL = "kassa-pos SHELL_VERSION";
const PAGE = "/pos";
const FILES = [
  PAGE, "/pos/app.css", "/pos/app.js", "/pos/code.js", "/pos/device.js", "/pos/icon-192.png", "/pos/icon.svg", "/pos/manifest.webmanifest",
  "/pos/pairing.js", "/pos/screens.js", "/pos/senses.js", "/pos/texts.js", "/pos/till.js",
  "/shared/base.css", "/shared/calls.js", "/shared/events.js", "/shared/format.js", "/shared/language.js", "/shared/qr.js", "/shared/view.js",
];

addEventListener("install", (event) => {
  event.waitUntil((async () => {
    const shell = await caches.open(SHELL);
    await shell.addAll(FILES.map((file) => new Request(file, { cache: "no-cache" })));
    await self.skipWaiting();
  })());
});

addEventListener("activate", (event) => {
  event.waitUntil((async () => {
    for (const name of await caches.keys()) if (name.startsWith("kassa-pos ") && name !== SHELL) await caches.delete(name);
    await self.clients.claim();
  })());
});

addEventListener("fetch", (event) => {
  const { request } = event;
  const address = new URL(request.url);
  if (request.method !== "GET" || address.origin !== location.origin) return;
  const isPage = request.mode === "navigate" && [PAGE, "/pos/pair"].includes(address.pathname);
  const file = isPage ? PAGE : address.pathname;
  if (!isPage && !FILES.includes(file)) return;
  event.respondWith((async () => {
    const shell = await caches.open(SHELL);
    return (await shell.match(file)) ?? fetch(request);
  })());
});
