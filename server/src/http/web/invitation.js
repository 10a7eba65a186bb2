// The token stands in the address behind `#`: browsers keep that to themselves, and so do programs that look at links.
'use strict';

const at = (id) => document.getElementById(id);
const given = new URLSearchParams(location.hash.slice(1));
// A mail's link leads back here without the invitation's token: it waits in this browser meanwhile.
const KEPT = 'hvflvspot.invitation';
const token = given.get('token') ?? localStorage.getItem(KEPT) ?? '';
const fromMail = given.get('access_token');
const steps = ['sign-in', 'code-step', 'accept', 'other'];
const means = {
  door: 'You will see its events and check tickets at the door.',
  manager: 'You will make and change its events, look after bookings and refunds, and invite people for the door.',
  owner: 'You will do all that there is to do for it, and invite others to every role.',
};
let invitation;
let busy = false;

/** One call of the API; `status` 0 if no answer came. */
async function call(method, path, body, bearer) {
  const headers = {};
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (bearer) headers.Authorization = `Bearer ${bearer}`;
  try {
    const answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
    const told = await answer.json().catch(() => ({}));
    const code = told.error_code ?? told.code;
    return { ok: answer.ok, status: answer.status, told, code, wait: Number(answer.headers.get('Retry-After')) };
  } catch {
    return { ok: false, status: 0, told: {} };
  }
}

function say(text) {
  at('status').textContent = text;
}

/** Says what went wrong: `words` by code, else what is true of every failure. */
function complain(answer, words = {}) {
  say('');
  let text = words[answer.code];
  if (!text && answer.status === 0) text = 'The server does not answer. Look at your connection and try again.';
  if (!text && answer.status === 429) {
    const minutes = Math.max(1, Math.ceil((answer.wait || 60) / 60));
    text = `Too many tries. Please wait ${minutes === 1 ? 'a minute' : `${minutes} minutes`}.`;
  }
  at('wrong').textContent = text ?? 'That did not work. Please try again in a moment.';
}

/** Shows one step and no other, and goes to it. */
function show(step, focus) {
  at('wrong').textContent = '';
  for (const one of steps) at(one).hidden = one !== step;
  if (focus) at(focus).focus();
}

/** Runs what a button or form does, one thing at a time. */
function during(work) {
  return async (event) => {
    event.preventDefault();
    if (busy) return;
    busy = true;
    at('wrong').textContent = '';
    try {
      await work();
    } finally {
      busy = false;
    }
  };
}

function over() {
  localStorage.removeItem(KEPT);
  at('offer').hidden = true;
  show();
  say('This invitation is not open any more: it was accepted, taken back, replaced by a newer one, or is over a week old. Ask for another one.');
}

/** Who is signed in decides what comes next. */
async function next(moved) {
  const here = await call('GET', '/auth/session');
  if (!here.ok && here.status !== 401) return complain(here);
  say('');
  if (!here.ok) return show('sign-in', moved && 'password');
  const email = here.told.email;
  if (email.toLowerCase() !== invitation.email.toLowerCase()) {
    at('other-email').textContent = email;
    return show('other', moved && 'sign-out');
  }
  at('signed-in').textContent = email;
  show('accept', moved && 'accept-now');
}

async function byPassword() {
  const body = { email: invitation.email, password: at('password').value };
  const answer = await call('POST', '/auth/session', body);
  if (answer.ok) return next(true);
  complain(answer, {
    invalid_credentials: 'The password is wrong, or there is no account of this address yet.',
    email_not_confirmed: 'The address is not confirmed yet: have a code mailed instead.',
  });
  at('password').focus();
}

async function askCode() {
  const back = encodeURIComponent(location.origin + location.pathname);
  const answer = await call('POST', `/auth/v1/otp?redirect_to=${back}`, { email: invitation.email });
  if (!answer.ok) return complain(answer);
  localStorage.setItem(KEPT, token);
  show('code-step', 'code');
  say(`A mail with a code or a link is on its way to ${invitation.email}. Type the code here, or follow the link in this browser.`);
}

async function byCode() {
  const body = { type: 'email', email: invitation.email, token: at('code').value.replace(/\s/g, '') };
  const answer = await call('POST', '/auth/v1/verify', body);
  if (!answer.ok) {
    complain(answer, { otp_expired: 'The code is wrong, was used, or is too old.' });
    return at('code').focus();
  }
  // This page goes by its cookie, as all pages here do; the tokens' own session is not needed.
  await enter(answer.told.access_token);
}

async function enter(bearer) {
  const opened = await call('POST', '/auth/session', undefined, bearer);
  if (!opened.ok) return complain(opened);
  await next(true);
}

async function accept() {
  const answer = await call('POST', '/auth/invitations/accept', { token });
  if (answer.status === 404) return over();
  if (!answer.ok) return complain(answer);
  localStorage.removeItem(KEPT);
  at('offer').hidden = true;
  show();
  at('title').textContent = `You are a member of ${invitation.organizer}`;
  say(`Your role: ${answer.told.role}. You can close this page.`);
  at('title').focus();
}

async function signOut() {
  const answer = await call('DELETE', '/auth/session');
  if (!answer.ok) return complain(answer);
  await next(true);
}

async function start() {
  if (fromMail) history.replaceState(null, '', location.pathname);
  say('Looking at the invitation …');
  const answer = await call('POST', '/auth/invitations/show', { token });
  if (answer.status === 404) return over();
  if (!answer.ok) return complain(answer);
  invitation = answer.told;
  at('title').textContent = `${invitation.organizer} invites you`;
  document.title = `Invitation by ${invitation.organizer}`;
  at('means').textContent = `As ${invitation.role}: ${means[invitation.role] ?? ''}`;
  at('for').textContent = invitation.email;
  at('email').value = invitation.email;
  const until = new Date(invitation.expires_at);
  at('until').dateTime = invitation.expires_at;
  at('until').textContent = until.toLocaleDateString('en', { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' });
  at('offer').hidden = false;
  if (fromMail) await enter(fromMail);
  else await next(false);
}

at('by-password').addEventListener('submit', during(byPassword));
at('by-code').addEventListener('submit', during(byCode));
at('ask-code').addEventListener('click', during(askCode));
at('ask-again').addEventListener('click', during(askCode));
at('accept-now').addEventListener('click', during(accept));
at('sign-out').addEventListener('click', during(signOut));
start();
