// The official client, unchanged, against our server: every flow of accounts that it knows.
// HVFLVSPOT_URL names a development server on this machine whose addresses must be confirmed
// (scripts/third/supabase-js starts one).
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { createClient } from '@supabase/supabase-js';

const url = process.env.HVFLVSPOT_URL;
assert.ok(url, 'HVFLVSPOT_URL names the server');
const PASSWORD = 'correct horse battery';
const RETURN_TO = 'http://localhost:5173/welcome';
const clients = [];
let made = 0;

class Memory {
  #items = new Map();
  getItem = (key) => this.#items.get(key) ?? null;
  setItem = (key, value) => void this.#items.set(key, value);
  removeItem = (key) => void this.#items.delete(key);
}

function client(auth = {}) {
  // Without a socket of its own the client asks for one as soon as it is made on Node 20.
  class NoSocket {}
  const made = createClient(url, 'any-publishable-key', {
    auth: { autoRefreshToken: false, persistSession: true, storage: new Memory(), ...auth },
    realtime: { transport: NoSocket },
  });
  clients.push(made);
  return made;
}

after(() => clients.forEach((c) => c.auth.stopAutoRefresh()));

const address = () => `js-${process.pid}-${Date.now()}-${++made}@example.org`;

function ok({ data, error }) {
  assert.equal(error, null, error && `${error.code}: ${error.message}`);
  return data;
}

/** The newest mail to an address, other than those seen before: waits for the outbox. */
async function mail(recipient, kind) {
  const deadline = Date.now() + 30_000;
  while (Date.now() < deadline) {
    const answer = await fetch(`${url}/dev/mailbox?recipient=${encodeURIComponent(recipient)}`);
    assert.equal(answer.status, 200, 'the development mailbox is there');
    const found = (await answer.json()).find((m) => m.kind === kind);
    if (found) {
      return { link: found.text.match(/^http\S+$/m)?.[0], code: found.text.match(/^ {4}(\d{6})$/m)?.[1] };
    }
    await new Promise((resume) => setTimeout(resume, 100));
  }
  throw new Error(`no mail ${kind} to ${recipient}`);
}

async function account(auth = {}) {
  const c = client(auth);
  const email = address();
  const { session } = ok(await c.auth.signUp({ email, password: PASSWORD, options: { data: { name: 'Ada' } } }));
  assert.equal(session, null, 'no session before the address is confirmed');
  const { code } = await mail(email, 'auth.confirm');
  ok(await c.auth.verifyOtp({ email, token: code, type: 'signup' }));
  return { c, email };
}

test('sign up, confirm, sign in, wrong password', async () => {
  const { c, email } = await account();
  await c.auth.signOut();
  const fresh = client();
  const wrong = await fresh.auth.signInWithPassword({ email, password: 'wrong password' });
  assert.equal(wrong.error.code, 'invalid_credentials');
  assert.equal(wrong.error.status, 400);
  const { session, user } = ok(await fresh.auth.signInWithPassword({ email, password: PASSWORD }));
  assert.equal(user.email, email);
  assert.equal(user.user_metadata.name, 'Ada');
  assert.equal(session.token_type, 'bearer');
  assert.equal(session.expires_in, 3600);
});

test('an unconfirmed account is told so, and gets its mail again', async () => {
  const c = client();
  const email = address();
  ok(await c.auth.signUp({ email, password: PASSWORD }));
  const early = await c.auth.signInWithPassword({ email, password: PASSWORD });
  assert.equal(early.error.code, 'email_not_confirmed');
  const first = await mail(email, 'auth.confirm');
  ok(await c.auth.resend({ type: 'signup', email }));
  const deadline = Date.now() + 30_000;
  let second = first;
  while (second.code === first.code && second.link === first.link && Date.now() < deadline) {
    await new Promise((resume) => setTimeout(resume, 100));
    second = await mail(email, 'auth.confirm');
  }
  ok(await c.auth.verifyOtp({ email, token: second.code, type: 'email' }));
});

test('weak passwords and taken addresses', async () => {
  const weak = await client().auth.signUp({ email: address(), password: 'short' });
  assert.equal(weak.error.code, 'weak_password');
  assert.deepEqual(weak.error.reasons, ['length']);
  const { email } = await account();
  const { user } = ok(await client().auth.signUp({ email, password: 'another password' }));
  assert.equal(user.email, email, 'a taken address is answered like a new one');
});

test('refresh rotates, and a used refresh token revokes its family', async () => {
  const { c } = await account();
  const first = ok(await c.auth.getSession()).session;
  const second = ok(await c.auth.refreshSession()).session;
  assert.notEqual(second.refresh_token, first.refresh_token);
  ok(await c.auth.getUser());
  const thief = client();
  const reused = await thief.auth.refreshSession({ refresh_token: first.refresh_token });
  assert.equal(reused.error.code, 'refresh_token_already_used');
  const dead = await c.auth.refreshSession({ refresh_token: second.refresh_token });
  assert.ok(dead.error, 'the whole family is dead');
});

test('getUser and updateUser', async () => {
  const { c, email } = await account();
  assert.equal(ok(await c.auth.getUser()).user.email, email);
  const changed = ok(await c.auth.updateUser({ data: { name: 'Countess', shoe: 43 } })).user;
  assert.deepEqual([changed.user_metadata.name, changed.user_metadata.shoe], ['Countess', 43]);
  const same = await c.auth.updateUser({ password: PASSWORD });
  assert.equal(same.error.code, 'same_password');
  ok(await c.auth.updateUser({ password: 'a wholly new one' }));
  ok(await client().auth.signInWithPassword({ email, password: 'a wholly new one' }));
  const bad = await client().auth.getUser('not.a.token');
  assert.equal(bad.error.status, 401);
});

test('getClaims verifies the token by our JWKS', async () => {
  const { c, email } = await account();
  const { claims, header } = ok(await c.auth.getClaims());
  assert.equal(header.alg, 'ES256');
  assert.equal(claims.email, email);
  assert.equal(claims.role, 'authenticated');
  assert.equal(claims.aud, 'authenticated');
  const { session } = ok(await c.auth.getSession());
  const [head, body, signature] = session.access_token.split('.');
  const forged = JSON.parse(Buffer.from(body, 'base64url'));
  forged.app_metadata.role = 'admin';
  const token = [head, Buffer.from(JSON.stringify(forged)).toString('base64url'), signature].join('.');
  const refused = await c.auth.getClaims(token);
  assert.ok(refused.error, 'a forged token is refused by the client itself');
});

test('signInWithOtp and verifyOtp, by code and by link', async () => {
  const c = client();
  const email = address();
  ok(await c.auth.signInWithOtp({ email, options: { emailRedirectTo: RETURN_TO } }));
  const { code } = await mail(email, 'auth.magic_link');
  const wrong = await c.auth.verifyOtp({ email, token: code === '000000' ? '000001' : '000000', type: 'email' });
  assert.equal(wrong.error.code, 'otp_expired');
  assert.equal(wrong.error.status, 403);
  const { user } = ok(await c.auth.verifyOtp({ email, token: code, type: 'email' }));
  assert.ok(user.email_confirmed_at);
  const other = client();
  const elsewhere = address();
  ok(await other.auth.signInWithOtp({ email: elsewhere }));
  const { link } = await mail(elsewhere, 'auth.magic_link');
  const token_hash = new URL(link).searchParams.get('token');
  ok(await other.auth.verifyOtp({ token_hash, type: 'magiclink' }));
  const again = await other.auth.verifyOtp({ token_hash, type: 'magiclink' });
  assert.equal(again.error.code, 'otp_expired');
});

test('a link leads back with the session in the fragment', async () => {
  const c = client();
  const email = address();
  ok(await c.auth.signInWithOtp({ email, options: { emailRedirectTo: RETURN_TO } }));
  const { link } = await mail(email, 'auth.magic_link');
  const answer = await fetch(link, { redirect: 'manual' });
  assert.equal(answer.status, 303);
  const target = new URL(answer.headers.get('location'));
  assert.equal(target.origin + target.pathname, RETURN_TO);
  const session = new URLSearchParams(target.hash.slice(1));
  const set = await c.auth.setSession({
    access_token: session.get('access_token'),
    refresh_token: session.get('refresh_token'),
  });
  assert.equal(ok(set).user.email, email);
});

test('PKCE: a link leads back with a code for exchangeCodeForSession', async () => {
  const c = client({ flowType: 'pkce' });
  const email = address();
  ok(await c.auth.signInWithOtp({ email, options: { emailRedirectTo: RETURN_TO } }));
  const { link } = await mail(email, 'auth.magic_link');
  const target = new URL((await fetch(link, { redirect: 'manual' })).headers.get('location'));
  assert.equal(target.hash, '');
  const { session } = ok(await c.auth.exchangeCodeForSession(target.searchParams.get('code')));
  assert.equal(session.user.email, email);
});

test('resetPasswordForEmail, verify, new password', async () => {
  const { c, email } = await account();
  const elsewhere = client();
  ok(await elsewhere.auth.signInWithPassword({ email, password: PASSWORD }));
  ok(await c.auth.resetPasswordForEmail(email, { redirectTo: RETURN_TO }));
  ok(await c.auth.resetPasswordForEmail(address()));
  const { code } = await mail(email, 'auth.recovery');
  const back = client();
  ok(await back.auth.verifyOtp({ email, token: code, type: 'recovery' }));
  ok(await back.auth.updateUser({ password: 'a recovered password' }));
  ok(await client().auth.signInWithPassword({ email, password: 'a recovered password' }));
  const ended = await elsewhere.auth.refreshSession();
  assert.ok(ended.error, 'the other sessions have ended');
});

test('a new address is confirmed before it is one', async () => {
  const { c, email } = await account();
  const to = address();
  const { user } = ok(await c.auth.updateUser({ email: to }));
  assert.deepEqual([user.email, user.new_email], [email, to]);
  const { code } = await mail(to, 'auth.email_change');
  ok(await c.auth.verifyOtp({ email: to, token: code, type: 'email_change' }));
  assert.equal(ok(await c.auth.getUser()).user.email, to);
});

test('reauthenticate mails a nonce that updateUser takes', async () => {
  const { c, email } = await account();
  ok(await c.auth.reauthenticate());
  const { code } = await mail(email, 'auth.reauthentication');
  ok(await c.auth.updateUser({ password: 'after the nonce', nonce: code }));
});

test('signOut in its three scopes', async () => {
  const { c: first, email } = await account();
  const others = [client(), client()];
  for (const other of others) ok(await other.auth.signInWithPassword({ email, password: PASSWORD }));
  assert.equal((await others[0].auth.signOut({ scope: 'local' })).error, null);
  ok(await others[1].auth.getUser());
  assert.equal((await first.auth.signOut({ scope: 'others' })).error, null);
  assert.ok((await others[1].auth.getUser()).error);
  ok(await first.auth.getUser());
  const last = client();
  ok(await last.auth.signInWithPassword({ email, password: PASSWORD }));
  assert.equal((await last.auth.signOut({ scope: 'global' })).error, null);
  assert.ok((await first.auth.getUser()).error);
});

test('onAuthStateChange tells what happens', async () => {
  const { c, email } = await account();
  await c.auth.signOut();
  const events = [];
  const { data } = c.auth.onAuthStateChange((event, session) => events.push([event, session?.user?.email]));
  ok(await c.auth.signInWithPassword({ email, password: PASSWORD }));
  ok(await c.auth.refreshSession());
  ok(await c.auth.updateUser({ data: { hat: 7 } }));
  await c.auth.signOut();
  data.subscription.unsubscribe();
  const names = events.map(([event]) => event).filter((event) => event !== 'INITIAL_SESSION');
  assert.deepEqual(names, ['SIGNED_IN', 'TOKEN_REFRESHED', 'USER_UPDATED', 'SIGNED_OUT']);
  assert.ok(events.some(([event, who]) => event === 'SIGNED_IN' && who === email));
});
