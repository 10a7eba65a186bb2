// What organizers look at during an event: who is in, what sells, what is wrong. The server tells the figures as they
// change; where something between refuses the stream they are asked for every few seconds. The last figures stay in
// sight, with their age, while there is no answer.
'use strict';

const TEXTS = {
  all: ['All events', 'Alle Veranstaltungen', 'Todos los eventos', 'Tous les événements'],
  leave: ['Sign out', 'Abmelden', 'Cerrar sesión', 'Se déconnecter'],
  events: ['Your events', 'Ihre Veranstaltungen', 'Sus eventos', 'Vos événements'],
  'email-label': ['E-mail address', 'E-Mail-Adresse', 'Correo electrónico', 'Adresse e-mail'],
  'password-label': ['Password', 'Passwort', 'Contraseña', 'Mot de passe'],
  enter: ['Sign in', 'Anmelden', 'Iniciar sesión', 'Se connecter'],
  'code-label': ['Code of your second factor', 'Code Ihres zweiten Faktors', 'Código de su segundo factor', 'Code de votre second facteur'],
  confirm: ['Confirm', 'Bestätigen', 'Confirmar', 'Confirmer'],
  'organizer-label': ['Organizer', 'Veranstalter', 'Organizador', 'Organisateur'],
  further: ['Show more', 'Mehr zeigen', 'Mostrar más', 'Afficher plus'],
  refused: ['Address or password are not right.', 'Adresse oder Passwort stimmen nicht.', 'El correo o la contraseña no son correctos.', 'L’adresse ou le mot de passe est incorrect.'],
  wrong_code: ['This code is not right, or was used.', 'Dieser Code stimmt nicht oder wurde schon benutzt.', 'Este código no es correcto o ya se usó.', 'Ce code est incorrect ou a déjà servi.'],
  no_events: ['There are no events yet.', 'Es gibt noch keine Veranstaltungen.', 'Aún no hay eventos.', 'Il n’y a pas encore d’événements.'],
  no_member: ['This account belongs to no organizer.', 'Dieses Konto gehört zu keinem Veranstalter.', 'Esta cuenta no pertenece a ningún organizador.', 'Ce compte n’appartient à aucun organisateur.'],
  not_yours: ['There is no such event, or you may not see it.', 'Diese Veranstaltung gibt es nicht, oder Sie dürfen sie nicht sehen.', 'Este evento no existe o no puede verlo.', 'Cet événement n’existe pas ou vous ne pouvez pas le voir.'],
  no_network: ['The server does not answer.', 'Der Server antwortet nicht.', 'El servidor no responde.', 'Le serveur ne répond pas.'],
  old: ['No answer since {0}. These are the last figures.', 'Keine Antwort seit {0}. Das sind die letzten Zahlen.', 'Sin respuesta desde las {0}. Estas son las últimas cifras.', 'Pas de réponse depuis {0}. Voici les derniers chiffres.'],
  failed: ['That did not work. Please try again in a moment.', 'Das hat nicht geklappt. Bitte versuchen Sie es gleich noch einmal.', 'No funcionó. Inténtelo de nuevo en un momento.', 'Cela n’a pas marché. Veuillez réessayer dans un instant.'],
  loading: ['Loading …', 'Wird geladen …', 'Cargando …', 'Chargement …'],
  as_of: ['As of {0}', 'Stand {0}', 'A las {0}', 'À {0}'],
  draft: ['draft', 'Entwurf', 'borrador', 'brouillon'],
  published: ['on sale', 'im Verkauf', 'a la venta', 'en vente'],
  canceled: ['canceled', 'abgesagt', 'cancelado', 'annulé'],
  on_site: ['On site', 'Vor Ort', 'En el recinto', 'Sur place'],
  admitted: ['Admitted', 'Eingelassen', 'Admitidas', 'Entrés'],
  expected: ['of {0}', 'von {0}', 'de {0}', 'sur {0}'],
  no_shows: ['Did not come', 'Nicht gekommen', 'No vinieron', 'Absents'],
  sold: ['Sold', 'Verkauft', 'Vendidas', 'Vendus'],
  held: ['Held', 'Reserviert', 'Reservadas', 'Réservés'],
  refunded: ['Refunded', 'Erstattet', 'Reembolsadas', 'Remboursés'],
  revenue: ['Revenue', 'Umsatz', 'Ingresos', 'Recettes'],
  after_refunds: ['{0} less {1} refunded', '{0} abzüglich {1} erstattet', '{0} menos {1} reembolsado', '{0} moins {1} remboursés'],
  gates: ['Gates', 'Eingänge', 'Puertas', 'Entrées'],
  gate: ['Gate', 'Eingang', 'Puerta', 'Entrée'],
  no_gate: ['without a gate', 'ohne Eingang', 'sin puerta', 'sans entrée'],
  live: ['Live', 'Live', 'En directo', 'En direct'],
  latest: ['Latest at the door', 'Zuletzt am Einlass', 'Lo último en la puerta', 'Derniers passages'],
  at: ['Time', 'Zeit', 'Hora', 'Heure'],
  what: ['What', 'Was', 'Qué', 'Quoi'],
  in: ['In', 'Hinein', 'Entran', 'Entrés'],
  out: ['Out', 'Hinaus', 'Salen', 'Sortis'],
  turned_away: ['Refused', 'Abgewiesen', 'Rechazadas', 'Refusés'],
  lists: ['Check-in lists', 'Einlasslisten', 'Listas de acceso', 'Listes d’accès'],
  list: ['List', 'Liste', 'Lista', 'Liste'],
  types: ['Ticket types', 'Ticketarten', 'Tipos de entrada', 'Types de billet'],
  type: ['Type', 'Art', 'Tipo', 'Type'],
  reasons: ['Why codes were refused', 'Warum Codes abgewiesen wurden', 'Por qué se rechazaron códigos', 'Pourquoi des codes ont été refusés'],
  reason: ['Reason', 'Grund', 'Motivo', 'Raison'],
  times: ['Times', 'Anzahl', 'Veces', 'Fois'],
  incidents: ['To be looked at: {0}', 'Bitte ansehen: {0}', 'Por revisar: {0}', 'À vérifier : {0}'],
  no_incidents: ['Nothing is wrong.', 'Es ist nichts aufgefallen.', 'No hay nada que revisar.', 'Rien à signaler.'],
  double_admission: ['One ticket was let in twice', 'Ein Ticket wurde zweimal eingelassen', 'Una entrada pasó dos veces', 'Un billet est entré deux fois'],
  forked_log: ['A device tells two different histories', 'Ein Gerät erzählt zwei verschiedene Verläufe', 'Un dispositivo cuenta dos historias distintas', 'Un appareil raconte deux histoires différentes'],
  clock_jump: ['A device’s clock is wrong', 'Die Uhr eines Geräts geht falsch', 'El reloj de un dispositivo va mal', 'L’horloge d’un appareil est fausse'],
  replaced_log: ['A device began a new record', 'Ein Gerät hat eine neue Aufzeichnung begonnen', 'Un dispositivo empezó un registro nuevo', 'Un appareil a commencé un nouvel enregistrement'],
  faulty_entry: ['A device recorded what contradicts itself', 'Ein Gerät hat Widersprüchliches aufgezeichnet', 'Un dispositivo registró algo contradictorio', 'Un appareil a enregistré une contradiction'],
  quarantined: ['Scans that wait for a decision, from revoked devices: {0}', 'Scans gesperrter Geräte, über die zu entscheiden ist: {0}', 'Lecturas de dispositivos revocados por decidir: {0}', 'Lectures d’appareils révoqués à décider : {0}'],
  malformed: ['no ticket code', 'kein Ticketcode', 'no es una entrada', 'pas un code de billet'],
  unknown_key: ['unknown key', 'unbekannter Schlüssel', 'clave desconocida', 'clé inconnue'],
  bad_signature: ['forged', 'gefälscht', 'falsificada', 'falsifié'],
  wrong_event: ['another event', 'andere Veranstaltung', 'otro evento', 'autre événement'],
  unknown_ticket: ['not on record', 'nicht verzeichnet', 'no consta', 'inconnu'],
  revoked: ['refunded or withdrawn', 'erstattet oder zurückgezogen', 'reembolsada o retirada', 'remboursé ou retiré'],
  superseded: ['replaced by a newer code', 'durch einen neueren Code ersetzt', 'sustituida por otro código', 'remplacé par un code plus récent'],
  blocked: ['blocked', 'gesperrt', 'bloqueada', 'bloqué'],
  not_yet_valid: ['too early', 'zu früh', 'demasiado pronto', 'trop tôt'],
  expired: ['too late', 'zu spät', 'demasiado tarde', 'trop tard'],
  product: ['wrong ticket type', 'falsche Ticketart', 'tipo de entrada equivocado', 'mauvais type de billet'],
  rules: ['not by the rules', 'nicht nach den Regeln', 'no según las reglas', 'contraire aux règles'],
  already_admitted: ['already inside', 'schon eingelassen', 'ya admitida', 'déjà entré'],
  stale_manifest: ['the gate’s list was too old', 'Liste des Eingangs zu alt', 'lista de la puerta demasiado antigua', 'liste de l’entrée trop ancienne'],
  dates: ['Further dates of this event', 'Weitere Termine dieser Veranstaltung', 'Más fechas de este evento', 'Autres dates de cet événement'],
  'files-title': ['To save or print', 'Zum Speichern oder Drucken', 'Para guardar o imprimir', 'À enregistrer ou imprimer'],
  'door-list.html': ['Door list', 'Türliste', 'Lista de puerta', 'Liste d’entrée'],
  'exports/bookings.csv': ['Bookings (CSV)', 'Buchungen (CSV)', 'Reservas (CSV)', 'Réservations (CSV)'],
  'exports/tickets.csv': ['Tickets (CSV)', 'Tickets (CSV)', 'Entradas (CSV)', 'Billets (CSV)'],
  'exports/scans.csv': ['Scans (CSV)', 'Scans (CSV)', 'Lecturas (CSV)', 'Lectures (CSV)'],
  'exports/transactions.csv': ['Payments (CSV)', 'Zahlungen (CSV)', 'Pagos (CSV)', 'Paiements (CSV)'],
  'ledger.csv': ['Ledger (CSV)', 'Hauptbuch (CSV)', 'Libro mayor (CSV)', 'Grand livre (CSV)'],
};
const FILES = ['door-list.html', 'exports/bookings.csv', 'exports/tickets.csv', 'exports/scans.csv', 'exports/transactions.csv', 'ledger.csv'];

const eventId = /^\/web\/organizer\/events\/([^/]+)$/.exec(location.pathname)?.[1] ?? null;
const ASK_MS = 4_000;
const WORST_MS = 60_000;
/** A stream that has told no figures by then does not reach us. */
const FIRST_MS = 6_000;
/** The server says something every 15 seconds: a stream that is silent for so long is dead. */
const QUIET_MS = 40_000;
/** What the server would have us wait before we come back to it. */
const RETRY_MS = 2_000;
/** How long figures are asked for before the stream is tried again. */
const REFUSED_MS = 60_000;
/** Scans that stay in sight. */
const LATEST = 6;
const PASSAGES = ['entry', 'override', 'exit', 'refuse'];

let state = { step: 'loading' };
let organizers = [];
let events = { items: [], next: null };
let event = null;
let stats = null;
let heard = null;
let silent = 0;
let timer = null;
/** What ends the stream; none: figures are asked for. */
let stream = null;
/** Of the last message of the stream that arrived. */
let lastId = null;
let latest = [];
let refusedUntil = 0;

const organizer = () => (organizers.length > 1 ? store.get('hvflvspot.organizer') ?? organizers[0].organizer_id : organizers[0]?.organizer_id);
const named = () => (organizer() ? { 'Organizer-Id': organizer() } : {});
const clock = (at) => new Intl.DateTimeFormat(locale(), { timeStyle: 'medium' }).format(at);
const number = (n) => new Intl.NumberFormat(locale()).format(n);
const word = (key) => (TEXTS[key] ? say(key) : key);

function table(title, heads, rows) {
  if (!rows.length) return [];
  const made = make('table');
  const head = make('tr');
  const kind = (n) => ({ number: 'number', object: 'time' })[typeof rows[0][n]];
  heads.forEach((key, n) => { const cell = make('th', say(key), kind(n)); cell.scope = 'col'; head.append(cell); });
  const body = make('tbody');
  for (const row of rows) {
    const line = make('tr');
    row.forEach((value, n) => {
      const cell = make(n ? 'td' : 'th', typeof value === 'number' ? number(value) : value instanceof Date ? clock(value) : value, kind(n));
      if (!n) cell.scope = 'row';
      line.append(cell);
    });
    body.append(line);
  }
  const thead = make('thead');
  thead.append(head);
  made.append(make('caption', say(title)), thead, body);
  return [made];
}

function figure(key, value, beside) {
  const made = make('div');
  made.append(make('dt', say(key)), make('dd', value));
  if (beside) made.append(make('dd', beside, 'quiet'));
  return made;
}

function drawEvents() {
  at('list').replaceChildren(...events.items.map((e) => {
    const made = make('li');
    const link = make('a', e.title);
    link.href = `/web/organizer/events/${e.event_id}`;
    made.append(link, make('span', moment(e.starts_at, e.time_zone)), make('span', [word(e.status), e.venue_name, e.city].filter(Boolean).join(' · '), 'quiet'));
    return made;
  }));
  at('further').hidden = !events.next;
}

function drawLive() {
  const { tickets, revenue, incidents, fold } = stats;
  drawAge();
  at('figures').replaceChildren(
    figure('on_site', number(stats.on_site)),
    // Expected are those who have not come yet.
    figure('admitted', number(stats.admitted), say('expected', number(stats.admitted + stats.expected))),
    ...(stats.no_shows === null ? [] : [figure('no_shows', number(stats.no_shows))]),
    figure('sold', number(tickets.sold), say('expected', number(tickets.capacity))),
    figure('revenue', money(revenue.net), revenue.refunds.amount_minor ? say('after_refunds', money(revenue.gross), money(revenue.refunds)) : undefined),
  );
  const open = incidents.items.filter((i) => i.state === 'open');
  const parts = [make('h2', open.length ? say('incidents', number(incidents.open)) : say('no_incidents'))];
  if (open.length) {
    const list = make('ul', undefined, 'rows');
    for (const i of open) {
      const made = make('li');
      const where = i.entries.map((e) => [e.device_label, e.scanned_at && clock(new Date(e.scanned_at))].filter(Boolean).join(', '));
      made.append(make('strong', word(i.kind)), make('span', where.join(' · '), 'quiet'));
      list.append(made);
    }
    parts.push(list);
  }
  if (fold.quarantined) parts.push(make('p', say('quarantined', number(fold.quarantined)), 'state'));
  at('incidents').replaceChildren(...parts);
  const by = (counts) => Object.entries(counts).sort(([, a], [, b]) => b - a).map(([key, n]) => [word(key), n]);
  at('tables').replaceChildren(
    ...table('latest', ['at', 'what', 'gate'], latest.map((scan) => [new Date(scan.scanned_at ?? scan.received_at), passed(scan), gateOf(scan)])),
    ...table('gates', ['gate', 'in', 'out', 'turned_away'], stats.gates.map((g) => [g.name ?? say('no_gate'), g.admissions, g.exits, g.refusals])),
    ...table('lists', ['list', 'admitted', 'on_site'], stats.lists.map((l) => [l.name, l.admitted, l.on_site])),
    ...table('types', ['type', 'sold', 'held', 'refunded'], tickets.by_type.map((t) => [t.name, t.sold, t.held, t.refunded])),
    ...table('reasons', ['reason', 'times'], by(stats.refusals)),
  );
  drawFiles();
}

/** Once in each language: somebody may be about to press one while figures change. */
function drawFiles() {
  if (at('files').lang === language) return;
  at('files').lang = language;
  at('files').replaceChildren(...FILES.map((path) => button(say(path), () => save(path))));
}

/** In the reader's words, when the figures were true: they are as the server last said, or did not say otherwise. */
function drawAge() {
  if (!stats || at('live').hidden) return;
  const seconds = Math.max(0, Math.round((Date.now() - heard) / 1_000));
  const ago = new Intl.RelativeTimeFormat(language, { numeric: 'auto' }).format(-seconds, 'second');
  at('age').textContent = [...(stream && !silent ? [say('live')] : []), say('as_of', clock(heard)), ago].join(' · ');
}

function passed({ kind, outcome, direction }) {
  if (kind === 'refuse') return `${say('turned_away')}: ${word(outcome)}`;
  return say(direction === 'out' || kind === 'exit' ? 'out' : 'in');
}

const gateOf = ({ gate_id }) => stats.gates.find((g) => g.gate_id === gate_id)?.name ?? say('no_gate');

function render() {
  words('all', 'leave', 'email-label', 'password-label', 'enter', 'code-label', 'confirm', 'organizer-label', 'further', 'dates', 'files-title');
  at('dates').href = `/web/organizer/events/${eventId}/dates`;
  const { step, notice } = state;
  const title = event?.title ?? say(step === 'events' ? 'events' : 'enter');
  at('title').textContent = step === 'loading' || step === 'trouble' ? 'HVFLVSPOT' : title;
  document.title = at('title').textContent;
  at('sign-in').hidden = step !== 'sign-in';
  at('second').hidden = step !== 'second';
  at('list').hidden = step !== 'events';
  at('further').hidden = true;
  at('live').hidden = step !== 'live';
  at('all').hidden = !eventId || step !== 'live';
  at('leave').hidden = !['events', 'live', 'second'].includes(step);
  at('retry').hidden = step !== 'trouble';
  at('which').hidden = organizers.length < 2 || step !== 'events';
  at('organizer').replaceChildren(...organizers.map((o) => new Option(o.name, o.organizer_id, false, o.organizer_id === organizer())));
  const told = step === 'loading' ? ['loading'] : notice ?? (step === 'events' && !events.items.length ? ['no_events'] : null);
  at('notice').hidden = !told;
  at('notice').textContent = told ? say(...told) : '';
  if (step === 'events') drawEvents();
  if (step === 'live' && stats) drawLive();
}

function go(step, notice = null) {
  const moved = state.step !== step;
  state = { step, notice };
  render();
  if (!moved) return;
  if (step === 'sign-in') at('email').focus();
  if (step === 'second') at('code').focus();
}

/** What an answer that is none asks for; false if it was one. */
function stopped(answer) {
  if (answer.ok) return false;
  if (answer.status === 401) go('sign-in');
  else if (answer.code === 'totp_required') go('second');
  else if (answer.code === 'not_an_organizer') go('trouble', ['no_member']);
  else if (answer.status === 403 || answer.status === 404 || answer.status === 400) go('trouble', ['not_yours']);
  else go('trouble', [answer.status === 0 ? 'no_network' : answer.status === 429 ? 'too_many' : 'failed']);
  return true;
}

async function start() {
  unfollow();
  go('loading');
  const who = await call('GET', '/auth/verify');
  if (stopped(who)) return;
  const mine = who.told.organizers ?? [];
  // Only who has several needs their names.
  organizers = mine.length < 2 ? mine : await Promise.all(mine.map(async ({ organizer_id }) => {
    const profile = await call('GET', '/organizer/profile', { headers: { 'Organizer-Id': organizer_id } });
    return { organizer_id, name: profile.told.name ?? organizer_id };
  }));
  if (eventId) await openEvent();
  else await openList(false);
}

async function openList(more) {
  const query = new URLSearchParams({ limit: 50, ...(more && { cursor: events.next }) });
  const answer = await call('GET', `/organizer/events?${query}`, { headers: named() });
  if (stopped(answer)) return;
  const { items, next_cursor } = answer.told;
  events = { items: more ? [...events.items, ...items] : items, next: next_cursor };
  go('events');
}

/** The event may be of any of one's organizers. */
async function openEvent() {
  let answer;
  for (const { organizer_id } of organizers.length ? organizers : [{}]) {
    answer = await call('GET', `/organizer/events/${eventId}`, { headers: organizer_id ? { 'Organizer-Id': organizer_id } : {} });
    if (answer.ok && organizer_id) store.set('hvflvspot.organizer', organizer_id);
    if (answer.ok || answer.status !== 404) break;
  }
  if (stopped(answer)) return;
  event = answer.told;
  follow();
}

function took(told) {
  stats = told;
  heard = new Date();
  silent = 0;
}

/** No answer this time: the last figures stay, and the next try comes the later the longer the silence. */
function missed() {
  silent += 1;
  go('live', ['old', clock(heard)]);
}

function next(what, pause = 0) {
  clearTimeout(timer);
  // A page that nobody sees asks nothing.
  timer = setTimeout(() => (document.hidden ? null : what()), Math.min((pause || ASK_MS) * 2 ** silent, WORST_MS));
}

/** Asks once, as long as the stream is refused. */
async function look() {
  const answer = await call('GET', `/organizer/events/${eventId}/stats`, { headers: named() });
  if (answer.ok) {
    took(answer.told);
    go('live');
  } else if (stats && (answer.status === 0 || answer.status === 429 || answer.status >= 500)) {
    missed();
  } else if (stopped(answer)) {
    return;
  }
  next(Date.now() < refusedUntil ? look : follow);
}

/** Hears the figures as they change, from where the last stream ended. */
async function follow() {
  unfollow();
  const mine = new AbortController();
  stream = mine;
  let patience;
  const wait = (ms) => { clearTimeout(patience); patience = setTimeout(() => mine.abort(), ms); };
  let answer = { ok: false, status: 0 };
  let told = false;
  try {
    wait(FIRST_MS);
    const headers = { Accept: 'text/event-stream', ...named(), ...(lastId && { 'Last-Event-ID': lastId }) };
    const reply = await fetch(`/organizer/events/${eventId}/stats/live`, { headers, signal: mine.signal, cache: 'no-store', credentials: 'same-origin' });
    answer = { ok: reply.ok, status: reply.status };
    if (!reply.ok) answer.code = (await reply.json()).code;
    else {
      for await (const message of messages(reply.body)) {
        if (message && hear(message)) told = true;
        if (!told) continue;
        wait(QUIET_MS);
        heard = new Date();
        drawAge();
      }
    }
  } catch { /* cut, or silent for too long */ }
  clearTimeout(patience);
  // Another took its place, or nobody looks any more.
  if (stream !== mine) return;
  stream = null;
  if (told) {
    // It is made to be cut: at once on, and only a second failure is told of.
    next(follow, RETRY_MS);
  } else if (!answer.ok && ![0, 429].includes(answer.status) && answer.status < 500) {
    stopped(answer);
  } else {
    // A proxy may hold it back, or too many watch: then the figures are asked for. No answer at all is neither.
    if (answer.status || mine.signal.aborted) refusedUntil = Date.now() + REFUSED_MS;
    await look();
  }
}

/** Server-sent events of a body; none for what only says that it is still there. */
async function* messages(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    rest += value;
    const whole = rest.split('\n\n');
    rest = whole.pop();
    yield null;
    for (const text of whole) {
      const fields = text.split('\n').map((line) => /^(id|event|data): ?(.*)$/.exec(line)).filter(Boolean);
      if (fields.length) yield Object.fromEntries(fields.map(([, name, of]) => [name, of]));
    }
  }
}

/** True if it told figures. */
function hear({ id, event: kind, data }) {
  if (id) lastId = id;
  if (kind === 'reset') latest = [];
  if (kind === 'scans') latest = [...JSON.parse(data).scans.filter((s) => !s.rehearsal && PASSAGES.includes(s.kind)).reverse(), ...latest].slice(0, LATEST);
  if (kind !== 'stats') return false;
  took(JSON.parse(data));
  go('live');
  return true;
}

function unfollow() {
  clearTimeout(timer);
  const last = stream;
  stream = null;
  last?.abort();
}

async function save(path) {
  const answer = await call('GET', `/organizer/events/${eventId}/${path}`, { as: 'blob', headers: named() });
  if (!answer.ok) {
    at('wrong').textContent = say(answer.status === 0 ? 'no_network' : answer.status === 403 ? 'not_yours' : 'failed');
    return;
  }
  deliver(answer.told, path.split('/').pop());
}

at('sign-in').addEventListener('submit', during(async () => {
  const answer = await call('POST', '/auth/session', { body: { email: at('email').value.trim(), password: at('password').value } });
  if (!answer.ok) {
    at('wrong').textContent = say(answer.status === 0 ? 'no_network' : answer.status === 429 ? 'too_many' : answer.status === 401 ? 'refused' : 'failed');
    return;
  }
  at('password').value = '';
  await start();
}));
at('second').addEventListener('submit', during(async () => {
  const answer = await call('POST', '/auth/totp/verify', { body: { code: at('code').value.trim() } });
  at('code').value = '';
  if (!answer.ok) {
    at('wrong').textContent = say(answer.status === 0 ? 'no_network' : answer.status === 429 ? 'too_many' : 'wrong_code');
    return;
  }
  await start();
}));
at('leave').addEventListener('click', during(async () => {
  unfollow();
  await call('DELETE', '/auth/session');
  event = null;
  stats = null;
  latest = [];
  lastId = null;
  go('sign-in');
}));
at('organizer').addEventListener('change', () => {
  store.set('hvflvspot.organizer', at('organizer').value);
  during(() => openList(false))();
});
at('further').addEventListener('click', during(() => openList(true)));
at('retry').addEventListener('click', during(start));
const goOn = () => { if (document.hidden) unfollow(); else if (event) follow(); };
addEventListener('online', goOn);
addEventListener('offline', () => {
  if (state.step !== 'live') return;
  unfollow();
  missed();
  next(follow);
});
document.addEventListener('visibilitychange', goOn);
setInterval(drawAge, 1_000);
start();
