// Keeps the page that shows tickets, its script and its style, so that a phone without a signal can open it. What it
// shows without a signal is kept by the page itself. Nothing else passes through here.
'use strict';

const KEPT = 'hvflvspot-tickets-3';
const SHELL = '/web/tickets/kept';
const PARTS = ['/web/common.js', '/web/tickets.js', '/web/page.css', '/web/icon.svg'];
const PATIENCE_MS = 4_000;

self.addEventListener('install', (event) => {
  self.skipWaiting();
  event.waitUntil(caches.open(KEPT).then((cache) => cache.addAll([SHELL, ...PARTS])));
});

self.addEventListener('activate', (event) => {
  const old = async () => {
    for (const name of await caches.keys()) if (name.startsWith('hvflvspot-tickets-') && name !== KEPT) await caches.delete(name);
    await self.clients.claim();
  };
  event.waitUntil(old());
});

self.addEventListener('fetch', (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  const page = request.mode === 'navigate' && /^\/web\/(bookings|tickets)\/[^/]+$/.test(pathname);
  if (request.method !== 'GET' || origin !== location.origin || !(page || PARTS.includes(pathname))) return;
  event.respondWith(answer(request, page ? SHELL : pathname));
});

/** The server's, if it comes in time; else the kept one. */
async function answer(request, name) {
  const cache = await caches.open(KEPT);
  const asked = fetch(request).then((response) => {
    if (response.ok) cache.put(name, response.clone());
    return response;
  });
  const late = new Promise((resolve) => { setTimeout(resolve, PATIENCE_MS); });
  const first = await Promise.race([asked.catch(() => undefined), late]);
  return first ?? (await cache.match(name)) ?? asked;
}
