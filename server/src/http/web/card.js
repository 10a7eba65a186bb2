// Pays a booking by card. The card's number is typed into a frame of Stripe's: neither this script nor our server sees it.
// Stripe's script must come from Stripe and is loaded here, when a booking takes cards, and on no other page.
'use strict';

const TEXTS = {
  back: ['Back to the booking', 'Zurück zur Buchung', 'Volver a la reserva', 'Retour à la réservation'],
  loading: ['Loading …', 'Wird geladen …', 'Cargando …', 'Chargement …'],
  until: ['Held for you until {0}', 'Für Sie reserviert bis {0}', 'Reservado para usted hasta {0}', 'Réservé pour vous jusqu’au {0}'],
  now: ['Pay {0}', '{0} bezahlen', 'Pagar {0}', 'Payer {0}'],
  act: ['Confirm the payment', 'Zahlung bestätigen', 'Confirmar el pago', 'Confirmer le paiement'],
  who: [
    'Stripe takes the payment for the organizer. Your card’s number goes there and not to us.',
    'Stripe nimmt die Zahlung für den Veranstalter entgegen. Ihre Kartennummer geht dorthin und nicht an uns.',
    'Stripe cobra el pago para el organizador. El número de su tarjeta va allí y no a nosotros.',
    'Stripe encaisse le paiement pour l’organisateur. Le numéro de votre carte y est envoyé, pas chez nous.'],
  test: ['A test account: no money moves.', 'Ein Testkonto: Es fließt kein Geld.', 'Cuenta de prueba: no se mueve dinero.', 'Compte de test : aucun argent réel.'],
  no_script: [
    'The payment form of Stripe could not be loaded. A blocker in the browser may be the reason.',
    'Das Bezahlformular von Stripe konnte nicht geladen werden. Vielleicht hält ein Blocker im Browser es auf.',
    'No se pudo cargar el formulario de Stripe. Puede que lo impida un bloqueador del navegador.',
    'Le formulaire de Stripe n’a pas pu être chargé. Un bloqueur du navigateur en est peut-être la cause.'],
  declined: ['The card was declined. Nothing was charged. Try another one.', 'Die Karte wurde abgelehnt. Es wurde nichts abgebucht. Versuchen Sie eine andere.', 'La tarjeta fue rechazada. No se cobró nada. Pruebe con otra.', 'La carte a été refusée. Rien n’a été débité. Essayez-en une autre.'],
  not_confirmed: [
    'The payment was not confirmed. Nothing was charged.', 'Die Zahlung wurde nicht bestätigt. Es wurde nichts abgebucht.',
    'El pago no se confirmó. No se cobró nada.', 'Le paiement n’a pas été confirmé. Rien n’a été débité.'],
  nothing: [
    'This address opens nothing here. Open the link in your mail.', 'Diese Adresse öffnet hier nichts. Öffnen Sie den Link in Ihrer Mail.',
    'Esta dirección no abre nada aquí. Abra el enlace de su correo.', 'Cette adresse n’ouvre rien ici. Ouvrez le lien de votre e-mail.'],
  no_network: ['The server does not answer.', 'Der Server antwortet nicht.', 'El servidor no responde.', 'Le serveur ne répond pas.'],
  failed: ['That did not work. Please try again in a moment.', 'Das hat nicht geklappt. Bitte versuchen Sie es gleich noch einmal.', 'No funcionó. Inténtelo de nuevo en un momento.', 'Cela n’a pas marché. Veuillez réessayer dans un instant.'],
};

const SCRIPT = 'https://js.stripe.com/v3/';
const [, , , id] = location.pathname.split('/');
/** Kept beside the address and not in it, where whoever looks over a shoulder would read it; it is there after a reload. */
const given = new URLSearchParams(location.hash.slice(1)).get('secret') ?? history.state?.secret ?? null;
if (location.hash) history.replaceState({ secret: given }, '', location.pathname);
const HOME = `/web/bookings/${id}`;

let secret = given;
try { secret ??= JSON.parse(store.get(`hvflvspot.kept.bookings.${id}`))?.secret ?? null; } catch { /* nothing of it is kept */ }
let booking = null;
let notice = 'loading';
/** Stripe's, once its script is here. */
let stripe = null;
let elements = null;
/** The means of payment that was tried last: asked again by it, the server asks Stripe how it went. */
let token = null;

function ours(method, path, options = {}) {
  if (!secret) return call(method, path, options);
  return call(method, path, { ...options, headers: { ...options.headers, 'Booking-Secret': secret }, credentials: 'omit' });
}

/** To the booking, which shows how it stands. */
const leave = () => location.replace(`${HOME}${given ? `#secret=${given}` : ''}`);

const action = () => (booking?.transaction?.status === 'pending' ? booking.transaction.next_action : null);

function render() {
  words('back', 'who');
  at('back').href = `${HOME}${given ? `#secret=${given}` : ''}`;
  at('title').textContent = booking?.event_title ?? 'HVFLVSPOT';
  document.title = at('title').textContent;
  at('until').hidden = !booking;
  at('until').textContent = booking ? say('until', moment(booking.held_until)) : '';
  const test = stripe && booking.card.publishable_key.startsWith('pk_test_') ? 'test' : null;
  at('notice').hidden = !(notice ?? test);
  at('notice').textContent = notice ?? test ? say(notice ?? test) : '';
  at('retry').hidden = notice === null || notice === 'loading';
  at('pay').hidden = !stripe;
  at('card').hidden = Boolean(action());
  at('now').textContent = !booking ? '' : action() ? say('act') : say('now', money(booking.total));
}

function tell(text) {
  notice = text;
  render();
}

function script() {
  return new Promise((resolve, reject) => {
    const made = make('script');
    made.src = SCRIPT;
    made.addEventListener('load', () => resolve(window.Stripe));
    made.addEventListener('error', () => { made.remove(); reject(new Error(SCRIPT)); });
    document.head.append(made);
  });
}

async function start() {
  tell('loading');
  if (!await look()) return;
  try {
    await mount();
    tell(null);
  } catch {
    stripe = null;
    tell('no_script');
  }
}

/** True if there is something to be paid here. */
async function look() {
  const answer = await ours('GET', `/bookings/${id}`);
  if (!answer.ok) {
    tell(answer.status === 0 ? 'no_network' : answer.status === 429 ? 'too_many' : answer.status === 401 || answer.status === 404 ? 'nothing' : 'failed');
    return false;
  }
  const { status, card, transaction } = answer.told;
  const waits = transaction?.status === 'pending' && !transaction.next_action?.client_secret;
  if (status !== 'held' || !card || waits) {
    leave();
    return false;
  }
  booking = answer.told;
  return true;
}

/** Loads Stripe's script, and puts its form in place. */
async function mount() {
  const Stripe = window.Stripe ?? await script();
  const { publishable_key, amount, currency } = booking.card;
  stripe ??= Stripe(publishable_key, { locale: language });
  if (elements || action()) return;
  const theme = matchMedia('(prefers-color-scheme: dark)').matches ? 'night' : 'stripe';
  elements = stripe.elements({ mode: 'payment', amount, currency, paymentMethodCreation: 'manual', paymentMethodTypes: ['card'], appearance: { theme } });
  elements.create('payment', { wallets: { applePay: 'never', googlePay: 'never' } }).mount('#card');
}

const wrong = (text) => { at('wrong').textContent = text; };

async function pay() {
  if (!action()) {
    const checked = await elements.submit();
    // Stripe says it in the language that it was opened with, and shows it at its field.
    if (checked.error) return wrong(checked.error.message ?? say('failed'));
    const made = await stripe.createPaymentMethod({ elements });
    if (made.error) return wrong(made.error.message ?? say('failed'));
    token = made.paymentMethod.id;
    if (!await send()) return;
  }
  await act();
}

/** True if the buyer has to confirm it at the bank. */
async function send() {
  const payment = { method: 'stripe', ...(token && { token }) };
  const answer = await ours('POST', '/payment/process', { body: { booking_id: id, payment }, headers: { 'Idempotency-Key': newKey() } });
  if (answer.status === 0) return wrong(say('no_network'));
  if (answer.status === 429) return wrong(say('too_many'));
  if (answer.code === 'payment_declined') {
    // The booking waits for another card.
    await start();
    return wrong(say('declined'));
  }
  if (answer.status === 422 || answer.status >= 500) return wrong(say('failed'));
  if (answer.status !== 202) return leave();
  booking = answer.told;
  if (action()) return true;
  leave();
  return false;
}

async function act() {
  const { redirect_url, client_secret } = action();
  if (redirect_url && new URL(redirect_url).protocol === 'https:') return location.assign(redirect_url);
  render();
  const done = await stripe.handleNextAction({ clientSecret: client_secret });
  // How it went the server asks Stripe itself.
  const still = await send();
  if (still) wrong(done.error?.message ?? say('not_confirmed'));
  render();
}

at('language').addEventListener('change', () => elements?.update({ locale: language }));
at('pay').addEventListener('submit', during(pay));
at('retry').addEventListener('click', during(start));
// Back from the bank.
addEventListener('pageshow', (shown) => { if (shown.persisted) during(start)(); });
start();
