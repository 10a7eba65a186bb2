/** The whole window over the stand-in, for tests that press its buttons. Importing it makes and clears both for each test. */
import { cleanup, configure, fireEvent, render, screen } from '@testing-library/svelte';
import { tick } from 'svelte';
import { afterEach, beforeEach, expect, vi } from 'vitest';
import App from '../src/App.svelte';
import type { Gate } from '../src/lib/gate.svelte';
import { CATALOGUES } from '../src/lib/i18n/index.svelte';
import { MockApp, PIN } from '../src/lib/mock';

// Whether something is visible costs a computed style per element, and no style is loaded here.
configure({ defaultHidden: true });

export const { en } = CATALOGUES;
export const START = Date.parse('2026-11-21T19:00:00Z');
/** The stand-in of each test, and the window's own state once it is open. */
export let app: MockApp;
export let gate: Gate;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date', 'performance', 'requestAnimationFrame', 'cancelAnimationFrame'] });
  vi.setSystemTime(START);
  app = new MockApp();
});
afterEach(() => {
  cleanup();
  vi.useRealTimers();
});

export async function settle(ms = 0): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
  await tick();
}

export async function open(): Promise<void> {
  render(App, { bridge: app, made: (made: Gate) => (gate = made) });
  await settle();
}

export async function scan(text: string): Promise<void> {
  await gate.scanning.scan(text, 'reader');
  await settle();
}

export const called = (command: string): unknown[] => app.calls.filter((c) => c.command === command).map((c) => c.args);
/** By its name, the quick way: computing roles and names of the whole page takes jsdom half a second. */
export function button(name: string): HTMLElement {
  const named = (b: HTMLElement): boolean => (b.getAttribute('aria-label') ?? b.textContent.trim()) === name;
  const found = [...document.querySelectorAll('button')].filter(named);
  expect(found.map((b) => b.outerHTML), name).toHaveLength(1);
  return found[0]!;
}
export const bar = (): HTMLElement | null => document.querySelector('header[aria-label]');
export const click = async (name: string): Promise<void> => {
  await fireEvent.click(button(name));
  await settle();
};

export async function enterPin(pin: string): Promise<void> {
  await fireEvent.input(screen.getByLabelText(/^PIN of/), { target: { value: pin } });
  await click(en['pin.enter']);
}

export async function unlock(): Promise<void> {
  await click(en['nav.supervisor']);
  await fireEvent.click(screen.getByText('Shift lead'));
  await settle();
  await enterPin(PIN);
}
