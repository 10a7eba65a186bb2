// The token stands in the address behind `#`: browsers keep that to themselves, and so do programs that look at links.
'use strict';

const TEXTS = {
  invitation: ['Invitation', 'Einladung', 'Invitación', 'Invitation'],
  looking: ['Looking at the invitation …', 'Die Einladung wird angesehen …', 'Comprobando la invitación …', 'Lecture de l’invitation …'],
  invites: ['{0} invites you', '{0} lädt Sie ein', '{0} le invita', '{0} vous invite'],
  door: [
    'As door staff you see its events and check tickets at the door.', 'Am Einlass sehen Sie die Veranstaltungen und prüfen Tickets.',
    'Como personal de puerta verá sus eventos y comprobará las entradas.', 'À l’entrée, vous verrez ses événements et contrôlerez les billets.'],
  manager: [
    'As a manager you make and change its events, look after bookings and refunds, and invite people for the door.',
    'In der Verwaltung legen Sie Veranstaltungen an und ändern sie, kümmern sich um Buchungen und Erstattungen und laden Leute für den Einlass ein.',
    'En la gestión creará y cambiará sus eventos, atenderá reservas y reembolsos e invitará al personal de puerta.',
    'À la gestion, vous créerez et modifierez ses événements, suivrez réservations et remboursements et inviterez des gens pour l’entrée.'],
  owner: [
    'As an owner you do all that there is to do for it, and invite others to every role.',
    'Als Inhaber tun Sie alles, was zu tun ist, und laden andere in jede Rolle ein.',
    'Como propietario hará todo lo que haya que hacer e invitará a otros a cualquier función.',
    'En tant que propriétaire, vous ferez tout ce qu’il y a à faire et inviterez d’autres à tout rôle.'],
  for_until: ['For {0}, until {1}.', 'Für {0}, bis {1}.', 'Para {0}, hasta el {1}.', 'Pour {0}, jusqu’au {1}.'],
  'sign-in-title': ['Sign in to accept', 'Zum Annehmen anmelden', 'Inicie sesión para aceptar', 'Connectez-vous pour accepter'],
  'email-label': ['E-mail address', 'E-Mail-Adresse', 'Correo electrónico', 'Adresse e-mail'],
  'password-label': ['Password', 'Passwort', 'Contraseña', 'Mot de passe'],
  enter: ['Sign in', 'Anmelden', 'Iniciar sesión', 'Se connecter'],
  'ask-code': ['Mail me a code instead', 'Stattdessen einen Code schicken', 'Enviarme un código por correo', 'M’envoyer plutôt un code'],
  'no-account': [
    'No account yet? Have a code mailed: signing in with it makes one.', 'Noch kein Konto? Lassen Sie sich einen Code schicken: Die Anmeldung damit legt eines an.',
    '¿Aún no tiene cuenta? Pida un código por correo: al entrar con él se crea una.', 'Pas encore de compte ? Demandez un code : se connecter avec lui en crée un.'],
  'code-title': ['The code from the mail', 'Der Code aus der Mail', 'El código del correo', 'Le code de l’e-mail'],
  'code-label': ['Six digits', 'Sechs Ziffern', 'Seis cifras', 'Six chiffres'],
  'enter-code': ['Sign in', 'Anmelden', 'Iniciar sesión', 'Se connecter'],
  'ask-again': ['Send another', 'Noch einen schicken', 'Enviar otro', 'En envoyer un autre'],
  'accept-title': ['Accept', 'Annehmen', 'Aceptar', 'Accepter'],
  as: ['You are signed in as {0}.', 'Sie sind angemeldet als {0}.', 'Ha iniciado sesión como {0}.', 'Vous êtes connecté en tant que {0}.'],
  'accept-now': ['Accept the invitation', 'Einladung annehmen', 'Aceptar la invitación', 'Accepter l’invitation'],
  'other-title': ['Another account is signed in', 'Ein anderes Konto ist angemeldet', 'Hay otra cuenta conectada', 'Un autre compte est connecté'],
  as_other: [
    'You are signed in as {0}. The invitation is for the address above alone.', 'Sie sind angemeldet als {0}. Die Einladung gilt allein für die Adresse oben.',
    'Ha iniciado sesión como {0}. La invitación es solo para la dirección de arriba.', 'Vous êtes connecté en tant que {0}. L’invitation vaut seulement pour l’adresse ci-dessus.'],
  'sign-out': ['Sign out and go on', 'Abmelden und weiter', 'Cerrar sesión y continuar', 'Se déconnecter et continuer'],
  over: [
    'This invitation is not open any more: it was accepted, taken back, replaced by a newer one, or is over a week old. Ask for another one.',
    'Diese Einladung ist nicht mehr offen: Sie wurde angenommen, zurückgenommen, durch eine neuere ersetzt oder ist über eine Woche alt. Bitten Sie um eine neue.',
    'Esta invitación ya no está abierta: se aceptó, se retiró, se sustituyó por otra más reciente o tiene más de una semana. Pida otra.',
    'Cette invitation n’est plus ouverte : elle a été acceptée, retirée, remplacée par une plus récente ou a plus d’une semaine. Demandez-en une autre.'],
  sent: [
    'A mail with a code or a link is on its way to {0}. Type the code here, or follow the link in this browser.',
    'Eine Mail mit einem Code oder einem Link ist unterwegs an {0}. Tippen Sie den Code hier ein, oder folgen Sie dem Link in diesem Browser.',
    'Un correo con un código o un enlace va camino de {0}. Escriba el código aquí o siga el enlace en este navegador.',
    'Un e-mail avec un code ou un lien est en route vers {0}. Tapez le code ici, ou suivez le lien dans ce navigateur.'],
  member: ['You are a member of {0}', 'Sie gehören jetzt zu {0}', 'Ya es miembro de {0}', 'Vous êtes membre de {0}'],
  done: ['You can close this page.', 'Sie können diese Seite schließen.', 'Puede cerrar esta página.', 'Vous pouvez fermer cette page.'],
  invalid_credentials: [
    'The password is wrong, or there is no account of this address yet.', 'Das Passwort ist falsch, oder zu dieser Adresse gibt es noch kein Konto.',
    'La contraseña no es correcta o aún no hay cuenta de esta dirección.', 'Le mot de passe est faux, ou il n’y a pas encore de compte à cette adresse.'],
  email_not_confirmed: [
    'The address is not confirmed yet: have a code mailed instead.', 'Die Adresse ist noch nicht bestätigt: Lassen Sie sich stattdessen einen Code schicken.',
    'La dirección aún no está confirmada: pida un código por correo.', 'L’adresse n’est pas encore confirmée : demandez plutôt un code.'],
  otp_expired: ['The code is wrong, was used, or is too old.', 'Der Code ist falsch, wurde benutzt oder ist zu alt.', 'El código no es correcto, ya se usó o es demasiado antiguo.', 'Le code est faux, a servi ou est trop ancien.'],
  no_network: [
    'The server does not answer. Look at your connection and try again.', 'Der Server antwortet nicht. Prüfen Sie Ihre Verbindung und versuchen Sie es noch einmal.',
    'El servidor no responde. Compruebe su conexión e inténtelo de nuevo.', 'Le serveur ne répond pas. Vérifiez votre connexion et réessayez.'],
  wait: ['Too many tries. Please wait: {0} min.', 'Zu viele Versuche. Bitte warten Sie: {0} min.', 'Demasiados intentos. Espere: {0} min.', 'Trop d’essais. Veuillez attendre : {0} min.'],
  failed: [
    'That did not work. Please try again in a moment.', 'Das hat nicht geklappt. Bitte versuchen Sie es gleich noch einmal.',
    'No funcionó. Inténtelo de nuevo en un momento.', 'Cela n’a pas marché. Veuillez réessayer dans un instant.'],
};

const given = new URLSearchParams(location.hash.slice(1));
// A mail's link leads back here without the invitation's token: it waits in this browser meanwhile.
const KEPT = 'hvflvspot.invitation';
const token = given.get('token') ?? store.get(KEPT) ?? '';
const fromMail = given.get('access_token');
const STEPS = ['sign-in', 'code-step', 'accept', 'other'];
let invitation = null;
let account = null;
let step = null;
let said = ['looking'];
let retry = false;
let role = null;

function render() {
  words('sign-in-title', 'email-label', 'password-label', 'enter', 'ask-code', 'no-account', 'code-title', 'code-label', 'enter-code', 'ask-again', 'accept-title', 'accept-now', 'other-title', 'sign-out');
  const title = role ? say('member', invitation.organizer) : invitation ? say('invites', invitation.organizer) : say('invitation');
  at('title').textContent = title;
  document.title = title;
  at('offer').hidden = !invitation || Boolean(role);
  if (invitation) {
    at('means').textContent = say(invitation.role);
    at('for').textContent = say('for_until', invitation.email, moment(invitation.expires_at));
    at('email').value = invitation.email;
  }
  for (const one of STEPS) at(one).hidden = one !== step;
  at('signed-in').textContent = account ? say('as', account) : '';
  at('other-who').textContent = account ? say('as_other', account) : '';
  at('status').textContent = said ? say(...said) : '';
  at('retry').hidden = !retry;
}

function tell(...text) {
  said = text.length ? text : null;
  render();
}

/** Says what went wrong: by its code, else what is true of every failure. */
function complain(answer, ...codes) {
  tell();
  const minutes = Math.max(1, Math.ceil((answer.wait || 60) / 60));
  const text = codes.includes(answer.code) ? [answer.code] : answer.status === 0 ? ['no_network'] : answer.status === 429 ? ['wait', minutes] : ['failed'];
  at('wrong').textContent = say(...text);
}

/** Shows one step and no other, and goes to it. */
function show(which, focus) {
  step = which;
  render();
  if (focus) at(focus).focus();
}

function over() {
  store.remove(KEPT);
  invitation = null;
  step = null;
  tell('over');
}

/** Who is signed in decides what comes next. */
async function next(moved) {
  const here = await call('GET', '/auth/session');
  if (!here.ok && here.status !== 401) return complain(here);
  tell();
  if (!here.ok) return show('sign-in', moved && 'password');
  account = here.told.email;
  if (account.toLowerCase() !== invitation.email.toLowerCase()) return show('other', moved && 'sign-out');
  show('accept', moved && 'accept-now');
}

async function byPassword() {
  const answer = await call('POST', '/auth/session', { body: { email: invitation.email, password: at('password').value } });
  if (answer.ok) return next(true);
  complain(answer, 'invalid_credentials', 'email_not_confirmed');
  at('password').focus();
}

async function askCode() {
  const back = encodeURIComponent(location.origin + location.pathname);
  const answer = await call('POST', `/auth/v1/otp?redirect_to=${back}`, { body: { email: invitation.email } });
  if (!answer.ok) return complain(answer);
  store.set(KEPT, token);
  show('code-step', 'code');
  tell('sent', invitation.email);
}

async function byCode() {
  const body = { type: 'email', email: invitation.email, token: at('code').value.replace(/\s/g, '') };
  const answer = await call('POST', '/auth/v1/verify', { body });
  if (!answer.ok) {
    complain(answer, 'otp_expired');
    return at('code').focus();
  }
  // This page goes by its cookie, as all pages here do; the tokens' own session is not needed.
  await enter(answer.told.access_token);
}

async function enter(bearer) {
  const opened = await call('POST', '/auth/session', { headers: { Authorization: `Bearer ${bearer}` } });
  if (!opened.ok) return complain(opened);
  await next(true);
}

async function accept() {
  const answer = await call('POST', '/auth/invitations/accept', { body: { token } });
  if (answer.status === 404) return over();
  if (!answer.ok) return complain(answer);
  store.remove(KEPT);
  role = answer.told.role;
  step = null;
  tell('done');
  at('title').focus();
}

async function signOut() {
  const answer = await call('DELETE', '/auth/session');
  if (!answer.ok) return complain(answer);
  account = null;
  await next(true);
}

async function start() {
  if (fromMail) history.replaceState(null, '', location.pathname);
  retry = false;
  tell('looking');
  const answer = await call('POST', '/auth/invitations/show', { body: { token } });
  if (answer.status === 404) return over();
  if (!answer.ok) {
    retry = true;
    return complain(answer);
  }
  invitation = answer.told;
  if (fromMail) await enter(fromMail);
  else await next(false);
}

at('by-password').addEventListener('submit', during(byPassword));
at('by-code').addEventListener('submit', during(byCode));
at('ask-code').addEventListener('click', during(askCode));
at('ask-again').addEventListener('click', during(askCode));
at('accept-now').addEventListener('click', during(accept));
at('sign-out').addEventListener('click', during(signOut));
at('retry').addEventListener('click', during(start));
start();
