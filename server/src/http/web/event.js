// One event, and its tickets to be bought. What is bought is held first; the booking's page, where this one leads, takes
// the payment. Sent again after a lost answer, a purchase carries the key that it had: it is made once.
'use strict';

const TEXTS = {
  all: ['All events', 'Alle Veranstaltungen', 'Todos los eventos', 'Tous les événements'],
  'tickets-title': ['Tickets', 'Tickets', 'Entradas', 'Billets'],
  loading: ['Loading …', 'Wird geladen …', 'Cargando …', 'Chargement …'],
  nothing: ['There is no such event, or not any more.', 'Diese Veranstaltung gibt es nicht oder nicht mehr.', 'Este evento no existe o ya no existe.', 'Cet événement n’existe pas ou plus.'],
  over: ['This event is over.', 'Diese Veranstaltung ist vorbei.', 'Este evento ya terminó.', 'Cet événement est terminé.'],
  none: ['Nothing is on sale here.', 'Hier ist nichts im Verkauf.', 'Aquí no hay nada a la venta.', 'Rien n’est en vente ici.'],
  few: ['Only a few left', 'Nur noch wenige', 'Quedan pocas', 'Plus que quelques-uns'],
  sold_out: ['Sold out', 'Ausverkauft', 'Agotado', 'Complet'],
  sale_from: ['On sale from {0}', 'Im Verkauf ab {0}', 'A la venta desde {0}', 'En vente à partir du {0}'],
  sale_over: ['Not on sale any more', 'Nicht mehr im Verkauf', 'Ya no está a la venta', 'N’est plus en vente'],
  no_charge: ['free', 'kostenlos', 'gratis', 'gratuit'],
  with_fee: ['incl. {0} fee', 'inkl. {0} Gebühr', 'incl. {0} de gastos', 'dont {0} de frais'],
  with_tax: ['incl. {0} tax', 'inkl. {0} Steuer', 'incl. {0} de impuestos', 'dont {0} de taxe'],
  how_many: ['How many: {0}', 'Wie viele: {0}', 'Cuántas: {0}', 'Combien : {0}'],
  'code-title': ['Have a code?', 'Haben Sie einen Code?', '¿Tiene un código?', 'Vous avez un code ?'],
  'promo-label': ['Code', 'Code', 'Código', 'Code'],
  apply: ['Use it', 'Einlösen', 'Usar', 'Utiliser'],
  code_good: ['The code holds. A reduction shows on the next page.', 'Der Code gilt. Ein Nachlass steht auf der nächsten Seite.', 'El código vale. El descuento aparece en la página siguiente.', 'Le code est valable. La réduction apparaît à la page suivante.'],
  code_bad: ['This code does not hold here.', 'Dieser Code gilt hier nicht.', 'Este código no vale aquí.', 'Ce code n’est pas valable ici.'],
  code_used: ['This code is used up.', 'Dieser Code ist aufgebraucht.', 'Este código ya está agotado.', 'Ce code est épuisé.'],
  person: ['{0} · {1} of {2}', '{0} · {1} von {2}', '{0} · {1} de {2}', '{0} · {1} sur {2}'],
  name: ['Name (optional)', 'Name (freiwillig)', 'Nombre (opcional)', 'Nom (facultatif)'],
  optional: ['{0} (optional)', '{0} (freiwillig)', '{0} (opcional)', '{0} (facultatif)'],
  choose: ['Please choose', 'Bitte wählen', 'Elija', 'Veuillez choisir'],
  yes: ['Yes', 'Ja', 'Sí', 'Oui'],
  no: ['No', 'Nein', 'No', 'Non'],
  'email-label': ['Your e-mail address', 'Ihre E-Mail-Adresse', 'Su correo electrónico', 'Votre adresse e-mail'],
  'email-why': ['The tickets go there.', 'Dorthin gehen die Tickets.', 'Allí van las entradas.', 'Les billets y sont envoyés.'],
  member: ['The tickets go to {0}.', 'Die Tickets gehen an {0}.', 'Las entradas van a {0}.', 'Les billets vont à {0}.'],
  sum: ['Total {0}', 'Summe {0}', 'Total {0}', 'Total {0}'],
  buy: ['Reserve', 'Reservieren', 'Reservar', 'Réserver'],
  'buy-why': [
    'Held for you for some minutes; you pay on the next page. Nothing is charged here.',
    'Für einige Minuten reserviert; bezahlt wird auf der nächsten Seite. Hier wird nichts abgebucht.',
    'Reservado durante unos minutos; se paga en la página siguiente. Aquí no se cobra nada.',
    'Réservé pour quelques minutes ; le paiement se fait à la page suivante. Rien n’est débité ici.'],
  pick: ['Choose how many tickets you want.', 'Wählen Sie, wie viele Tickets Sie möchten.', 'Elija cuántas entradas quiere.', 'Choisissez le nombre de billets.'],
  address: ['Please give a valid e-mail address.', 'Bitte geben Sie eine gültige E-Mail-Adresse an.', 'Indique un correo electrónico válido.', 'Veuillez indiquer une adresse e-mail valable.'],
  answer: ['Please answer every question that is not optional.', 'Bitte beantworten Sie jede Frage, die nicht freiwillig ist.', 'Responda a todas las preguntas que no son opcionales.', 'Veuillez répondre à toutes les questions non facultatives.'],
  just_gone: ['Just sold out: somebody was faster. Nothing was charged.', 'Gerade ausverkauft: Jemand war schneller. Es wurde nichts abgebucht.', 'Se acaba de agotar: alguien fue más rápido. No se cobró nada.', 'Tout juste épuisé : quelqu’un a été plus rapide. Rien n’a été débité.'],
  person_limit: ['One person may not have so many tickets of this.', 'So viele Tickets darf eine Person hier nicht haben.', 'Una persona no puede tener tantas entradas de este evento.', 'Une personne ne peut pas avoir autant de billets pour cet événement.'],
  not_on_sale: ['One of these is not on sale now.', 'Davon ist etwas gerade nicht im Verkauf.', 'Algo de esto no está a la venta ahora.', 'L’un de ces billets n’est pas en vente actuellement.'],
  not_so: ['The server did not take this: {0}', 'Der Server hat das nicht angenommen: {0}', 'El servidor no aceptó esto: {0}', 'Le serveur n’a pas accepté : {0}'],
  no_network: [
    'No answer. Send it again when there is a network: it will not be bought twice.', 'Keine Antwort. Schicken Sie es noch einmal ab, sobald es ein Netz gibt: Es wird nicht doppelt gekauft.',
    'Sin respuesta. Envíelo de nuevo cuando haya red: no se comprará dos veces.', 'Pas de réponse. Renvoyez quand il y aura du réseau : rien ne sera acheté deux fois.'],
  no_answer: ['The server does not answer.', 'Der Server antwortet nicht.', 'El servidor no responde.', 'Le serveur ne répond pas.'],
  failed: ['That did not work. Please try again in a moment.', 'Das hat nicht geklappt. Bitte versuchen Sie es gleich noch einmal.', 'No funcionó. Inténtelo de nuevo en un momento.', 'Cela n’a pas marché. Veuillez réessayer dans un instant.'],
  before: ['You have a booking of this event already:', 'Sie haben schon eine Buchung dieser Veranstaltung:', 'Ya tiene una reserva de este evento:', 'Vous avez déjà une réservation pour cet événement :'],
  'before-link': ['show it', 'anzeigen', 'mostrarla', 'l’afficher'],
  share: ['Share', 'Teilen', 'Compartir', 'Partager'],
  copied: ['The link is copied.', 'Der Link ist kopiert.', 'El enlace está copiado.', 'Le lien est copié.'],
  'dates-title': ['Other dates', 'Weitere Termine', 'Otras fechas', 'Autres dates'],
  wait_for: ['Join the waiting list', 'Auf die Warteliste', 'Apuntarse a la lista de espera', 'S’inscrire sur la liste d’attente'],
  waits_already: ['You wait for this already.', 'Sie warten schon darauf.', 'Ya está esperando esto.', 'Vous attendez déjà ceci.'],
  available_again: ['There are tickets again: buy them.', 'Es gibt wieder Tickets: Kaufen Sie sie.', 'Hay entradas de nuevo: cómprelas.', 'Il y a de nouveau des billets : achetez-les.'],
  in_line: [
    'You are in the waiting room: {0} before you. You are let in at about {1}. Leave this page open.', 'Sie sind im Warteraum: {0} vor Ihnen. Etwa um {1} sind Sie an der Reihe. Lassen Sie diese Seite offen.',
    'Está en la sala de espera: {0} por delante. Entrará hacia las {1}. Deje esta página abierta.', 'Vous êtes dans la salle d’attente : {0} devant vous. Votre tour vient vers {1}. Laissez cette page ouverte.'],
  let_in: ['It is your turn, until {0}.', 'Sie sind an der Reihe, bis {0}.', 'Es su turno, hasta las {0}.', 'C’est votre tour, jusqu’à {0}.'],
};

const slug = decodeURIComponent(location.pathname.split('/')[3] ?? '');
const LOOK_MS = 3_000;
const MOST = 20;

/** What this tab remembers: an unanswered purchase's key, the place in the waiting room. */
const tab = {
  get(key) { try { return JSON.parse(sessionStorage.getItem(`hvflvspot.${key}.${slug}`)); } catch { return null; } },
  set(key, value) { try { sessionStorage.setItem(`hvflvspot.${key}.${slug}`, JSON.stringify(value)); } catch { /* then for this page */ } },
  drop(key) { try { sessionStorage.removeItem(`hvflvspot.${key}.${slug}`); } catch { /* there was nothing to drop */ } },
};

let event = null;
let email = null;
let unlocked = [];
let promo = null;
let codeSaid = null;
let notice = 'loading';
let place = tab.get('place');
let attempt = tab.get('attempt');
/** By ticket type, how many are wanted. */
const wanted = new Map();

const types = () => [...(event?.ticket_types ?? []), ...unlocked.filter((u) => !event.ticket_types.some((t) => t.ticket_type_id === u.ticket_type_id))];
const clock = (text) => new Intl.DateTimeFormat(locale(), { timeStyle: 'medium' }).format(new Date(text));

function onSale(type) {
  const now = Date.now();
  if (type.sales_from && new Date(type.sales_from) > now) return ['sale_from', moment(type.sales_from)];
  if (type.sales_until && new Date(type.sales_until) <= now) return ['sale_over'];
  if (type.availability === 'sold_out') return ['sold_out'];
  return null;
}

function most(type) {
  return Math.min(MOST, ...[type.max_per_booking, type.max_per_person, event.max_per_booking, event.max_per_person].filter(Boolean));
}

function card(type) {
  const made = make('article', undefined, 'ticket');
  made.append(make('h3', type.name));
  if (type.description) made.append(make('p', type.description));
  const price = make('p', undefined, 'price');
  price.append(make('strong', type.total.amount_minor ? money(type.total) : say('no_charge')));
  const parts = [];
  if (type.fee.amount_minor) parts.push(say('with_fee', money(type.fee)));
  if (type.tax.amount_minor) parts.push(say('with_tax', money(type.tax)));
  if (parts.length) price.append(' ', make('span', parts.join(', '), 'quiet'));
  made.append(price);
  const closed = onSale(type);
  if (closed) {
    made.append(make('p', say(...closed), 'state'));
    if (closed[0] === 'sold_out' && event.waiting_list) made.append(button(say('wait_for'), () => wait(type)));
    return made;
  }
  if (type.availability === 'few') made.append(make('p', say('few'), 'state'));
  const id = `n-${type.ticket_type_id}`;
  const label = make('label', say('how_many', type.name));
  label.htmlFor = id;
  const count = make('select');
  count.id = id;
  for (let n = 0; n <= most(type); n += 1) count.append(new Option(String(n), String(n)));
  count.value = String(wanted.get(type.ticket_type_id) ?? 0);
  count.addEventListener('change', () => {
    wanted.set(type.ticket_type_id, Number(count.value));
    people();
    sum();
  });
  made.append(label, count);
  return made;
}

const chosen = () => types().map((type) => ({ type, quantity: onSale(type) ? 0 : wanted.get(type.ticket_type_id) ?? 0 })).filter((c) => c.quantity > 0);

/** Who will come, if something is asked of them. What was typed stays. */
function people() {
  const typed = new Map([...at('people').querySelectorAll('[data-field]')].map((f) => [f.dataset.field, f.value]));
  const sets = [];
  for (const { type, quantity } of chosen()) {
    const asked = event.questions.filter((q) => !q.ticket_type_id || q.ticket_type_id === type.ticket_type_id).sort((a, b) => a.position - b.position);
    for (let n = 0; n < quantity && event.questions.length; n += 1) {
      const set = make('fieldset');
      set.dataset.type = type.ticket_type_id;
      set.append(make('legend', say('person', type.name, n + 1, quantity)));
      const field = (key, label, control) => {
        control.id = `p-${type.ticket_type_id}-${n}-${key}`;
        control.dataset.field = control.id;
        control.dataset.question = key;
        if (typed.has(control.id)) control.value = typed.get(control.id);
        const of = make('label', label);
        of.htmlFor = control.id;
        set.append(of, control);
      };
      const who = make('input');
      who.autocomplete = 'off';
      who.maxLength = 200;
      field('', say('name'), who);
      for (const q of asked) {
        const choices = q.kind === 'choice' ? q.choices.map((c) => [c, c]) : [[say('yes'), 'true'], [say('no'), 'false']];
        const control = make(q.kind === 'text' ? 'input' : 'select');
        if (q.kind === 'text') control.maxLength = 500;
        else control.append(new Option(say('choose'), ''), ...choices.map(([text, value]) => new Option(text, value)));
        control.required = q.required;
        field(q.question_id, q.required ? q.label : say('optional', q.label), control);
      }
      sets.push(set);
    }
  }
  at('people').replaceChildren(...sets);
}

/** Each ticket's person; none if nothing is asked. */
function attendees() {
  const kinds = new Map(event.questions.map((q) => [q.question_id, q.kind]));
  const all = [...at('people').children].map((set) => {
    const answers = {};
    let who = null;
    for (const f of set.querySelectorAll('[data-field]')) {
      const { question } = f.dataset;
      const value = f.value.trim();
      if (!value) continue;
      if (!question) who = value;
      else answers[question] = kinds.get(question) === 'yes_no' ? value === 'true' : value;
    }
    return { ticket_type_id: set.dataset.type, name: who, answers };
  });
  return all.length ? { attendees: all } : {};
}

function sum() {
  const all = chosen();
  const amount = all.reduce((total, { type, quantity }) => total + type.total.amount_minor * quantity, 0);
  at('sum').textContent = all.length ? say('sum', amount ? money({ amount_minor: amount, currency: event.currency }) : say('no_charge')) : '';
}

function render() {
  words('all', 'share', 'dates-title', 'tickets-title', 'code-title', 'promo-label', 'apply', 'email-label', 'email-why', 'buy', 'buy-why', 'before-link');
  at('title').textContent = event?.title ?? 'HVFLVSPOT';
  document.title = event?.title ?? 'HVFLVSPOT';
  const before = tab.get('bought');
  at('before').hidden = !before;
  at('before-text').textContent = say('before');
  if (before) at('before-link').href = `/web/bookings/${before}`;
  const canceled = event?.status === 'canceled';
  const over = event && new Date(event.ends_at ?? event.starts_at) <= Date.now();
  const told = notice ?? (canceled ? 'event_canceled' : over ? 'over' : event && !types().length ? 'none' : null);
  at('notice').hidden = !told;
  at('notice').textContent = told ? say(told) : '';
  at('retry').hidden = event !== null || notice === 'loading';
  at('facts').replaceChildren(...facts(event));
  at('artists').hidden = !event?.artists.length;
  at('artists').textContent = event?.artists.join(', ') ?? '';
  at('about').hidden = !event?.description;
  at('about').textContent = event?.description ?? '';
  if (event?.language) at('about').lang = event.language;
  at('share').hidden = !event;
  at('dates').hidden = !event?.other_dates.length;
  at('others').replaceChildren(...(event?.other_dates ?? []).map((other) => {
    const [made, link] = [make('li'), make('a', moment(other.starts_at, other.time_zone))];
    link.href = `/web/events/${other.slug}`;
    made.append(link);
    if (other.title !== event.title) made.append(other.title);
    return made;
  }));
  const inside = !event?.waiting_room || (place?.admitted && new Date(place.admitted_until) > Date.now());
  at('room').hidden = !event?.waiting_room || !place || canceled || over;
  if (place) at('room-text').textContent = inside ? say('let_in', clock(place.admitted_until)) : say('in_line', place.ahead, clock(place.admitted_at));
  at('order').hidden = !event || canceled || over || !inside;
  if (at('order').hidden) return;
  at('types').replaceChildren(...types().map(card));
  at('code-said').textContent = codeSaid ? say(codeSaid) : '';
  people();
  const open = types().some((type) => !onSale(type));
  for (const part of ['buy', 'buy-why']) at(part).hidden = !open;
  at('guest').hidden = email !== null;
  at('member').hidden = email === null;
  at('member').textContent = email === null ? '' : say('member', email);
  sum();
}

/** Says what was wrong, and goes there. */
function complain(id, ...text) {
  at('wrong').textContent = say(...text);
  (at(id) ?? at('wrong')).focus?.();
}

async function load() {
  const answer = await call('GET', `/events/${encodeURIComponent(slug)}`);
  if (answer.ok) {
    event = answer.told;
    notice = null;
  } else if (!event) {
    notice = answer.status === 404 || answer.status === 400 ? 'nothing' : answer.status === 0 ? 'no_answer' : answer.status === 429 ? 'too_many' : 'failed';
  }
  return answer.ok;
}

async function start() {
  notice = 'loading';
  render();
  const [session, there] = await Promise.all([call('GET', '/auth/session'), load()]);
  email = session.ok ? session.told.email : null;
  if (there && event.waiting_room) await line();
  render();
}

/** Takes a place in the waiting room, or looks how far it is; and goes on looking. */
async function line() {
  const path = `/events/${event.event_id}/queue`;
  const answer = await (place ? call('GET', path, { headers: { 'Queue-Token': place.queue_token } }) : call('POST', path));
  if (answer.ok) {
    place = answer.told;
    tab.set('place', place);
  } else if (answer.code === 'no_waiting_room') {
    event.waiting_room = false;
    return;
  } else if (place && answer.status === 404) {
    leave();
  }
  if (!place?.admitted) setTimeout(async () => { await line(); render(); }, LOOK_MS);
}

function leave() {
  place = null;
  tab.drop('place');
}

async function apply() {
  const code = at('promo').value.trim();
  promo = null;
  unlocked = [];
  codeSaid = null;
  if (code) {
    const answer = await call('POST', `/events/${event.event_id}/unlock`, { body: { promo_code: code } });
    if (answer.ok) {
      promo = code;
      unlocked = answer.told.ticket_types;
      codeSaid = 'code_good';
    } else {
      codeSaid = answer.status === 422 ? 'code_bad' : answer.status === 429 ? 'too_many' : answer.status === 0 ? 'no_answer' : 'failed';
    }
  }
  render();
}

function whose() {
  if (email !== null) return {};
  const given = at('email').value.trim();
  if (!given || !at('email').checkValidity()) return null;
  return { email: given };
}

async function wait(type) {
  const from = whose();
  if (!from) return complain('email', 'address');
  const quantity = 1;
  const answer = await call('POST', `/events/${event.event_id}/waiting-list`, { body: { ...from, ticket_type_id: type.ticket_type_id, quantity } });
  if (answer.ok) {
    const { entry_id, booking_secret } = answer.told;
    const key = new URLSearchParams({ event: event.event_id, ...(booking_secret && { secret: booking_secret }) });
    return location.assign(`/web/bookings/${entry_id}#${key}`);
  }
  const told = { already_waiting: 'waits_already', still_available: 'available_again', person_limit: 'person_limit' }[answer.code];
  if (answer.code === 'still_available') { await load(); render(); }
  complain('wrong', ...(told ? [told] : trouble(answer)));
}

function trouble(answer) {
  if (answer.status === 0) return ['no_network'];
  if (answer.status === 429) return ['too_many'];
  const reasons = (answer.told.errors ?? []).map((e) => e.message).filter(Boolean);
  if (answer.status === 422) return ['not_so', reasons.join('; ') || answer.told.detail || answer.code];
  return ['failed'];
}

async function buy() {
  const all = chosen();
  if (!all.length) return complain(at('types').querySelector('select')?.id ?? 'wrong', 'pick');
  const open = [...at('people').querySelectorAll(':required')].find((f) => !f.value.trim());
  if (open) return complain(open.id, 'answer');
  const from = whose();
  if (!from) return complain('email', 'address');
  const order = {
    event_id: event.event_id, ...from, ...attendees(),
    items: all.map(({ type, quantity }) => ({ ticket_type_id: type.ticket_type_id, quantity })),
    ...(promo && { promo_code: promo }), ...(event.waiting_room && place && { queue_token: place.queue_token }),
  };
  // The same order without an answer is the same purchase.
  const same = JSON.stringify(order);
  if (attempt?.same !== same) attempt = { same, key: newKey() };
  tab.set('attempt', attempt);
  const answer = await call('POST', '/tickets/purchase', { body: order, headers: { 'Idempotency-Key': attempt.key } });
  if (answer.status !== 0 && answer.status < 500 && answer.code !== 'request_in_flight') {
    attempt = null;
    tab.drop('attempt');
  }
  if (answer.ok) {
    const { booking_id, booking_secret } = answer.told;
    tab.set('bought', booking_id);
    leave();
    wanted.clear();
    return location.assign(`/web/bookings/${booking_id}${booking_secret ? `#secret=${booking_secret}` : ''}`);
  }
  if (['place_over', 'place_unknown', 'place_used', 'place_needed'].includes(answer.code)) { leave(); await line(); return render(); }
  if (['sold_out', 'not_on_sale', 'event_canceled'].includes(answer.code)) { await load(); render(); }
  const told = { sold_out: 'just_gone', person_limit: 'person_limit', not_on_sale: 'not_on_sale', event_canceled: 'event_canceled', promo_code_invalid: 'code_bad', promo_code_used_up: 'code_used' }[answer.code];
  complain('wrong', ...(told ? [told] : trouble(answer)));
}

/** By the device's own sheet; where there is none the link is copied, or at least shown. */
async function share() {
  const { title, venue_name, city } = event;
  const url = document.querySelector('link[rel=canonical]')?.href ?? location.origin + location.pathname;
  const text = [moment(event.starts_at, event.time_zone), venue_name, city].filter(Boolean).join(' · ');
  try {
    if (navigator.share) return await navigator.share({ title, text, url });
    await navigator.clipboard.writeText(url);
    at('shared').textContent = say('copied');
  } catch (why) {
    // Who closes the sheet wants nothing more.
    if (why.name !== 'AbortError') at('shared').textContent = url;
  }
}

at('share').addEventListener('click', during(share));
at('order').addEventListener('submit', during(buy));
at('apply').addEventListener('click', during(apply));
at('promo').addEventListener('keydown', (press) => { if (press.key === 'Enter') during(apply)(press); });
at('retry').addEventListener('click', during(start));
// Back from the booking: what is left may have changed, and what was bought is to be seen.
addEventListener('pageshow', (shown) => { if (shown.persisted) during(start)(); });
start();
