// What is on, and one's own tickets. Also where links of mails about an account come out: signed in, with a password to
// choose, or too late.
'use strict';

const TEXTS = {
  signed_in: ['You are signed in as {0}.', 'Sie sind angemeldet als {0}.', 'Ha iniciado sesión como {0}.', 'Vous êtes connecté en tant que {0}.'],
  over: [
    'This link was used or is too old. Ask for another one.', 'Dieser Link wurde benutzt oder ist zu alt. Fordern Sie einen neuen an.',
    'Este enlace ya se usó o es demasiado antiguo. Pida otro.', 'Ce lien a été utilisé ou est trop ancien. Demandez-en un autre.'],
  choose: ['Choose a new password', 'Neues Passwort wählen', 'Elija una contraseña nueva', 'Choisissez un nouveau mot de passe'],
  'password-label': ['New password', 'Neues Passwort', 'Contraseña nueva', 'Nouveau mot de passe'],
  save: ['Save', 'Speichern', 'Guardar', 'Enregistrer'],
  saved: ['The new password holds from now on.', 'Das neue Passwort gilt ab jetzt.', 'La nueva contraseña vale desde ahora.', 'Le nouveau mot de passe est valable dès maintenant.'],
  weak: [
    'Another password, please: this one is too short, too common or the old one.', 'Bitte ein anderes Passwort: Dieses ist zu kurz, zu häufig oder das alte.',
    'Otra contraseña, por favor: esta es demasiado corta, demasiado común o la anterior.', 'Un autre mot de passe, s’il vous plaît : celui-ci est trop court, trop courant ou l’ancien.'],
  factor: [
    'This account has a second factor: change the password where you sign in with it.', 'Dieses Konto hat einen zweiten Faktor: Ändern Sie das Passwort dort, wo Sie sich mit ihm anmelden.',
    'Esta cuenta tiene un segundo factor: cambie la contraseña donde inicia sesión con él.', 'Ce compte a un second facteur : changez le mot de passe là où vous vous connectez avec lui.'],
  no_network: ['The server does not answer.', 'Der Server antwortet nicht.', 'El servidor no responde.', 'Le serveur ne répond pas.'],
  failed: [
    'That did not work. Please try again in a moment.', 'Das hat nicht geklappt. Bitte versuchen Sie es gleich noch einmal.',
    'No funcionó. Inténtelo de nuevo en un momento.', 'Cela n’a pas marché. Veuillez réessayer dans un instant.'],
  'mine-title': ['Your tickets', 'Ihre Tickets', 'Sus entradas', 'Vos billets'],
  none: ['There are none yet.', 'Es gibt noch keine.', 'Aún no hay ninguna.', 'Il n’y en a pas encore.'],
  'docs-text': ['For programs:', 'Für Programme:', 'Para programas:', 'Pour les programmes :'],
  'events-title': ['What is on', 'Was läuft', 'Qué hay', 'À l’affiche'],
  'q-label': ['Event, artist, place', 'Veranstaltung, Künstler, Ort', 'Evento, artista, lugar', 'Événement, artiste, lieu'],
  find: ['Search', 'Suchen', 'Buscar', 'Chercher'],
  further: ['Show more', 'Mehr zeigen', 'Mostrar más', 'Afficher plus'],
  nothing_on: ['Nothing is on sale at the moment.', 'Im Moment ist nichts im Verkauf.', 'De momento no hay nada a la venta.', 'Rien n’est en vente pour le moment.'],
  nothing_found: ['Nothing found for “{0}”.', 'Nichts gefunden für „{0}“.', 'Nada encontrado para «{0}».', 'Rien trouvé pour « {0} ».'],
  most_words: [
    'Nothing has all of these words. These come close:', 'Nichts enthält alle diese Wörter. Das kommt ihnen nahe:',
    'Nada tiene todas estas palabras. Esto se acerca:', 'Rien ne contient tous ces mots. Ceci s’en approche :'],
  from_price: ['from {0}', 'ab {0}', 'desde {0}', 'dès {0}'],
  no_charge: ['free', 'kostenlos', 'gratis', 'gratuit'],
  gone: ['sold out', 'ausverkauft', 'agotado', 'complet'],
  where_mine: [
    'To see tickets that you have, open the link in your mail.', 'Um Tickets zu sehen, die Sie haben, öffnen Sie den Link in Ihrer Mail.',
    'Para ver las entradas que tiene, abra el enlace de su correo.', 'Pour voir les billets que vous avez, ouvrez le lien de votre e-mail.'],
};

const given = new URLSearchParams(location.hash.slice(1));
const bearer = given.get('access_token');
// Kept in this page alone from here on.
if (location.hash) history.replaceState(null, '', location.pathname + location.search);
let told = { status: null, wrong: null, retry: false };
let seen = { asked: '', events: [], next: null, most: false, done: false };

function render() {
  words('password-label', 'save', 'mine-title', 'none', 'docs-text', 'events-title', 'q-label', 'find', 'further');
  at('title').textContent = at('renew').hidden ? 'HVFLVSPOT' : say('choose');
  at('status').textContent = told.status ? say(...told.status) : '';
  at('wrong').textContent = told.wrong ? say(...told.wrong) : '';
  at('retry').hidden = !told.retry;
  const { asked, events, next, most, done } = seen;
  at('found').textContent = !done ? '' : most ? say('most_words') : events.length ? '' : asked ? say('nothing_found', asked) : say('nothing_on');
  at('list').replaceChildren(...events.map(row));
  at('further').hidden = !next;
}

function tell(status, wrong = null, retry = false) {
  told = { status, wrong, retry };
  render();
}

function row(event) {
  const link = make('a', event.title);
  link.href = `/web/events/${event.slug}`;
  const made = make('li');
  const price = event.price_from && (event.price_from.amount_minor ? say('from_price', money(event.price_from)) : say('no_charge'));
  const where = [event.venue_name, event.city].filter(Boolean).join(', ');
  made.append(link, make('span', moment(event.starts_at, event.time_zone)), make('span', where, 'quiet'), make('span', event.available ? price ?? '' : say('gone'), 'quiet'));
  return made;
}

/** Another search, or the next page of this one. */
async function find(more) {
  const asked = more ? seen.asked : at('q').value.trim();
  const query = new URLSearchParams({ limit: 20, ...(asked && { q: asked }), ...(more && { cursor: seen.next }) });
  const answer = await call('GET', `/events/search?${query}`);
  at('events').hidden = at('renew').hidden === false;
  if (!answer.ok) {
    told.wrong = trouble(answer);
    told.retry = true;
    return render();
  }
  const { items, next_cursor, most_words } = answer.told;
  seen = { asked, events: more ? [...seen.events, ...items] : items, next: next_cursor, most: most_words, done: true };
  if (!more) history.replaceState(null, '', asked ? `?${new URLSearchParams({ q: asked })}` : location.pathname);
  render();
}

const trouble = (answer) => [answer.status === 0 ? 'no_network' : answer.status === 429 ? 'too_many' : 'failed'];

async function start() {
  tell(null);
  if (given.has('error') || given.has('error_code')) {
    tell(null, ['over']);
    return find(false);
  }
  if (given.get('type') === 'recovery' && bearer) {
    at('renew').hidden = false;
    return render();
  }
  if (bearer) {
    const opened = await call('POST', '/auth/session', { headers: { Authorization: `Bearer ${bearer}` } });
    if (!opened.ok) return tell(null, opened.status === 401 ? ['over'] : trouble(opened), opened.status !== 401);
  }
  await Promise.all([mine(), find(false)]);
}

async function mine() {
  const session = await call('GET', '/auth/session');
  if (session.status === 401) return tell(['where_mine']);
  if (!session.ok) return tell(null, trouble(session), true);
  const list = await call('GET', '/tickets/view');
  if (!list.ok) return tell(['signed_in', session.told.email], trouble(list), true);
  const rows = list.told.items.map((ticket) => {
    const link = make('a', [ticket.event?.title, ticket.ticket_type, ticket.attendee_name].filter(Boolean).join(' · '));
    link.href = `/web/tickets/${ticket.ticket_id}`;
    const made = make('li');
    made.append(link);
    return made;
  });
  at('tickets').replaceChildren(...rows);
  at('none').hidden = rows.length > 0;
  at('mine').hidden = false;
  tell(['signed_in', session.told.email]);
}

at('renew').addEventListener('submit', async (event) => {
  event.preventDefault();
  at('save').disabled = true;
  const answer = await call('PUT', '/auth/v1/user', {
    headers: { Authorization: `Bearer ${bearer}` }, credentials: 'omit', body: { password: at('password').value },
  });
  at('save').disabled = false;
  if (answer.ok) {
    at('renew').hidden = true;
    return tell(['saved']);
  }
  if (answer.status === 422) return tell(null, ['weak']);
  if (answer.code === 'insufficient_aal') return tell(null, ['factor']);
  tell(null, answer.status === 401 ? ['over'] : trouble(answer));
});
at('search').addEventListener('submit', during(() => find(false)));
at('further').addEventListener('click', during(() => find(true)));
at('q').value = new URLSearchParams(location.search).get('q') ?? '';
at('retry').addEventListener('click', start);
start();
