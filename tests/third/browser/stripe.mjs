// Doubles of Stripe, for what our pages and our server ask of it. As a process: its API, so far as payments by card need it
// (prints its address). As a module: its script and frames, laid over js.stripe.com and hooks.stripe.com in the browser.
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';

/** Numbers that Stripe gives out for tests, and what becomes of them. */
export const CARDS = { good: '4242424242424242', declined: '4000000000000002', asks: '4000002500003155' };

const SCRIPT = `
window.Stripe = (key, { locale }) => {
  if (!key.startsWith('pk_')) throw new Error('this is no publishable key');
  const show = (src, title, into) => {
    const frame = document.createElement('iframe');
    Object.assign(frame, { src, title, width: '100%', height: '110' });
    frame.style.border = '0';
    into.append(frame);
    return frame;
  };
  const told = (origin) => new Promise((resolve) => {
    const hear = (event) => {
      if (event.origin !== origin) return;
      removeEventListener('message', hear);
      resolve(event.data);
    };
    addEventListener('message', hear);
  });
  return {
    elements(options) {
      const { mode, amount, currency, paymentMethodCreation } = options;
      if (mode !== 'payment' || !Number.isInteger(amount) || currency !== currency.toLowerCase() || paymentMethodCreation !== 'manual') throw new Error('wrong options');
      let frame;
      return {
        create(kind) {
          if (kind !== 'payment') throw new Error('no such element');
          return { mount: (where) => { frame = show('https://js.stripe.com/v3/double/form?' + new URLSearchParams({ locale }), 'Card', document.querySelector(where)); } };
        },
        update() {},
        async submit() {
          const answer = told('https://js.stripe.com');
          frame.contentWindow.postMessage('number', 'https://js.stripe.com');
          this.number = await answer;
          return this.number ? {} : { error: { message: 'Your card number is incomplete.' } };
        },
      };
    },
    async createPaymentMethod({ elements }) {
      const body = new URLSearchParams({ type: 'card', 'card[number]': elements.number, key });
      const answer = await fetch('https://api.stripe.com/v1/payment_methods', { method: 'POST', body });
      return { paymentMethod: await answer.json() };
    },
    async handleNextAction({ clientSecret }) {
      const answer = told('https://hooks.stripe.com');
      const frame = show('https://hooks.stripe.com/double/bank?' + new URLSearchParams({ secret: clientSecret }), 'Bank', document.querySelector('main'));
      const done = await answer;
      frame.remove();
      return done === 'confirmed' ? { paymentIntent: {} } : { error: { message: 'We are unable to authenticate your payment method.' } };
    },
  };
};`;
const FORM = `<!doctype html><html lang="en"><title>Card</title><label for="number">Card number</label> <input id="number" inputmode="numeric">
<script>addEventListener('message', (e) => e.source.postMessage(document.getElementById('number').value, e.origin));</script>`;
const BANK = `<!doctype html><html lang="en"><title>Bank</title><button id="yes">Confirm</button> <button id="no">Refuse</button>
<script>
const say = (what) => fetch('https://api.stripe.com/double/bank', { method: 'POST', body: new URLSearchParams({ secret: new URLSearchParams(location.search).get('secret'), what }) }).then(() => parent.postMessage(what, '*'));
document.getElementById('yes').onclick = () => say('confirmed');
document.getElementById('no').onclick = () => say('refused');
</script>`;

/** Lays the doubles over Stripe's addresses in a browser; `api` is the process's address. */
export async function lay(context, api) {
  const html = (body) => (route) => route.fulfill({ contentType: 'text/html', body });
  await context.route('https://js.stripe.com/v3/', (route) => route.fulfill({ contentType: 'text/javascript', body: SCRIPT }));
  await context.route('https://js.stripe.com/v3/double/form*', html(FORM));
  await context.route('https://hooks.stripe.com/double/bank*', html(BANK));
  await context.route('https://api.stripe.com/**', async (route) => {
    const request = route.request();
    const answer = await fetch(api + new URL(request.url()).pathname, { method: 'POST', body: request.postData(), headers: { 'Content-Type': 'application/x-www-form-urlencoded' } });
    await route.fulfill({ status: answer.status, contentType: 'application/json', headers: { 'Access-Control-Allow-Origin': '*' }, body: await answer.text() });
  });
}

/** Stripe's API: intents that are created and confirmed in one call, and the bank behind them. */
function serve() {
  const intents = new Map();
  const answers = new Map();
  let n = 0;
  const refused = (intent) => [402, { error: { type: 'card_error', code: 'card_declined', decline_code: 'generic_decline', payment_intent: intent } }];
  const created = (form) => {
    const id = `pi_double_${++n}`;
    const metadata = Object.fromEntries(Object.entries(form).map(([k, v]) => [/^metadata\[(.*)\]$/.exec(k)?.[1], v]).filter(([k]) => k));
    const amount = Number(form.amount);
    const intent = { id, object: 'payment_intent', amount, amount_received: 0, currency: form.currency, metadata, client_secret: `${id}_secret_double`, status: 'requires_payment_method' };
    intents.set(id, intent);
    const number = form.payment_method.replace('pm_double_', '');
    if (number === CARDS.good) return paid(intent);
    if (number === CARDS.asks) {
      Object.assign(intent, { status: 'requires_action', next_action: { type: 'use_stripe_sdk' } });
      return [200, intent];
    }
    intent.last_payment_error = { type: 'card_error', code: 'card_declined' };
    return refused(intent);
  };
  const paid = (intent) => {
    Object.assign(intent, { status: 'succeeded', amount_received: intent.amount, latest_charge: `ch_${intent.id}`, next_action: null });
    return [200, intent];
  };
  const bank = ({ secret, what }) => {
    const intent = [...intents.values()].find((i) => i.client_secret === secret);
    if (what === 'confirmed') return paid(intent);
    Object.assign(intent, { status: 'requires_payment_method', next_action: null, last_payment_error: { type: 'card_error', code: 'payment_intent_authentication_failure' } });
    return [200, intent];
  };
  const route = (method, path, form) => {
    const [, , , id, verb] = path.split('/');
    if (path === '/v1/account') return [200, { id: 'acct_double', object: 'account' }];
    if (path === '/v1/payment_methods') return [200, { id: `pm_double_${form['card[number]']}`, object: 'payment_method' }];
    if (path === '/double/bank') return bank(form);
    if (method === 'POST' && path === '/v1/payment_intents') return created(form);
    const intent = path.startsWith('/v1/payment_intents/') && intents.get(id);
    if (!intent) return [404, { error: { type: 'invalid_request_error', code: 'resource_missing' } }];
    if (verb === 'cancel') intent.status = 'canceled';
    return [200, intent];
  };
  const server = createServer(async (request, reply) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const key = request.headers['idempotency-key'];
    const path = new URL(request.url, 'http://double').pathname;
    const [status, told] = answers.get(key) ?? route(request.method, path, Object.fromEntries(new URLSearchParams(body)));
    if (key) answers.set(key, [status, structuredClone(told)]);
    reply.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(told));
  });
  server.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) serve();
