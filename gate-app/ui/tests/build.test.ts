// @vitest-environment node
/** What is shipped: no stand-in, nothing from elsewhere, nothing that a strict policy forbids. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { MOCK_MARK } from '../src/lib/mock';

const root = fileURLToPath(new URL('..', import.meta.url));
const out = mkdtempSync(join(tmpdir(), 'gate-ui-'));
let html = '';
let files: { name: string; text: string }[] = [];

function build(mode: string): { name: string; text: string }[] {
  const dir = join(out, mode);
  execFileSync(process.execPath, ['node_modules/vite/bin/vite.js', 'build', '--mode', mode, '--outDir', dir, '--logLevel', 'error'], { cwd: root, env: { ...process.env, NODE_ENV: 'production', VITEST: '' } });
  return readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .filter((name) => statSync(join(dir, name)).isFile())
    .map((name) => ({ name, text: readFileSync(join(dir, name), 'utf8') }));
}

beforeAll(() => {
  files = build('production');
  html = files.find((file) => file.name === 'index.html')?.text ?? '';
}, 60_000);
afterAll(() => rmSync(out, { recursive: true, force: true }));

it('the stand-in and the demonstration are not in it, though they are in the demonstration', () => {
  expect(files.filter(({ text }) => text.includes(MOCK_MARK) || text.includes('DEMO:'))).toEqual([]);
  expect(build('demo').some(({ text }) => text.includes(MOCK_MARK))).toBe(true);
}, 60_000);

it('the page has no script or style of its own, and a policy that forbids them', () => {
  expect(html).toMatch(/<script type="module"[^>]* src="\.\/assets\//);
  expect(html).not.toMatch(/<script(?![^>]*\bsrc=)/);
  expect(html).not.toMatch(/<style|\sstyle=|\son\w+=/);
  const policy = /Content-Security-Policy" content="([^"]+)"/.exec(html)?.[1]?.replaceAll('&#39;', "'") ?? '';
  expect(policy).toContain("default-src 'none'");
  expect(policy).not.toMatch(/unsafe|\*|https:/);
});

it('no component writes a style attribute or evaluates text', () => {
  const scripts = files.filter(({ name }) => name.endsWith('.js'));
  expect(scripts.length).toBeGreaterThan(0);
  for (const { text } of scripts) {
    expect(text).not.toMatch(/<[a-z]+[^<>`]* style="/);
    expect(text).not.toMatch(/\beval\(|new Function\(/);
  }
});

it('nothing is fetched from elsewhere', () => {
  // Names of namespaces, and links in messages of the framework, are never fetched.
  const allowed = /^https?:\/\/(www\.w3\.org|svelte\.dev|ipc\.localhost|tickets\.example(\.org)?)(\/|$|\b)/;
  for (const { text } of files) {
    const addresses = [...text.matchAll(/https?:\/\/[\w.-]+/g)].map((m) => m[0]);
    expect(addresses.filter((address) => !allowed.test(address))).toEqual([]);
    expect(text).not.toMatch(/@font-face|@import/);
  }
});

it('is small', () => {
  const bytes = files.reduce((sum, { text }) => sum + text.length, 0);
  expect(bytes).toBeLessThan(400_000);
});
