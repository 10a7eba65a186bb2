// A browser with open eyes: what a page complains of, whom it locks out, in which language it lacks words, where it
// overflows, and what its code says to a scanner.
import assert from 'node:assert/strict';
import { mkdtempSync, mkdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import axe from 'axe-core';
import { chromium } from 'playwright-core';
import { url } from './world.mjs';

const require = createRequire(import.meta.url);
const jsQR = require('jsqr');
const { PNG } = require('pngjs');

const LANGUAGES = ['de', 'es', 'fr', 'en'];
/** A folder for pictures, to be looked at by people; none without it. */
const PICTURES = process.env.SCREENSHOTS;
if (PICTURES) mkdirSync(PICTURES, { recursive: true });

export const DEVICES = {
  phone: { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true, colorScheme: 'light' },
  desktop: { viewport: { width: 1280, height: 900 }, deviceScaleFactor: 1, colorScheme: 'dark' },
};

export async function launch() {
  const profile = mkdtempSync(join(tmpdir(), 'hvflvspot-browser-'));
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', `--disk-cache-dir=${profile}`],
  });
  return { browser, async close() { await browser.close(); rmSync(profile, { recursive: true, force: true }); } };
}

/** What pages complained of, and which refusals they met. Each test says which refusals it wanted. */
class Troubles {
  #all = [];

  note(text) { this.#all.push(text); }

  /** Nothing happened but these, given as `status method path-pattern`. */
  check(...wanted) {
    const all = this.#all.splice(0);
    const rest = all.filter((t) => !wanted.some((w) => (w instanceof RegExp ? w : new RegExp(`^${w}$`)).test(t)));
    assert.deepEqual(rest, [], 'a page complained, or was refused what it should have');
  }
}

/** Guests are asked who they are, and are nobody. */
const ALWAYS = ['401 GET /auth/session'];

export async function open(browser, device, more = {}) {
  const context = await browser.newContext({ ...DEVICES[device], locale: 'en-GB', timezoneId: 'Europe/Berlin', acceptDownloads: true, ...more });
  // Long enough for a machine that has much else to do.
  context.setDefaultTimeout(30_000);
  const troubles = new Troubles();
  await context.addInitScript(() => {
    addEventListener('securitypolicyviolation', (e) => console.error(`policy: ${e.violatedDirective} ${e.blockedURI}`));
  });
  let offline = false;
  context.on('page', (page) => {
    page.on('pageerror', (error) => troubles.note(`error: ${error.message}`));
    page.on('console', (said) => {
      // Refusals are noted by themselves, below.
      if (['error', 'warning'].includes(said.type()) && !said.text().startsWith('Failed to load resource')) troubles.note(`console: ${said.text()}`);
    });
    page.on('crash', () => troubles.note('the page crashed'));
    page.on('requestfailed', (request) => {
      const why = request.failure()?.errorText;
      // A page that is left ends what it asked.
      if (!offline && why !== 'net::ERR_ABORTED') troubles.note(`${why} ${request.method()} ${request.url()}`);
    });
  });
  context.on('response', (response) => {
    if (response.status() < 400) return;
    const { pathname } = new URL(response.url());
    const line = `${response.status()} ${response.request().method()} ${pathname}`;
    if (!ALWAYS.includes(line)) troubles.note(line);
  });
  // Nothing goes elsewhere; who needs somewhere else lays a double of it over this.
  await context.route((to) => to.origin !== url, (route) => {
    troubles.note(`elsewhere: ${route.request().url()}`);
    return route.abort();
  });
  const setOffline = async (value) => {
    if (value) offline = true;
    await context.setOffline(value);
    offline = value;
  };
  const page = await context.newPage();
  return { context, page, troubles, setOffline, device };
}

/** Nobody is locked out: no serious or critical violation. */
async function accessible(page, name) {
  if (!await page.evaluate(() => Boolean(window.axe))) await page.evaluate(axe.source);
  const violations = await page.evaluate(async () => {
    const found = await window.axe.run(document, { resultTypes: ['violations'], preload: false, iframes: false });
    return found.violations.filter((v) => ['serious', 'critical'].includes(v.impact)).map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join(' | ')}`);
  });
  assert.deepEqual(violations, [], `${name}: not accessible`);
}

/** Its words are there and fit in every language. A page says itself, as an error, which words it lacks. */
async function speaks(page, name) {
  for (const language of LANGUAGES) {
    await page.selectOption('#language', language);
    const seen = await page.evaluate(() => ({ lang: document.documentElement.lang, wide: document.documentElement.scrollWidth, text: document.body.innerText }));
    assert.equal(seen.lang, language, name);
    const over = seen.wide - page.viewportSize().width;
    assert.ok(over <= 0, `${name} in ${language}: ${over} px too wide`);
    assert.doesNotMatch(seen.text, /\b(undefined|null|NaN)\b|\{\d\}|\[object/, `${name} in ${language}`);
  }
}

/** One state of a page: still, then looked at from all sides. Where words are too long they are so on a phone. */
export async function state({ page, device }, name, { languages = device === 'phone' } = {}) {
  await page.waitForFunction(() => !document.body.hasAttribute('aria-busy'));
  await accessible(page, name);
  if (languages) await speaks(page, name);
  if (PICTURES) await page.screenshot({ path: join(PICTURES, `${name.replace(/\W+/g, '-')}.${device}.png`), fullPage: true });
}

/** Every key of the page's and the common words has four texts. */
export async function complete(page, path) {
  await page.goto(url + path);
  const lacking = await page.evaluate(() => Object.entries({ ...COMMON, ...TEXTS })
    .filter(([, texts]) => texts.length !== LANGUAGES.length || texts.some((text) => !text.trim())).map(([key]) => key));
  assert.deepEqual(lacking, [], path);
}

/** What a scanner reads in a picture on the page. */
export async function scan(element) {
  const { data, width, height } = PNG.sync.read(await element.screenshot());
  return jsQR(new Uint8ClampedArray(data), width, height)?.data;
}

/** The bytes of what a press delivers. */
export async function delivered(page, press) {
  const [download] = await Promise.all([page.waitForEvent('download'), press()]);
  const chunks = [];
  for await (const chunk of await download.createReadStream()) chunks.push(chunk);
  return { name: download.suggestedFilename(), text: Buffer.concat(chunks).toString('latin1') };
}
