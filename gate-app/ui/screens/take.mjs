// Pictures of every screen, from the built demonstration under the same strict policy as the product:
//   npm run build:demo && npm run screens [-- NAME…] [--lang=de] [--size=phone]
// They land in screens/out. Needs Chromium (CHROMIUM, by default /usr/bin/chromium). Ends with 1 if a page complained.
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const root = fileURLToPath(new URL('..', import.meta.url));
const out = `${root}screens/out`;
const SIZES = {
  small: { width: 320, height: 600, touch: true },
  phone: { width: 390, height: 844, touch: true },
  tablet: { width: 820, height: 1180, touch: true },
  desktop: { width: 1280, height: 800, touch: false },
};

const args = process.argv.slice(2);
const option = (name) => args.find((a) => a.startsWith(`--${name}=`))?.split('=')[1];
const lang = option('lang') ?? 'en';
const sizes = Object.entries(SIZES).filter(([name]) => !option('size') || name === option('size'));
const source = readFileSync(`${root}src/demo/scenarios.ts`, 'utf8');
const outcomes = [...readFileSync(`${root}src/lib/core.ts`, 'utf8').split('OUTCOMES = [')[1].split(']')[0].matchAll(/'(\w+)'/g)].map((m) => `verdict-${m[1]}`);
const written = [...source.split('SCENARIOS:')[1].matchAll(/^ {2}'?([\w-]+)'?: /gm)].map((m) => m[1]);
const wanted = args.filter((a) => !a.startsWith('--'));
const names = wanted.length > 0 ? wanted : [...new Set([...written, ...outcomes])];

/** Whatever can be pressed is at least 44 by 44 pixels; runs in the page. */
function smallTargets() {
  return [...document.querySelectorAll('button, select, summary, input:not([type=radio], [type=checkbox], [hidden]), label.choice')]
    .filter((element) => element.checkVisibility({ visibilityProperty: true }))
    .map((element) => [element, element.getBoundingClientRect()])
    .filter(([, { width, height }]) => width < 43.99 || height < 43.99)
    .map(([element, { width, height }]) => `${element.outerHTML.slice(0, 80)} is ${width} by ${height}`);
}

/** Runs in the page: it stands still, and where there is a camera its picture is there. */
async function settled() {
  await document.fonts.ready;
  // A verdict's own bar runs for as long as it stays.
  const moving = document.getAnimations().some((a) => a.playState === 'running' && a.effect.getComputedTiming().endTime < 1000);
  const starting = [...document.querySelectorAll('video')].some((video) => !video.videoWidth || getComputedStyle(video).visibility === 'hidden');
  if (moving || starting) return false;
  await new Promise((painted) => requestAnimationFrame(() => requestAnimationFrame(painted)));
  return true;
}

const server = spawn(process.execPath, ['node_modules/vite/bin/vite.js', 'preview', '--mode', 'demo', '--outDir', 'dist-demo', '--port', '4173', '--strictPort', '--host', '127.0.0.1'], { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
await new Promise((ready) => server.stdout.on('data', (text) => String(text).includes('4173') && ready()));
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream', '--autoplay-policy=no-user-gesture-required'],
});
mkdirSync(out, { recursive: true });
let complaints = 0;
try {
  for (const [size, { touch, ...viewport }] of sizes) {
    const context = await browser.newContext({ viewport, hasTouch: touch, isMobile: false, reducedMotion: 'reduce', locale: lang, permissions: ['camera'] });
    for (const name of names) {
      const page = await context.newPage();
      page.on('console', (m) => ['error', 'warning'].includes(m.type()) && (complaints++, console.error(`${name}: ${m.text()}`)));
      page.on('pageerror', (e) => (complaints++, console.error(`${name}: ${e.message}`)));
      await page.goto(`http://127.0.0.1:4173/?scenario=${name}&lang=${lang}&bar=0`);
      await page.waitForSelector(`html[data-ready="${name}"]`, { timeout: 15_000 });
      await page.waitForFunction(settled, null, { timeout: 15_000 });
      const wide = await page.evaluate(() => [document.documentElement, ...document.querySelectorAll('.page, .content, [role=dialog], .inner')].some((e) => e.scrollWidth > e.clientWidth + 1));
      if (wide) (complaints++, console.error(`${name} at ${size}: wider than the window`));
      for (const small of await page.evaluate(smallTargets)) (complaints++, console.error(`${name} at ${size}: ${small}`));
      await page.screenshot({ path: `${out}/${name}.${size}.${lang}.png` });
      await page.close();
    }
    await context.close();
  }
} finally {
  await browser.close();
  server.kill();
}
console.log(`${names.length} screens, ${sizes.length} sizes, ${complaints} complaints`);
process.exitCode = complaints > 0 ? 1 : 0;
