// A browser of web-push-testing subscribes, something is bought, the notice arrives decrypted; expired, it is forgotten.
import assert from 'node:assert/strict';

const [server, service] = process.argv.slice(2);

const call = async (method, url, body, headers = {}) => {
  const reply = await fetch(url, {
    method,
    headers: { 'content-type': 'application/json', ...headers },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await reply.text();
  const json = reply.headers.get('content-type')?.includes('json');
  return { status: reply.status, body: json && text ? JSON.parse(text) : text };
};
const must = async (status, ...asked) => {
  const reply = await call(...asked);
  assert.equal(reply.status, status, `${asked[0]} ${asked[1]}: ${JSON.stringify(reply.body)}`);
  return reply.body;
};
const until = async (what, look) => {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const found = await look();
    if (found) return found;
    assert.ok(Date.now() < deadline, `${what}: nothing within 30 seconds`);
    await new Promise((done) => setTimeout(done, 100));
  }
};

const account = { email: `push-${Date.now()}@example.org`, password: 'correct horse battery staple' };
const session = await must(200, 'POST', `${server}/auth/v1/signup`, account);
const me = { authorization: `Bearer ${session.access_token}` };
const { public_key: key } = await must(200, 'GET', `${server}/notifications/push/key`, undefined, me);
const { data: browser } = await must(200, 'POST', `${service}/subscribe`, {
  userVisibleOnly: 'true',
  applicationServerKey: key,
});
await must(201, 'POST', `${server}/notifications/push`, { endpoint: browser.endpoint, keys: browser.keys }, me);

const found = await must(200, 'GET', `${server}/events/search`);
const buy = async () => {
  for (const { event_id } of found.items) {
    const event = await must(200, 'GET', `${server}/events/${event_id}`);
    for (const { ticket_type_id } of event.ticket_types ?? []) {
      const bought = await call('POST', `${server}/tickets/purchase`, {
        event_id,
        items: [{ ticket_type_id, quantity: 1 }],
        payment: { method: 'simulated', token: 'tok_always_succeeds' },
      }, me);
      if (bought.status === 201) return event.title;
    }
  }
  throw new Error('nothing of the demonstration can be bought');
};
const title = await buy();
const [message] = await until('the notice', async () => {
  const { data } = await must(200, 'POST', `${service}/get-notifications`, { clientHash: browser.clientHash });
  return data.messages.length > 0 && data.messages;
});
const told = typeof message === 'string' ? JSON.parse(message) : message;
assert.ok(told.title.includes(title), JSON.stringify(told));
assert.ok(told.url.startsWith('http'), 'it leads somewhere');

await must(200, 'POST', `${service}/expire-subscription/${browser.clientHash}`);
await buy();
await until('forgetting', async () => {
  const list = await must(200, 'GET', `${server}/notifications/push`, undefined, me);
  return list.items.length === 0;
});
console.log('web-push: a notice arrived decrypted, and the expired browser is forgotten');
