// Tickets on a phone. The secret stands in the address behind `#`, which browsers keep to themselves; it goes to this
// server in a header. What was shown once is kept in this browser, to be shown again where there is no signal.
'use strict';

const TEXTS = {
  ticket: ['Your ticket', 'Ihr Ticket', 'Su entrada', 'Votre billet'],
  booking: ['Your booking', 'Ihre Buchung', 'Su reserva', 'Votre réservation'],
  loading: ['Loading …', 'Wird geladen …', 'Cargando …', 'Chargement …'],
  nothing: [
    'This address opens nothing here. Open the link in your mail: it carries the key to your tickets. If you did, the ticket was handed on or the booking is gone.',
    'Diese Adresse öffnet hier nichts. Öffnen Sie den Link in Ihrer Mail: Er enthält den Schlüssel zu Ihren Tickets. Wenn Sie das getan haben, wurde das Ticket weitergegeben oder die Buchung gibt es nicht mehr.',
    'Esta dirección no abre nada aquí. Abra el enlace de su correo: lleva la clave de sus entradas. Si ya lo hizo, la entrada se traspasó o la reserva ya no existe.',
    'Cette adresse n’ouvre rien ici. Ouvrez le lien de votre e-mail : il porte la clé de vos billets. Si vous l’avez fait, le billet a été transmis ou la réservation n’existe plus.'],
  offline: [
    'No network. This is what was saved here on {0}. The code can still be scanned.',
    'Kein Netz. Das ist, was hier am {0} gespeichert wurde. Der Code kann trotzdem gescannt werden.',
    'Sin red. Esto es lo guardado aquí el {0}. El código se puede escanear igualmente.',
    'Pas de réseau. Voici ce qui a été enregistré ici le {0}. Le code peut quand même être scanné.'],
  no_network: [
    'No network, and nothing of this is saved in this browser yet.',
    'Kein Netz, und in diesem Browser ist noch nichts davon gespeichert.',
    'Sin red, y en este navegador aún no hay nada guardado.',
    'Pas de réseau, et rien n’est encore enregistré dans ce navigateur.'],
  failed: [
    'The server could not answer just now. Please try again in a moment.',
    'Der Server konnte gerade nicht antworten. Bitte versuchen Sie es gleich noch einmal.',
    'El servidor no pudo responder ahora. Inténtelo de nuevo en un momento.',
    'Le serveur n’a pas pu répondre. Veuillez réessayer dans un instant.'],
  total: ['Total', 'Summe', 'Total', 'Total'],
  number: ['Booking', 'Buchung', 'Reserva', 'Réservation'],
  for: ['For {0}', 'Für {0}', 'Para {0}', 'Pour {0}'],
  of: ['{0} of {1}', '{0} von {1}', '{0} de {1}', '{0} sur {1}'],
  code_of: ['QR code of this ticket', 'QR-Code dieses Tickets', 'Código QR de esta entrada', 'Code QR de ce billet'],
  from: ['Lets in from {0}', 'Gilt ab {0}', 'Válida desde {0}', 'Valable à partir du {0}'],
  pdf: ['Save as PDF', 'Als PDF speichern', 'Guardar como PDF', 'Enregistrer en PDF'],
  ics: ['Add to calendar', 'In den Kalender', 'Añadir al calendario', 'Ajouter au calendrier'],
  receipt: ['Receipt', 'Beleg', 'Recibo', 'Reçu'],
  refresh: ['Refresh', 'Aktualisieren', 'Actualizar', 'Actualiser'],
  kept: [
    'Saved in this browser, with the key, so that it can be shown without a network. On a device that is not yours: forget it.',
    'In diesem Browser gespeichert, samt Schlüssel, damit es auch ohne Netz gezeigt werden kann. Auf einem fremden Gerät: vergessen lassen.',
    'Guardado en este navegador, con la clave, para mostrarlo también sin red. En un dispositivo ajeno: olvídelo.',
    'Enregistré dans ce navigateur, avec la clé, pour être montré même sans réseau. Sur un appareil qui n’est pas le vôtre : oubliez-le.'],
  not_kept: [
    'This browser keeps nothing: without a network this page will be empty. Save the PDF.',
    'Dieser Browser speichert nichts: Ohne Netz bleibt diese Seite leer. Speichern Sie das PDF.',
    'Este navegador no guarda nada: sin red esta página estará vacía. Guarde el PDF.',
    'Ce navigateur n’enregistre rien : sans réseau cette page sera vide. Enregistrez le PDF.'],
  forget: ['Forget on this device', 'Auf diesem Gerät vergessen', 'Olvidar en este dispositivo', 'Oublier sur cet appareil'],
  forgotten: [
    'Forgotten on this device. The link in your mail still opens it.',
    'Auf diesem Gerät vergessen. Der Link in Ihrer Mail öffnet es weiterhin.',
    'Olvidado en este dispositivo. El enlace de su correo lo sigue abriendo.',
    'Oublié sur cet appareil. Le lien de votre e-mail l’ouvre toujours.'],
  none: ['There are no tickets in this booking.', 'In dieser Buchung sind keine Tickets.', 'No hay entradas en esta reserva.', 'Il n’y a pas de billets dans cette réservation.'],
  valid: ['Valid', 'Gültig', 'Válida', 'Valable'],
  blocked: ['Blocked: ask the organizer', 'Gesperrt: fragen Sie den Veranstalter', 'Bloqueada: pregunte al organizador', 'Bloqué : adressez-vous à l’organisateur'],
  refunded: ['Refunded', 'Erstattet', 'Reembolsada', 'Remboursé'],
  canceled: ['Canceled', 'Abgesagt', 'Cancelada', 'Annulé'],
  withdrawn: ['Not valid any more', 'Nicht mehr gültig', 'Ya no es válida', 'Plus valable'],
  transferred: ['Handed on to somebody else', 'Weitergegeben', 'Traspasada a otra persona', 'Transmis à quelqu’un d’autre'],
  theirs: [
    'The code of this ticket is the one that its seller gave you.', 'Der Code dieses Tickets ist der, den Sie vom Verkäufer haben.',
    'El código de esta entrada es el que le dio el vendedor.', 'Le code de ce billet est celui de son vendeur.'],
  held: ['Held for you until {0}', 'Für Sie reserviert bis {0}', 'Reservado para usted hasta {0}', 'Réservé pour vous jusqu’au {0}'],
  paid: ['Paid', 'Bezahlt', 'Pagado', 'Payé'],
  free: ['Confirmed', 'Bestätigt', 'Confirmado', 'Confirmé'],
  partially_refunded: ['Partly refunded', 'Teilweise erstattet', 'Reembolsado en parte', 'Remboursé en partie'],
  expired: ['The time to pay is over', 'Die Zeit zum Bezahlen ist um', 'El plazo de pago ha terminado', 'Le délai de paiement est écoulé'],
  paying: ['A payment is on its way …', 'Eine Zahlung ist unterwegs …', 'Hay un pago en curso …', 'Un paiement est en cours …'],
  acting: ['The payment waits for you to confirm it.', 'Die Zahlung wartet auf Ihre Bestätigung.', 'El pago espera su confirmación.', 'Le paiement attend votre confirmation.'],
  act: ['Confirm the payment', 'Zahlung bestätigen', 'Confirmar el pago', 'Confirmer le paiement'],
  pay_test: ['Pay {0} (simulated, no money moves)', '{0} bezahlen (simuliert, es fließt kein Geld)', 'Pagar {0} (simulado, sin dinero real)', 'Payer {0} (simulé, sans argent réel)'],
  outcome: ['How the simulated payment goes', 'Wie die simulierte Zahlung ausgeht', 'Resultado del pago simulado', 'Issue du paiement simulé'],
  tok_random: ['as it comes', 'wie es kommt', 'al azar', 'au hasard'],
  tok_always_succeeds: ['it succeeds', 'sie gelingt', 'se acepta', 'il réussit'],
  tok_declined: ['it is declined', 'sie wird abgelehnt', 'se rechaza', 'il est refusé'],
  tok_requires_action: ['the bank asks first', 'die Bank fragt erst nach', 'el banco pregunta antes', 'la banque demande d’abord'],
  pay_card: ['Pay {0} by card', '{0} mit Karte bezahlen', 'Pagar {0} con tarjeta', 'Payer {0} par carte'],
  pay_elsewhere: [
    'Cards cannot be taken here yet. Pay where you found the event.', 'Hier geht noch keine Kartenzahlung. Bezahlen Sie dort, wo Sie die Veranstaltung gefunden haben.',
    'Aquí aún no se puede pagar con tarjeta. Pague donde encontró el evento.', 'Les cartes ne sont pas encore prises ici. Payez là où vous avez trouvé l’événement.'],
  declined: ['The payment was declined. Nothing was charged.', 'Die Zahlung wurde abgelehnt. Es wurde nichts abgebucht.', 'El pago fue rechazado. No se cobró nada.', 'Le paiement a été refusé. Rien n’a été débité.'],
  hand_on: ['Hand on to somebody else', 'An jemanden weitergeben', 'Traspasar a otra persona', 'Transmettre à quelqu’un'],
  to_email: ['Their e-mail address', 'Deren E-Mail-Adresse', 'Su correo electrónico', 'Son adresse e-mail'],
  to_name: ['Their name (optional)', 'Deren Name (freiwillig)', 'Su nombre (opcional)', 'Son nom (facultatif)'],
  hand_on_why: [
    'They get a new code by mail. Yours lets nobody in from then on.', 'Dorthin geht per Mail ein neuer Code. Ihrer gilt dann nicht mehr.',
    'Recibirá por correo un código nuevo. El suyo dejará de valer.', 'Un nouveau code y est envoyé. Le vôtre ne vaudra plus.'],
  go_on: ['Go on', 'Weiter', 'Continuar', 'Continuer'],
  mailed_code: ['The code that we mailed to {0}', 'Der Code, den wir an {0} geschickt haben', 'El código que enviamos a {0}', 'Le code envoyé à {0}'],
  hand_on_now: ['Hand on', 'Weitergeben', 'Traspasar', 'Transmettre'],
  wrong_code: ['This is not the code, or it is too old.', 'Das ist nicht der Code, oder er ist zu alt.', 'No es el código, o es demasiado antiguo.', 'Ce n’est pas le code, ou il est trop ancien.'],
  address: ['Please give a valid e-mail address.', 'Bitte geben Sie eine gültige E-Mail-Adresse an.', 'Indique un correo electrónico válido.', 'Veuillez indiquer une adresse e-mail valable.'],
  not_now: ['This ticket cannot be handed on any more.', 'Dieses Ticket kann nicht mehr weitergegeben werden.', 'Esta entrada ya no se puede traspasar.', 'Ce billet ne peut plus être transmis.'],
  handed_on: ['Handed on to {0}.', 'Weitergegeben an {0}.', 'Traspasada a {0}.', 'Transmis à {0}.'],
  give_up: ['I do not want them', 'Ich möchte sie nicht', 'No las quiero', 'Je n’en veux pas'],
  waiting: ['You are on the waiting list, at place {0}. We write when it is your turn.', 'Sie stehen auf der Warteliste, Platz {0}. Wir schreiben, wenn Sie an der Reihe sind.', 'Está en la lista de espera, en el puesto {0}. Le escribiremos cuando sea su turno.', 'Vous êtes sur la liste d’attente, à la place {0}. Nous écrirons quand ce sera votre tour.'],
  waited: ['This place on the waiting list is over.', 'Dieser Platz auf der Warteliste ist vorbei.', 'Este puesto en la lista de espera terminó.', 'Cette place sur la liste d’attente n’existe plus.'],
  leave: ['Leave the waiting list', 'Warteliste verlassen', 'Dejar la lista de espera', 'Quitter la liste d’attente'],
};

const [, , kind, id] = location.pathname.split('/');
const given = new URLSearchParams(location.hash.slice(1));
const KEY = `hvflvspot.kept.${kind}.${id}`;

function read() {
  try { return JSON.parse(store.get(KEY)); } catch { return null; }
}

let kept = read();
let secret = given.get('secret') ?? kept?.secret ?? null;
let waitingFor = given.get('event') ?? kept?.waitingFor ?? null;
let shown = null;
let notice = null;
let told = null;
/** What is kept may have changed: nothing is offered before the server has said so. */
let fresh = false;
let again = null;
/** Of a simulated payment: which outcome is wanted. */
let wanted = 'tok_random';
const OUTCOMES = ['tok_random', 'tok_always_succeeds', 'tok_declined', 'tok_requires_action'];
/** How often a payment is looked after. */
const LOOK_MS = 2_500;
/** What the booking, shown anew, tells by itself. */
const SEEN = ['already_paid', 'payment_in_flight', 'hold_expired', 'booking_canceled'];

/** The secret or the session, never both. */
function ours(method, path, options = {}) {
  if (!secret) return call(method, path, options);
  return call(method, path, { ...options, headers: { ...options.headers, 'Booking-Secret': secret }, credentials: 'omit' });
}

class Failed extends Error {
  constructor(answer) { super(); this.status = answer.status; }
}

async function ask(path, options) {
  const answer = await ours('GET', path, options);
  if (!answer.ok) throw new Failed(answer);
  return answer.told;
}

/** The event's facts; none of an event that is not public any more. */
async function eventOf(eventId) {
  try {
    const e = await ask(`/events/${eventId}`);
    const { title, status, venue_name, venue_address, city, time_zone, admission_at, starts_at, ends_at } = e;
    return { title, status, venue_name, venue_address, city, time_zone, admission_at, starts_at, ends_at, organizer: e.organizer.name };
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}

/** The picture of a code; the kept one if the code is the same. */
async function picture(ticket) {
  const same = kept?.tickets?.find((t) => t.ticket_id === ticket.ticket_id && t.issued_at === ticket.issued_at && t.svg);
  const svg = same?.svg ?? await ask(ticket.qr_svg, { as: 'text' });
  if (!svg.includes('<svg')) throw new Failed({ status: 0 });
  return svg;
}

async function load() {
  if (kind === 'tickets') {
    const ticket = await ask(`/tickets/${id}`);
    if (ticket.replaced_by) {
      location.replace(`/web/tickets/${ticket.replaced_by}${secret ? `#secret=${secret}` : ''}`);
      return null;
    }
    return { tickets: [await dressed(ticket)], event: await eventOf(ticket.event_id) };
  }
  try {
    const b = await ask(`/bookings/${id}`);
    const { status, total, refunded, held_until, event_title, payment_methods, transaction, card } = b;
    const paying = transaction?.status === 'pending' && transaction?.type === 'payment';
    // Who pays by what stays out of what is kept; that somebody has to confirm it does not.
    const booking = { status, total, refunded, held_until, event_title, payment_methods, paying, card: Boolean(card), acting: (paying && transaction.next_action?.type) || null };
    const event = await eventOf(b.event_id);
    return { booking, event, tickets: await Promise.all(b.tickets.map(dressed)) };
  } catch (error) {
    if (error.status !== 404 || !waitingFor) throw error;
    const { status, place } = await ask(`/events/${waitingFor}/waiting-list/${id}`);
    return { place: { status, place }, event: await eventOf(waitingFor), tickets: [] };
  }
}

async function dressed(ticket) {
  const { ticket_id, ticket_type, attendee_name, state, transferred, issued_at, not_before, code } = ticket;
  const svg = code ? await picture(ticket) : null;
  return { ticket_id, ticket_type, attendee_name, state, transferred, issued_at, not_before, svg };
}

function keep(all) {
  kept = { ...all, secret, waitingFor, at: new Date().toISOString() };
  const done = store.set(KEY, JSON.stringify(kept));
  // Kept, so the address need not show it to who looks over a shoulder.
  if (done && location.hash) history.replaceState(null, '', location.pathname);
  return done;
}

/** Only the squares of it: nothing else that a picture might hold. */
function drawn(text) {
  const NS = 'http://www.w3.org/2000/svg';
  const given = new DOMParser().parseFromString(text, 'image/svg+xml').documentElement;
  const svg = document.createElementNS(NS, 'svg');
  svg.setAttribute('viewBox', given.getAttribute('viewBox') ?? '0 0 1 1');
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-label', say('code_of'));
  svg.setAttribute('shape-rendering', 'crispEdges');
  for (const path of given.querySelectorAll('path')) {
    const squares = document.createElementNS(NS, 'path');
    squares.setAttribute('d', path.getAttribute('d'));
    svg.append(squares);
  }
  return svg;
}

function card(ticket, n, all) {
  const made = make('article', undefined, 'ticket');
  made.append(make('h2', all > 1 ? `${ticket.ticket_type} · ${say('of', n + 1, all)}` : ticket.ticket_type));
  if (ticket.attendee_name) made.append(make('p', say('for', ticket.attendee_name)));
  const state = ticket.transferred && kind === 'bookings' ? 'transferred' : ticket.state;
  if (ticket.svg && state === 'valid') {
    const qr = make('div', undefined, 'qr');
    qr.append(drawn(ticket.svg));
    made.append(qr);
    if (ticket.not_before) made.append(make('p', say('from', moment(ticket.not_before, shown.event?.time_zone)), 'quiet'));
    if (shown.event?.status === 'published') made.append(handOn(ticket));
  } else {
    made.append(make('p', say(state), 'state'));
    if (state === 'valid') made.append(make('p', say('theirs')));
  }
  return made;
}

/** To give a ticket to somebody else. Guests show first that they read the booking's mails. */
function handOn(ticket) {
  const made = make('details');
  const form = make('form');
  form.noValidate = true;
  let attempt = {};
  const [emailLabel, email] = field(`to-${ticket.ticket_id}`, say('to_email'), 'email', { autocomplete: 'off', inputMode: 'email', maxLength: 254 });
  const [nameLabel, name] = field(`who-${ticket.ticket_id}`, say('to_name'), 'text', { autocomplete: 'off', maxLength: 200 });
  const go = make('button', say(secret ? 'go_on' : 'hand_on_now'));
  let code = null;
  const ask = async () => {
    const sent = await ours('POST', '/bookings/code');
    if (!sent.ok) return complain(sent);
    const [label, typed] = field(`code-${ticket.ticket_id}`, say('mailed_code', sent.told.sent_to), 'text', { autocomplete: 'one-time-code', inputMode: 'numeric', maxLength: 8 });
    code = typed;
    email.readOnly = true;
    name.readOnly = true;
    go.before(label, typed);
    go.textContent = say('hand_on_now');
    typed.focus();
  };
  form.addEventListener('submit', during(async () => {
    const to = email.value.trim();
    if (!to || !email.checkValidity()) {
      at('wrong').textContent = say('address');
      return email.focus();
    }
    if (secret && !code) return ask();
    const body = { email: to, ...(name.value.trim() && { name: name.value.trim() }), ...(code && { code: code.value.trim() }) };
    const same = JSON.stringify(body);
    if (attempt.same !== same) attempt = { same, key: newKey() };
    const answer = await ours('POST', `/tickets/${ticket.ticket_id}/transfer`, { body, headers: { 'Idempotency-Key': attempt.key } });
    if (answer.ok) return handed(to);
    if (answer.code === 'wrong_code') {
      at('wrong').textContent = say('wrong_code');
      return code.select();
    }
    if (answer.status === 409) at('wrong').textContent = say('not_now');
    else complain(answer);
  }));
  form.append(make('p', say('hand_on_why'), 'quiet'), emailLabel, email, nameLabel, name, go);
  made.append(make('summary', say('hand_on')), form);
  return made;
}

/** The ticket's page shows it no more; that of its booking says so. */
async function handed(to) {
  if (kind === 'tickets') {
    store.remove(KEY);
    kept = null;
    shown = null;
    tell(() => say('handed_on', to), false);
  } else {
    await look();
    tell(() => say('handed_on', to), false);
  }
  render();
  at('title').focus();
}

/** Fetches what a plain link could not: the secret goes in a header. */
async function save(path, name) {
  const answer = await ours('GET', path, { as: 'blob' });
  if (answer.ok) deliver(answer.told, name);
  else complain(answer);
}

function complain({ status, code }) {
  if (SEEN.includes(code)) return;
  at('wrong').textContent = say(status === 0 ? 'no_network' : status === 401 || status === 404 ? 'nothing' : status === 429 ? 'too_many' : 'failed');
}

/** Pays, or goes on with a payment that waited for its buyer. */
async function pay(token) {
  const answer = await ours('POST', '/payment/process', { body: { booking_id: id, payment: { method: 'simulated', ...(token && { token }) } }, headers: { 'Idempotency-Key': newKey() } });
  await look();
  if (answer.code === 'payment_declined') at('wrong').textContent = say('declined');
  else if (!answer.ok) complain(answer);
  else at('state').focus();
}

async function then(method, path) {
  const answer = await ours(method, path);
  await look();
  if (!answer.ok) complain(answer);
  else at('state').focus();
}

function render() {
  words('forget');
  const { booking, event, tickets = [], place } = shown ?? {};
  const title = event?.title ?? booking?.event_title ?? say(kind === 'tickets' ? 'ticket' : 'booking');
  at('title').textContent = title;
  document.title = title;
  at('notice').hidden = !notice;
  at('notice').textContent = notice ? notice() : '';
  at('retry').hidden = !notice?.retry;
  for (const part of ['offer', 'tickets', 'more', 'kept']) at(part).hidden = true;
  at('facts').replaceChildren();
  at('state').hidden = true;
  if (!shown) return;
  const state = stateOf(booking, event, place);
  at('state').hidden = !state;
  at('state').textContent = state ?? '';
  at('facts').replaceChildren(
    ...facts(event),
    ...fact('total', booking?.total.amount_minor ? money(booking.total) : ''),
    ...fact('number', kind === 'bookings' && booking ? id : ''),
  );
  offer(fresh ? booking : null, fresh ? place : null);
  const settled = booking ? !['held', 'expired', 'canceled'].includes(booking.status) : !place;
  at('tickets').hidden = !settled && !tickets.length;
  at('tickets').replaceChildren(...(tickets.length ? tickets.map((t, n) => card(t, n, tickets.length)) : [make('p', say('none'))]));
  if (settled) {
    const base = `/${kind}/${id}`;
    const more = [];
    if (tickets.some((t) => t.svg)) more.push(button(say('pdf'), () => save(`${base}/${kind === 'tickets' ? 'ticket' : 'tickets'}.pdf`, 'tickets.pdf')));
    more.push(button(say('ics'), () => save(`${base}/event.ics`, 'event.ics')));
    if (booking?.total.amount_minor) more.push(button(say('receipt'), () => save(`${base}/receipt.pdf`, 'receipt.pdf')));
    more.push(button(say('refresh'), look));
    at('more').replaceChildren(...more);
    at('more').hidden = false;
  }
  at('kept').hidden = false;
  at('kept-text').textContent = say(store.get(KEY) ? 'kept' : 'not_kept');
  at('forget').hidden = !store.get(KEY);
}

function stateOf(booking, event, place) {
  if (event?.status === 'canceled') return say('event_canceled');
  if (place) return place.status === 'waiting' ? say('waiting', place.place) : say('waited');
  if (!booking) return null;
  // By the reader's clock: they look at it, not at the venue's.
  if (booking.status === 'held' && booking.paying) return say(booking.acting ? 'acting' : 'paying');
  if (booking.status === 'held') return say('held', moment(booking.held_until));
  return say(booking.status === 'paid' && !booking.total.amount_minor ? 'free' : booking.status);
}

function offer(booking, place) {
  const parts = [];
  if (booking?.status === 'held' && !booking.paying) {
    const simulated = booking.payment_methods?.includes('simulated');
    if (simulated) parts.push(...outcomes(), button(say('pay_test', money(booking.total)), () => pay(wanted), false));
    if (booking.card) parts.push(byCard(say('pay_card', money(booking.total))));
    if (!simulated && !booking.card) parts.push(make('p', say('pay_elsewhere')));
    parts.push(button(say('give_up'), () => then('POST', `/bookings/${id}/cancel`)));
  } else if (booking?.status === 'held' && booking.acting) {
    parts.push(booking.acting === 'simulated' ? button(say('act'), () => pay(), false) : byCard(say('act')));
  }
  if (place?.status === 'waiting') parts.push(button(say('leave'), () => then('DELETE', `/events/${waitingFor}/waiting-list/${id}`)));
  at('offer').replaceChildren(...parts);
  at('offer').hidden = !parts.length;
}

/** Which outcome a simulated payment shall have. */
function outcomes() {
  const choice = make('select');
  choice.id = 'outcome';
  choice.append(...OUTCOMES.map((token) => new Option(say(token), token, false, token === wanted)));
  choice.addEventListener('change', () => { wanted = choice.value; });
  const label = make('label', say('outcome'));
  label.htmlFor = 'outcome';
  return [label, choice];
}

/** Cards are taken on a page of their own: it alone runs the provider's script. */
function byCard(text) {
  const link = make('a', text, 'button');
  link.href = `/web/bookings/${id}/card${secret && !store.get(KEY) ? `#secret=${secret}` : ''}`;
  return link;
}

function tell(text, retry = true) {
  notice = text;
  if (notice) notice.retry = retry;
}

/** Shows what is kept at once, asks the server, and shows that. */
async function look() {
  if (!shown) {
    shown = kept;
    if (!kept) tell(() => say('loading'), false);
    render();
  }
  try {
    const all = await load();
    if (!all) return;
    keep(all);
    // Somebody may be typing: what has not changed stays as it is.
    const same = JSON.stringify(all);
    const changed = same !== told || notice;
    fresh = true;
    shown = all;
    told = same;
    tell(null);
    if (!changed) return lookAgain();
  } catch (error) {
    if (!(error instanceof Failed)) throw error;
    const closed = error.status === 404 || error.status === 401;
    // Not there any more for this key. Who is only not signed in any more keeps what they have.
    if (error.status === 404) { store.remove(KEY); kept = null; shown = null; }
    if (error.status === 0 && shown) { const { at: when } = kept; tell(() => say('offline', moment(when))); }
    else tell(() => say(closed ? 'nothing' : error.status === 0 ? 'no_network' : error.status === 429 ? 'too_many' : 'failed'));
  }
  render();
  lookAgain();
}

/** What is held changes by itself: its payment is done, or its time is over. */
function lookAgain() {
  clearTimeout(again);
  const { status, paying, held_until } = shown?.booking ?? {};
  if (status !== 'held') return;
  const left = paying ? 0 : new Date(held_until) - Date.now();
  again = setTimeout(() => { if (busy || document.hidden) lookAgain(); else look(); }, Math.max(left, LOOK_MS));
}

function forget() {
  store.remove(KEY);
  kept = null;
  secret = null;
  shown = null;
  history.replaceState(null, '', location.pathname);
  tell(() => say('forgotten'), false);
  render();
  at('title').focus();
}

at('retry').addEventListener('click', during(look));
at('forget').addEventListener('click', forget);
addEventListener('online', during(look));
if ('serviceWorker' in navigator) navigator.serviceWorker.register('/web/offline.js').catch(() => {});
during(look)();
