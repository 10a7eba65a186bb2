// What the pages share: the reader's language, calls that end, and what a page is made of. A page brings `TEXTS`, words in
// the languages' order, and `render`, which writes itself anew.
'use strict';

const LANGUAGES = ['en', 'de', 'es', 'fr'];
const COMMON = {
  language: ['Language', 'Sprache', 'Idioma', 'Langue'],
  retry: ['Try again', 'Noch einmal versuchen', 'Intentar de nuevo', 'Réessayer'],
  too_many: [
    'Too many tries. Please wait a minute.', 'Zu viele Versuche. Bitte warten Sie eine Minute.',
    'Demasiados intentos. Espere un minuto.', 'Trop d’essais. Veuillez attendre une minute.'],
  when: ['Begins', 'Beginn', 'Empieza', 'Début'],
  doors: ['Doors', 'Einlass', 'Apertura', 'Portes'],
  until: ['Ends', 'Ende', 'Termina', 'Fin'],
  where: ['Place', 'Ort', 'Lugar', 'Lieu'],
  by: ['Organizer', 'Veranstalter', 'Organiza', 'Organisateur'],
  event_canceled: [
    'This event was canceled and does not take place.', 'Diese Veranstaltung wurde abgesagt und findet nicht statt.',
    'Este evento se canceló y no tendrá lugar.', 'Cet événement est annulé et n’aura pas lieu.'],
};
const PATIENCE_MS = 15_000;

const at = (id) => document.getElementById(id);

/** What the browser may refuse: reading and writing its store. */
const store = {
  get(key) { try { return localStorage.getItem(key); } catch { return null; } },
  set(key, value) { try { localStorage.setItem(key, value); return true; } catch { return false; } },
  remove(key) { try { localStorage.removeItem(key); } catch { /* there was nothing to remove */ } },
};

let language = [store.get('hvflvspot.language'), ...(navigator.languages ?? [navigator.language])].map((l) => l?.slice(0, 2).toLowerCase()).find((l) => LANGUAGES.includes(l)) ?? 'en';

function say(key, ...values) {
  const text = (TEXTS[key] ?? COMMON[key])?.[LANGUAGES.indexOf(language)];
  // The test in a browser listens for this.
  if (text === undefined) console.error(`no words for ${key}`);
  return (text ?? key).replace(/\{(\d)\}/g, (_, n) => values[n]);
}

/** The words that stand in the page itself: of `ids`, each by the key of the same name, and of what all pages have. */
function words(...ids) {
  document.documentElement.lang = language;
  at('language').value = language;
  document.querySelector('label[for=language]').textContent = say('language');
  for (const id of ['retry', ...ids]) at(id).textContent = say(id);
}

/** The reader's own kind of the page's language, as British English, for dates and numbers. */
const locale = () => (navigator.languages ?? []).find((l) => l.toLowerCase().startsWith(language)) ?? language;

function moment(text, zone) {
  const form = (how) => {
    try { return new Intl.DateTimeFormat(locale(), { ...how, timeZone: zone }); } catch { return new Intl.DateTimeFormat(locale(), how); }
  };
  const date = form({ weekday: 'short', day: 'numeric', month: 'long', year: 'numeric' });
  return [date, form({ timeStyle: 'short' })].map((f) => f.format(new Date(text))).join(', ');
}

function money({ amount_minor, currency }) {
  const form = new Intl.NumberFormat(locale(), { style: 'currency', currency });
  return form.format(amount_minor / 10 ** form.resolvedOptions().maximumFractionDigits);
}

/** One call; `status` 0 if no answer came in time. */
async function call(method, path, { body, as = 'json', headers = {}, credentials = 'same-origin' } = {}) {
  const stop = new AbortController();
  const patience = setTimeout(() => stop.abort(), PATIENCE_MS);
  try {
    const sent = body === undefined ? headers : { ...headers, 'Content-Type': 'application/json' };
    const answer = await fetch(path, {
      method, headers: sent, signal: stop.signal, cache: 'no-store', credentials,
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    // A network that wants a sign-in of its own answers in our place, with pages: no answer is that.
    const told = answer.status === 204 ? {} : await (as === 'json' || !answer.ok ? answer.json() : answer[as]());
    const code = told.error_code ?? told.code;
    return { ok: answer.ok, status: answer.status, told, code, wait: Number(answer.headers.get('Retry-After')) };
  } catch {
    return { ok: false, status: 0, told: {} };
  } finally {
    clearTimeout(patience);
  }
}

/** A new key, so that a purchase or payment that is sent again is not made again. */
function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, '0')).join('');
}

function make(tag, text, cls) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (cls) made.className = cls;
  return made;
}

function button(text, act, second = true) {
  const made = make('button', text, second ? 'second' : undefined);
  made.type = 'button';
  made.addEventListener('click', during(act));
  return made;
}

/** A field with its label. */
function field(id, label, type, more = {}) {
  const made = make('input');
  Object.assign(made, { id, type, ...more });
  const of = make('label', label);
  of.htmlFor = id;
  return [of, made];
}

/** Hands a file to the browser. */
function deliver(blob, name) {
  const link = make('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function fact(name, value) {
  if (!value) return [];
  return [make('dt', say(name)), make('dd', value)];
}

/** When and where an event is. */
function facts(event) {
  if (!event) return [];
  const zone = event.time_zone;
  return [
    ...fact('when', moment(event.starts_at, zone)),
    ...fact('doors', event.admission_at && moment(event.admission_at, zone)),
    ...fact('until', event.ends_at && moment(event.ends_at, zone)),
    ...fact('where', [event.venue_name, event.venue_address, event.city].filter(Boolean).join(', ')),
    ...fact('by', event.organizer?.name ?? event.organizer),
  ];
}

let busy = false;
/** One thing at a time. */
function during(work) {
  return async (event) => {
    event?.preventDefault?.();
    if (busy) return;
    busy = true;
    at('wrong').textContent = '';
    document.body.setAttribute('aria-busy', 'true');
    try { await work(); } finally { busy = false; document.body.removeAttribute('aria-busy'); }
  };
}

at('language').addEventListener('change', () => {
  language = at('language').value;
  store.set('hvflvspot.language', language);
  render();
});
