// An organizer with events of every kind, made over the API as anybody would make them. Each device that looks at the
// pages has one of its own.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';

export const url = process.env.HVFLVSPOT_URL;
assert.ok(url, 'HVFLVSPOT_URL names a development server on this machine (scripts/third/browser starts one)');

export const PASSWORD = 'correct horse battery staple';
const DAY_MS = 86_400_000;

export async function call(method, path, body, { token, secret, headers = {} } = {}) {
  const answer = await fetch(url + path, {
    method,
    headers: {
      ...(body !== undefined && { 'Content-Type': 'application/json' }),
      ...(token && { Authorization: `Bearer ${token}` }),
      ...(secret && { 'Booking-Secret': secret }),
      ...headers,
    },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await answer.text();
  const told = answer.headers.get('content-type')?.includes('json') ? JSON.parse(text) : text;
  return { status: answer.status, told };
}

export async function must(method, path, body, as) {
  const { status, told } = await call(method, path, body, as);
  assert.ok(status >= 200 && status < 300, `${method} ${path}: ${status} ${JSON.stringify(told)}`);
  return told;
}

/** Asks until the answer is something; a test never sleeps for luck. */
export async function until(what, look, seconds = 30) {
  const end = Date.now() + seconds * 1_000;
  for (;;) {
    const found = await look();
    if (found) return found;
    assert.ok(Date.now() < end, `${what}: nothing within ${seconds} seconds`);
    await new Promise((done) => { setTimeout(done, 50); });
  }
}

/** The newest mail of a kind to an address. */
export const mail = (to, kind) => until(`a mail ${kind} to ${to}`, async () => {
  const mails = await must('GET', `/dev/mailbox?recipient=${encodeURIComponent(to)}`);
  return mails.find((m) => m.kind === kind);
});

export const linkIn = ({ text }) => new URL(text.match(/^https?:\/\/\S+$/m)[0]);

/** A code of an authenticator app (RFC 6238), `steps` half minutes from now. */
export function totp(secret, steps = 0) {
  const bits = [...secret].map((c) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(c).toString(2).padStart(5, '0')).join('');
  const key = Buffer.from(bits.match(/.{8}/g).map((b) => Number.parseInt(b, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + steps));
  const mac = createHmac('sha1', key).update(counter).digest();
  const number = mac.readUInt32BE(mac[19] & 15) & 0x7fffffff;
  return String(number % 1_000_000).padStart(6, '0');
}

const euro = (amount_minor) => ({ amount_minor, currency: 'EUR' });

export async function account(email) {
  const { access_token } = await must('POST', '/auth/v1/signup', { email, password: PASSWORD });
  return access_token;
}

/** Everything that one device's tests need. */
export class World {
  constructor(name) {
    this.name = name;
    this.owner = this.address('owner');
  }

  address(who) {
    return `${who}-${this.name}@demo.example`;
  }

  async build() {
    this.token = await account(this.owner);
    await this.found(`Flussbühne ${this.name}`);
    await Promise.all([this.#concert(), this.#club(), this.#rush(), this.#fair()]);
    await this.#secondFactor();
    return this;
  }

  async found(name) {
    const { organizer_id } = await this.own('PUT', '/organizer/profile', { name, contact_email: this.owner, country: 'DE' });
    this.organizer = organizer_id;
  }

  own(method, path, body) {
    return must(method, path, body, { token: this.token });
  }

  async event(title, more = {}) {
    const starts = Math.floor((Date.now() + 9 * DAY_MS) / 3_600_000) * 3_600_000;
    const at = (ms) => new Date(ms).toISOString();
    const event = await this.own('POST', '/organizer/events/create', {
      title, category_id: 'music', time_zone: 'Europe/Berlin', currency: 'EUR', language: 'de',
      venue_name: 'Flussbühne', venue_address: 'Uferweg 7', city: 'Potsdam', country: 'DE',
      admission_at: at(starts - 3_600_000), starts_at: at(starts), ends_at: at(starts + 3 * 3_600_000), ...more,
    });
    return { ...event, base: `/organizer/events/${event.event_id}`, page: `/web/events/${event.slug}` };
  }

  type(event, name, price, more = {}) {
    return this.own('POST', `${event.base}/ticket-types`, {
      name, price: euro(price), fee: euro(price ? 150 : 0), tax: { rate_bp: 700, inclusive: true }, capacity: 500, ...more,
    });
  }

  /** Questions, a hidden type, codes. */
  async #concert() {
    const event = await this.event(`Nachtkonzert am Fluss (${this.name})`, {
      artists: ['Ensemble Uferlos'], description: 'Kammermusik unter freiem Himmel.\nBei Regen im Saal.',
    });
    event.standing = await this.type(event, 'Stehplatz', 2_500);
    event.hidden = await this.type(event, 'Hinter der Bühne', 7_900, { hidden: true, description: 'Mit Führung und einem Getränk.' });
    const ask = (label, kind, more) => this.own('POST', `${event.base}/questions`, { label, kind, ticket_type_id: event.standing.ticket_type_id, ...more });
    await ask('Essen', 'choice', { choices: ['Suppe', 'Brot'], required: true, position: 1 });
    await ask('Zum ersten Mal hier?', 'yes_no', { required: false, position: 2 });
    await this.own('POST', `${event.base}/promo-codes`, { code: 'BACKSTAGE', percent_bp: 1_000, ticket_type_ids: [event.hidden.ticket_type_id], unlocks: true });
    await this.own('POST', `${event.base}/promo-codes`, { code: 'MINUS20', percent_bp: 2_000 });
    await this.own('POST', `${event.base}/publish`, {});
    this.concert = event;
  }

  /** One place, and it is sold. */
  async #club() {
    const event = await this.event(`Kleiner Club (${this.name})`);
    event.only = await this.type(event, 'Platz', 1_200, { capacity: 1 });
    await this.own('POST', `${event.base}/publish`, {});
    await this.buy(event, event.only, 'first');
    this.club = event;
  }

  /** A waiting room in which two stand already. */
  async #rush() {
    const event = await this.event(`Großer Andrang (${this.name})`, { admit_per_minute: 30 });
    await this.type(event, 'Platz', 4_500);
    await this.own('POST', `${event.base}/publish`, {});
    this.rush = event;
  }

  /** Nothing is asked; and a list at its door. */
  async #fair() {
    const event = await this.event(`Bücherfest (${this.name})`);
    event.day = await this.type(event, 'Tageskarte', 900);
    event.list = await this.own('POST', `${event.base}/lists`, { name: 'Eingang', attendance: true, multiple_entry: false, reentry_after_exit: true });
    await this.own('POST', `${event.base}/publish`, {});
    this.fair = event;
  }

  async #secondFactor() {
    const { secret } = await this.own('POST', '/auth/totp', { password: PASSWORD });
    this.secret = secret;
    // The code of the last half minute: the one of now is for the page.
    const { access_token } = await this.own('POST', '/auth/totp/confirm', { code: totp(secret, -1) });
    this.token = access_token;
  }

  /** A guest's paid purchase over the API. */
  buy(event, type, who, quantity = 1) {
    return must('POST', '/tickets/purchase', {
      event_id: event.event_id, email: this.address(who), items: [{ ticket_type_id: type.ticket_type_id, quantity }],
      payment: { method: 'simulated', token: 'tok_always_succeeds' },
    });
  }

  validate(code, more) {
    return this.own('POST', '/tickets/validate', { code, ...more });
  }

  /** Payments of a booking, as the organizer sees them. */
  async payments(bookingId) {
    const path = `/payment/history?booking_id=${bookingId}&type=payment`;
    const { items } = await must('GET', path, undefined, { token: this.token, headers: { 'Organizer-Id': this.organizer } });
    return items.map((t) => t.status).sort();
  }
}

/** An organizer whose own account with Stripe takes the money. */
export async function cardWorld(name) {
  const world = new World(name);
  world.token = await account(world.owner);
  await world.found('Kartenhaus');
  await world.own('PUT', '/organizer/payment/stripe', { secret_key: 'sk_test_double', publishable_key: 'pk_test_double', webhook_secrets: ['whsec_double'] });
  const event = await world.event('Kartenabend');
  event.seat = await world.type(event, 'Sitzplatz', 3_000);
  await world.own('POST', `${event.base}/publish`, {});
  world.evening = event;
  return world;
}
