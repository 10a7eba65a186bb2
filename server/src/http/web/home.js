// Where links of mails about an account come out: signed in, with a password to choose, or too late.
'use strict';

const LANGUAGES = ['en', 'de', 'es', 'fr'];
const TEXTS = {
  language: ['Language', 'Sprache', 'Idioma', 'Langue'],
  retry: ['Try again', 'Noch einmal versuchen', 'Intentar de nuevo', 'Réessayer'],
  stranger: [
    'To see your tickets, open the link in your mail.', 'Um Ihre Tickets zu sehen, öffnen Sie den Link in Ihrer Mail.',
    'Para ver sus entradas, abra el enlace de su correo.', 'Pour voir vos billets, ouvrez le lien de votre e-mail.'],
  signed_in: ['You are signed in as {0}.', 'Sie sind angemeldet als {0}.', 'Ha iniciado sesión como {0}.', 'Vous êtes connecté en tant que {0}.'],
  over: [
    'This link was used or is too old. Ask for another one.', 'Dieser Link wurde benutzt oder ist zu alt. Fordern Sie einen neuen an.',
    'Este enlace ya se usó o es demasiado antiguo. Pida otro.', 'Ce lien a été utilisé ou est trop ancien. Demandez-en un autre.'],
  choose: ['Choose a new password', 'Neues Passwort wählen', 'Elija una contraseña nueva', 'Choisissez un nouveau mot de passe'],
  password: ['New password', 'Neues Passwort', 'Contraseña nueva', 'Nouveau mot de passe'],
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
  mine: ['Your tickets', 'Ihre Tickets', 'Sus entradas', 'Vos billets'],
  none: ['There are none yet.', 'Es gibt noch keine.', 'Aún no hay ninguna.', 'Il n’y en a pas encore.'],
  docs: ['For programs:', 'Für Programme:', 'Para programas:', 'Pour les programmes :'],
};

const at = (id) => document.getElementById(id);
const given = new URLSearchParams(location.hash.slice(1));
const bearer = given.get('access_token');
// Kept in this page alone from here on.
if (location.hash) history.replaceState(null, '', location.pathname);

const remembered = () => { try { return localStorage.getItem('hvflvspot.language'); } catch { return null; } };
let language = [remembered(), ...(navigator.languages ?? [navigator.language])].map((l) => l?.slice(0, 2).toLowerCase()).find((l) => LANGUAGES.includes(l)) ?? 'en';
let told = { status: null, wrong: null, retry: false };

function say([key, ...values]) {
  return TEXTS[key][LANGUAGES.indexOf(language)].replace(/\{(\d)\}/g, (_, n) => values[n]);
}

function words() {
  document.documentElement.lang = language;
  at('language').value = language;
  document.querySelector('label[for=language]').textContent = say(['language']);
  for (const [id, key] of [['retry', 'retry'], ['password-label', 'password'], ['save', 'save'], ['mine-title', 'mine'], ['none', 'none'], ['docs-text', 'docs']]) at(id).textContent = say([key]);
  at('title').textContent = at('renew').hidden ? 'HVFLVSPOT' : say(['choose']);
  at('status').textContent = told.status ? say(told.status) : '';
  at('wrong').textContent = told.wrong ? say(told.wrong) : '';
  at('retry').hidden = !told.retry;
}

function tell(status, wrong = null, retry = false) {
  told = { status, wrong, retry };
  words();
}

async function call(method, path, { body, token } = {}) {
  const headers = {};
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (token) headers.Authorization = `Bearer ${token}`;
  try {
    const credentials = token && method === 'PUT' ? 'omit' : 'same-origin';
    const answer = await fetch(path, { method, headers, credentials, body: body === undefined ? undefined : JSON.stringify(body) });
    const said = await answer.json().catch(() => ({}));
    return { ok: answer.ok, status: answer.status, said, code: said.error_code ?? said.code };
  } catch {
    return { ok: false, status: 0, said: {} };
  }
}

const trouble = (answer) => [answer.status === 0 ? 'no_network' : 'failed'];

async function start() {
  tell(null);
  if (given.has('error') || given.has('error_code')) return tell(null, ['over']);
  if (given.get('type') === 'recovery' && bearer) {
    at('renew').hidden = false;
    return words();
  }
  if (bearer) {
    const opened = await call('POST', '/auth/session', { token: bearer });
    if (!opened.ok) return tell(null, opened.status === 401 ? ['over'] : trouble(opened), opened.status !== 401);
  }
  await mine();
}

async function mine() {
  const session = await call('GET', '/auth/session');
  if (session.status === 401) return tell(['stranger']);
  if (!session.ok) return tell(null, trouble(session), true);
  const list = await call('GET', '/tickets/view');
  if (!list.ok) return tell(['signed_in', session.said.email], trouble(list), true);
  const rows = list.said.items.map((ticket) => {
    const link = document.createElement('a');
    link.href = `/web/tickets/${ticket.ticket_id}`;
    link.textContent = [ticket.event?.title, ticket.ticket_type, ticket.attendee_name].filter(Boolean).join(' · ');
    const row = document.createElement('li');
    row.append(link);
    return row;
  });
  at('tickets').replaceChildren(...rows);
  at('none').hidden = rows.length > 0;
  at('mine').hidden = false;
  tell(['signed_in', session.said.email]);
}

at('renew').addEventListener('submit', async (event) => {
  event.preventDefault();
  at('save').disabled = true;
  const answer = await call('PUT', '/auth/v1/user', { token: bearer, body: { password: at('password').value } });
  at('save').disabled = false;
  if (answer.ok) {
    at('renew').hidden = true;
    return tell(['saved']);
  }
  if (answer.status === 422) return tell(null, ['weak']);
  if (answer.code === 'insufficient_aal') return tell(null, ['factor']);
  tell(null, answer.status === 401 ? ['over'] : trouble(answer));
});
at('language').addEventListener('change', () => {
  language = at('language').value;
  try { localStorage.setItem('hvflvspot.language', language); } catch { /* then for now */ }
  words();
});
at('retry').addEventListener('click', start);
start();
