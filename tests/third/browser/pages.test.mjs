// The pages as people meet them: found, bought, shown at the door, handed on, watched by the organizer; on a phone and on
// a desk; with every state looked at for whom it locks out, which words it lacks and what it complains of.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { complete, delivered, launch, open, scan, state } from './look.mjs';
import { CARDS, lay } from './stripe.mjs';
import { account, call, cardWorld, linkIn, mail, must, PASSWORD, totp, until, url, World } from './world.mjs';

let browser;
let started;
before(async () => { started = await launch(); browser = started.browser; });
after(() => started?.close());

const text = (page, id) => page.locator(`#${id}`).innerText();
const shows = (page, id, what) => page.locator(`#${id}`, { hasText: what }).waitFor();
/** The select that says how many of a ticket type. */
const howMany = (type) => `#n-${type.ticket_type_id}`;

// Side by side: each has a browser's profile and an organizer of its own.
describe('the pages', { concurrency: true }, () => {
  for (const device of ['phone', 'desktop']) {
    describe(device, { concurrency: 1 }, () => {
      const world = new World(device);
      let eyes;
      let page;
      before(async () => {
        await world.build();
        eyes = await open(browser, device);
        ({ page } = eyes);
      });
      after(() => eyes?.context.close());

      /** Reserves on an event's page; leads to the booking's. */
      async function reserve(event, type, who, quantity = 1) {
        await page.goto(url + event.page);
        await page.selectOption(howMany(type), String(quantity));
        await page.fill('#email', world.address(who));
        await page.click('#buy');
        await page.waitForURL('**/web/bookings/*');
        await page.waitForSelector('#outcome');
        return page.url().split('/').pop().split('#')[0];
      }

      const pay = (outcome) => page.selectOption('#outcome', outcome).then(() => page.locator('#offer button').first());

      /** The booking as the page's own secret opens it. */
      async function booking(id) {
        const { secret } = await page.evaluate((of) => JSON.parse(localStorage.getItem(`hvflvspot.kept.bookings.${of}`)), id);
        return { ...(await must('GET', `/bookings/${id}`, undefined, { secret })), secret };
      }

      test('an event is found by a misspelt word', async () => {
        await page.goto(`${url}/web/`);
        await page.waitForSelector('#list li');
        await state(eyes, 'home');
        await page.fill('#q', 'xyzzyqwv');
        await page.press('#q', 'Enter');
        await shows(page, 'found', 'xyzzyqwv');
        await state(eyes, 'home nothing found');
        await page.fill('#q', `Nachtkonzret Fluss ${device}`);
        await page.click('#find');
        await page.locator('#list a', { hasText: world.concert.title }).first().click();
        await page.waitForURL(url + world.concert.page);
        await shows(page, 'title', world.concert.title);
        eyes.troubles.check();
      });

      test('a guest answers questions, is declined, pays once with two clicks, and has codes that scan', async () => {
        await page.goto(url + world.concert.page);
        await page.waitForSelector(howMany(world.concert.standing));
        await state(eyes, 'event');
        await page.click('#buy');
        await shows(page, 'wrong', 'Choose how many');
        await page.selectOption(howMany(world.concert.standing), '2');
        assert.equal(await page.locator('#people fieldset').count(), 2);
        assert.match(await text(page, 'sum'), /53\.00/);
        await page.click('#buy');
        await shows(page, 'wrong', 'answer every question');
        const people = page.locator('#people fieldset');
        for (const n of [0, 1]) {
          await people.nth(n).locator('input').first().fill(`Gast ${n + 1}`);
          await people.nth(n).getByLabel('Essen').selectOption('Suppe');
        }
        await page.click('#buy');
        await shows(page, 'wrong', 'valid e-mail');
        await state(eyes, 'event filled in');
        await page.fill('#email', world.address('guest'));
        await page.click('#buy');
        await page.waitForSelector('#outcome');
        const id = page.url().split('/').pop().split('#')[0];
        assert.ok(!page.url().includes('secret'), 'the secret does not stay in the address');
        await state(eyes, 'booking held');
        await (await pay('tok_declined')).click();
        await shows(page, 'wrong', 'declined');
        await state(eyes, 'booking declined');
        let asked = 0;
        page.on('request', (request) => { if (request.url().endsWith('/payment/process')) asked += 1; });
        await (await pay('tok_always_succeeds')).dblclick();
        await shows(page, 'state', 'Paid');
        assert.equal(asked, 1, 'two clicks are one payment');
        assert.deepEqual(await world.payments(id), ['completed', 'failed']);
        assert.equal(await page.evaluate(() => document.activeElement.id), 'state', 'who does not see is told');
        await state(eyes, 'booking paid');
        const { tickets } = await booking(id);
        const codes = page.locator('.qr');
        assert.equal(await codes.count(), 2);
        for (const [n, ticket] of tickets.entries()) assert.equal(await scan(codes.nth(n)), ticket.code, 'the picture is the code');
        const more = (name) => () => page.locator('#more button', { hasText: name }).click();
        assert.ok((await delivered(page, more('PDF'))).text.startsWith('%PDF-'));
        assert.ok((await delivered(page, more('Receipt'))).text.startsWith('%PDF-'));
        assert.ok((await delivered(page, more('calendar'))).text.startsWith('BEGIN:VCALENDAR'));
        world.bought = { id, path: `/web/bookings/${id}` };
        eyes.troubles.check('422 POST /payment/process');
      });

      test('back after the payment leads to no second one', async () => {
        await page.goBack();
        await page.waitForURL(url + world.concert.page);
        await page.waitForSelector('#before-link');
        assert.equal(await page.inputValue(howMany(world.concert.standing)), '0');
        await page.click('#before-link');
        await shows(page, 'state', 'Paid');
        assert.equal(await page.locator('.qr').count(), 2);
        eyes.troubles.check();
      });

      test('tickets open without a network', async () => {
        await page.goto(url + world.bought.path);
        await page.evaluate(() => navigator.serviceWorker.ready);
        await page.waitForFunction(() => caches.has('hvflvspot-tickets-3').then(async (has) => has && (await (await caches.open('hvflvspot-tickets-3')).keys()).length >= 5));
        await eyes.setOffline(true);
        await page.reload();
        await shows(page, 'notice', 'No network');
        const { tickets: [ticket] } = await booking(world.bought.id);
        assert.equal(await scan(page.locator('.qr').first()), ticket.code);
        await state(eyes, 'booking offline');
        await eyes.setOffline(false);
        await page.locator('#notice').waitFor({ state: 'hidden' });
        eyes.troubles.check();
      });

      test('a ticket is handed on with a mailed code, and the old one is dead', async () => {
        await page.goto(url + world.bought.path);
        await shows(page, 'state', 'Paid');
        const { tickets: [mine] } = await booking(world.bought.id);
        const card = page.locator('article').first();
        await card.locator('summary').click();
        await card.locator('form button').click();
        await shows(page, 'wrong', 'valid e-mail');
        await card.getByLabel('Their e-mail').fill(world.address('friend'));
        await card.getByLabel('Their name').fill('Eine Freundin');
        await state(eyes, 'booking hand on', { languages: false });
        await card.locator('form button').click();
        const field = card.locator('input[autocomplete=one-time-code]');
        await field.fill('000000');
        await card.locator('form button').click();
        await shows(page, 'wrong', 'not the code');
        const { text: letter } = await mail(world.address('guest'), 'ticket.code');
        await field.fill(letter.match(/^\s*(\d{6})\s*$/m)[1]);
        await card.locator('form button').click();
        await shows(page, 'notice', world.address('friend'));
        await shows(page, 'tickets', 'Handed on');
        await state(eyes, 'booking handed on');
        const link = linkIn(await mail(world.address('friend'), 'ticket.received'));
        await page.goto(url + link.pathname + link.hash);
        await page.waitForSelector('.qr');
        const theirs = await scan(page.locator('.qr'));
        assert.notEqual(theirs, mine.code);
        assert.equal((await world.validate(theirs)).outcome, 'ok');
        assert.equal((await world.validate(mine.code)).outcome, 'superseded');
        await state(eyes, 'ticket received');
        eyes.troubles.check(`403 POST /tickets/${mine.ticket_id}/transfer`);
      });

      test('codes open what is hidden and lower what is paid', async () => {
        await page.goto(url + world.concert.page);
        await page.waitForSelector('#code-title');
        await page.click('#code-title');
        const hidden = howMany(world.concert.hidden);
        assert.equal(await page.locator(hidden).count(), 0);
        await page.fill('#promo', 'NOSUCH');
        await page.click('#apply');
        await shows(page, 'code-said', 'does not hold');
        await page.fill('#promo', 'backstage');
        await page.press('#promo', 'Enter');
        await page.waitForSelector(hidden);
        await state(eyes, 'event unlocked');
        await page.selectOption(hidden, '1');
        await page.fill('#email', world.address('coded'));
        // Questions are for the other type; who will come may be said all the same.
        await page.click('#buy');
        await page.waitForSelector('#outcome');
        // 10 % of 79.00 off, and 1.50 fee.
        assert.match(await text(page, 'facts'), /72\.60/);
        await page.locator('#offer button', { hasText: 'do not want' }).click();
        await page.waitForFunction(() => document.getElementById('offer').hidden);
        await state(eyes, 'booking given up');
        eyes.troubles.check(`422 POST /events/${world.concert.event_id}/unlock`);
      });

      test('what is sold out can be waited for', async () => {
        await page.goto(url + world.club.page);
        await page.locator('#types button', { hasText: 'waiting list' }).click();
        await shows(page, 'wrong', 'valid e-mail');
        await state(eyes, 'event sold out');
        await page.fill('#email', world.address('patient'));
        await page.locator('#types button', { hasText: 'waiting list' }).click();
        await page.waitForURL('**/web/bookings/*');
        await shows(page, 'state', 'place 1');
        await state(eyes, 'waiting list');
        await page.locator('#offer button', { hasText: 'Leave' }).click();
        await shows(page, 'state', 'is over');
        // The place is looked for where a booking would stand.
        eyes.troubles.check(/^404 GET \/bookings\//);
      });

      test('a rush waits in line and is let in', async () => {
        for (const _ of [1, 2]) await must('POST', `/events/${world.rush.event_id}/queue`);
        await page.goto(url + world.rush.page);
        await shows(page, 'room-text', 'before you');
        assert.ok(await page.locator('#order').isHidden());
        await state(eyes, 'waiting room');
        await shows(page, 'room-text', 'It is your turn');
        await page.waitForSelector('#order:not([hidden])');
        await state(eyes, 'waiting room let in');
        eyes.troubles.check();
      });

      test('a purchase takes nothing but a keyboard', async () => {
        await page.goto(url + world.fair.page);
        await page.waitForSelector(howMany(world.fair.day));
        /** Goes on by Tab until it is there. */
        const tabTo = async (selector) => {
          for (let n = 0; n < 40; n += 1) {
            if (await page.evaluate((s) => document.activeElement?.matches(s), selector)) return;
            await page.keyboard.press('Tab');
          }
          assert.fail(`no way to ${selector} by Tab`);
        };
        await tabTo(howMany(world.fair.day));
        await page.keyboard.press('1');
        assert.match(await text(page, 'sum'), /10\.50/);
        await tabTo('#email');
        await page.keyboard.type(world.address('keys'));
        await page.keyboard.press('Enter');
        await page.waitForURL('**/web/bookings/*');
        await page.waitForSelector('#outcome');
        await tabTo('#outcome');
        await page.keyboard.press('ArrowDown');
        await tabTo('#offer button');
        await page.keyboard.press('Enter');
        await shows(page, 'state', 'Paid');
        eyes.troubles.check();
      });

      test('two tabs pay one booking once', async () => {
        const id = await reserve(world.fair, world.fair.day, 'tabs');
        const other = await eyes.context.newPage();
        await other.goto(url + new URL(page.url()).pathname);
        await other.waitForSelector('#outcome');
        await (await pay('tok_always_succeeds')).click();
        await shows(page, 'state', 'Paid');
        await other.selectOption('#outcome', 'tok_always_succeeds');
        await other.locator('#offer button').first().click();
        await shows(other, 'state', 'Paid');
        assert.equal(await text(other, 'wrong'), '');
        await other.close();
        assert.deepEqual(await world.payments(id), ['completed']);
        eyes.troubles.check('409 POST /payment/process');
      });

      test('a payment that the bank asks about goes on where it stopped', async () => {
        const id = await reserve(world.fair, world.fair.day, 'asked');
        await (await pay('tok_requires_action')).click();
        await shows(page, 'state', 'waits for you');
        await state(eyes, 'booking to confirm');
        await page.reload();
        await page.locator('#offer button', { hasText: 'Confirm' }).click();
        await shows(page, 'state', 'Paid');
        assert.deepEqual(await world.payments(id), ['completed']);
        eyes.troubles.check();
      });

      test('an organizer signs in with two factors and sees arrivals rise', async () => {
        await page.goto(`${url}/web/organizer/`);
        await page.waitForSelector('#email');
        await state(eyes, 'organizer sign in');
        await page.fill('#email', world.owner);
        await page.fill('#password', 'not the password');
        await page.click('#enter');
        await shows(page, 'wrong', 'not right');
        await page.fill('#password', PASSWORD);
        await page.press('#password', 'Enter');
        await page.waitForSelector('#code');
        await state(eyes, 'organizer second factor');
        await page.fill('#code', '000000');
        await page.click('#confirm');
        await shows(page, 'wrong', 'not right');
        await page.fill('#code', totp(world.secret));
        await page.click('#confirm');
        await page.locator('#list a', { hasText: world.fair.title }).waitFor();
        await state(eyes, 'organizer events');
        await page.locator('#list a', { hasText: world.fair.title }).click();
        await shows(page, 'age', 'Live');
        const admitted = page.locator('#figures > div').nth(1).locator('dd').first();
        const before = Number(await admitted.innerText());
        const asked = [];
        page.on('request', (request) => { if (/\/stats(\/live)?$/.test(request.url())) asked.push(request); });
        const { tickets } = await world.buy(world.fair, world.fair.day, 'crowd', 3);
        const enter = (ticket) => world.validate(ticket.code, { check_in: { list_id: world.fair.list.list_id } });
        assert.equal((await enter(tickets[0])).outcome, 'ok');
        assert.equal((await enter(tickets[0])).outcome, 'already_admitted');
        await until('the figure rises', async () => Number(await admitted.innerText()) === before + 1);
        await page.locator('#tables table', { hasText: 'Latest at the door' }).locator('td', { hasText: 'Refused: already inside' }).waitFor();
        assert.deepEqual(asked, [], 'it is told, not asked for');
        await state(eyes, 'organizer live');
        // The line breaks; it goes on from where it was.
        await eyes.setOffline(true);
        await shows(page, 'notice', 'No answer since');
        assert.doesNotMatch(await text(page, 'age'), /Live/);
        await state(eyes, 'organizer no answer');
        await enter(tickets[1]);
        asked.length = 0;
        await eyes.setOffline(false);
        await until('the figure rises again', async () => Number(await admitted.innerText()) === before + 2);
        await shows(page, 'age', 'Live');
        const back = asked.findLast((request) => request.url().endsWith('/live'));
        assert.match(await back.headerValue('last-event-id'), /^\d+\.[0-9a-f]{8}$/);
        const sheet = await delivered(page, () => page.locator('#files button', { hasText: 'Tickets (CSV)' }).click());
        assert.ok(sheet.name.endsWith('.csv') && sheet.text.includes(tickets[0].ticket_id));
        const list = await delivered(page, () => page.locator('#files button', { hasText: 'Door list' }).click());
        assert.ok(list.text.includes('<!doctype html>') || list.text.includes('<!DOCTYPE html>'));
        eyes.troubles.check('401 GET /auth/verify', '401 POST /auth/session', /^403 GET \/organizer\//, '422 POST /auth/totp/verify');
      });

      test('where the stream is refused the figures are asked for', async () => {
        const refuse = (route) => route.fulfill({ status: 503, contentType: 'application/problem+json', body: '{"code":"overloaded"}' });
        await page.route('**/stats/live', refuse);
        await page.reload();
        await shows(page, 'age', 'As of');
        assert.doesNotMatch(await text(page, 'age'), /Live/);
        const admitted = page.locator('#figures > div').nth(1).locator('dd').first();
        const before = Number(await admitted.innerText());
        const { tickets: [ticket] } = await world.buy(world.fair, world.fair.day, 'late');
        await world.validate(ticket.code, { check_in: { list_id: world.fair.list.list_id } });
        await until('the figure rises', async () => Number(await admitted.innerText()) === before + 1);
        await page.unroute('**/stats/live', refuse);
        await page.click('#leave');
        await page.waitForSelector('#email');
        eyes.troubles.check(/^503 GET .*\/stats\/live$/);
      });

      test('an invitation is accepted', async () => {
        const email = world.address('door');
        await account(email);
        await world.own('POST', '/organizer/invitations', { email, role: 'door' });
        const link = linkIn(await mail(email, 'auth.invitation'));
        await page.goto(url + link.pathname + link.hash);
        await page.waitForSelector('#password');
        await state(eyes, 'invitation');
        await page.fill('#password', 'not the password');
        await page.click('#enter');
        await shows(page, 'wrong', 'password is wrong');
        await page.fill('#password', PASSWORD);
        await page.click('#enter');
        await page.waitForSelector('#accept-now');
        await state(eyes, 'invitation signed in');
        await page.click('#accept-now');
        await shows(page, 'title', 'You are a member');
        await state(eyes, 'invitation accepted');
        await page.goto(url + link.pathname + link.hash);
        await page.reload();
        await shows(page, 'status', 'not open any more');
        await state(eyes, 'invitation over');
        await page.goto(`${url}/web/`);
        await page.waitForSelector('#mine');
        await state(eyes, 'home signed in');
        eyes.troubles.check('401 POST /auth/session', '404 POST /auth/invitations/show');
        await eyes.context.clearCookies();
      });

      test('what is not there is said so', async () => {
        await page.goto(`${url}/web/events/there-is-no-such-event`);
        await shows(page, 'notice', 'no such event');
        await state(eyes, 'event not there');
        await page.goto(`${url}/web/bookings/0192f0c1-0000-7000-8000-000000000001`);
        await shows(page, 'notice', 'opens nothing');
        await state(eyes, 'booking not there');
        eyes.troubles.check('404 GET /events/there-is-no-such-event', /^401 GET \/bookings\//);
      });
    });
  }

  describe('cards', { concurrency: 1 }, () => {
    const api = process.env.STRIPE_DOUBLE;
    let world;
    let eyes;
    let page;
    before(async () => {
      world = await cardWorld('cards');
      eyes = await open(browser, 'phone');
      ({ page } = eyes);
      await lay(eyes.context, api);
    });
    after(() => eyes?.context.close());

    async function toCard(who) {
      await page.goto(url + world.evening.page);
      await page.selectOption(howMany(world.evening.seat), '1');
      await page.fill('#email', world.address(who));
      await page.click('#buy');
      await page.locator('#offer a', { hasText: 'by card' }).click();
      await page.waitForURL('**/card');
      await page.waitForSelector('#card iframe');
      return page.url().split('/').at(-2);
    }

    const number = () => page.frameLocator('#card iframe').locator('#number');
    const paid = async () => {
      await page.waitForURL((to) => !to.pathname.endsWith('/card'));
      await shows(page, 'state', 'Paid');
    };

    test('a card is taken in a frame of the provider’s; another one after a refusal', async () => {
      const id = await toCard('payer');
      await shows(page, 'notice', 'test account');
      await state(eyes, 'card');
      await page.click('#now');
      await shows(page, 'wrong', 'incomplete');
      await number().fill(CARDS.declined);
      await page.click('#now');
      await shows(page, 'wrong', 'declined');
      await number().fill(CARDS.good);
      await page.locator('#now').dblclick();
      await paid();
      assert.equal(await page.locator('.qr').count(), 1);
      await until('what became of the payments', async () => (await world.payments(id)).join() === 'completed,failed');
      await page.goBack();
      await page.waitForURL((to) => !to.pathname.endsWith('/card'));
      eyes.troubles.check('422 POST /payment/process');
    });

    test('the secret of a link is not left in the address, and a reload has it all the same', async () => {
      const id = await toCard('linked');
      const { secret } = await page.evaluate((of) => JSON.parse(localStorage.getItem(`hvflvspot.kept.bookings.${of}`)), id);
      const other = await open(browser, 'desktop');
      try {
        await lay(other.context, api);
        await other.page.goto(`${url}/web/bookings/${id}/card#secret=${secret}`);
        await other.page.waitForSelector('#card iframe');
        assert.equal(other.page.url(), `${url}/web/bookings/${id}/card`);
        await other.page.reload();
        await other.page.waitForSelector('#card iframe');
      } finally {
        await other.context.close();
      }
    });

    test('the bank asks: confirmed, refused, and gone on with after a reload', async () => {
      const bank = (id) => page.frameLocator('iframe[title=Bank]').locator(id);
      await toCard('confirmed');
      await number().fill(CARDS.asks);
      await page.click('#now');
      await bank('#yes').click();
      await paid();

      await toCard('refused');
      await number().fill(CARDS.asks);
      await page.click('#now');
      await bank('#no').click();
      await shows(page, 'wrong', 'declined');
      await number().fill(CARDS.good);
      await page.click('#now');
      await paid();

      const id = await toCard('reloaded');
      await number().fill(CARDS.asks);
      await page.click('#now');
      await bank('#yes').waitFor();
      await page.goto(`${url}/web/bookings/${id}`);
      await shows(page, 'state', 'waits for you');
      await state(eyes, 'booking to confirm by card');
      await page.locator('#offer a', { hasText: 'Confirm' }).click();
      await page.click('#now');
      await bank('#yes').click();
      await paid();
      assert.deepEqual(await world.payments(id), ['completed']);
      eyes.troubles.check('422 POST /payment/process');
    });

    test('without the provider’s script the page says so', async () => {
      await toCard('blocked');
      await eyes.context.route('https://js.stripe.com/v3/', (route) => route.abort());
      await page.reload();
      await shows(page, 'notice', 'could not be loaded');
      await state(eyes, 'card without script');
      eyes.troubles.check(/^net::ERR_FAILED GET https:\/\/js\.stripe\.com\/v3\/$/);
    });

    test('no other page may load it', async () => {
      await page.goto(`${url}/web/`);
      const loaded = await page.evaluate(() => new Promise((done) => {
        const made = document.createElement('script');
        made.src = 'https://js.stripe.com/v3/';
        made.onload = () => done(true);
        made.onerror = () => done(false);
        document.head.append(made);
      }));
      assert.equal(loaded, false);
      eyes.troubles.check(/js\.stripe\.com/);
    });
  });
});

test('every page has all of its words in four languages', async () => {
  const eyes = await open(browser, 'desktop');
  const none = '0192f0c1-0000-7000-8000-000000000001';
  for (const path of ['/web/', '/web/events/any', `/web/bookings/${none}`, `/web/bookings/${none}/card`, '/web/organizer/', '/web/invitation']) await complete(eyes.page, path);
  await eyes.context.close();
});

test('the server took it calmly', async () => {
  const { status, told } = await call('GET', '/health');
  assert.equal(status, 200);
  assert.equal(told.status, 'ok', JSON.stringify(told));
});
