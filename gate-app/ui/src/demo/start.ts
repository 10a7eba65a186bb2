/** The window with the stand-in instead of the app: `npm run dev`. */
import { mount, tick } from 'svelte';
import App from '../App.svelte';
import { LANGUAGES } from '../lib/contract';
import type { Gate } from '../lib/gate.svelte';
import { MockApp } from '../lib/mock';
import Bar from './Bar.svelte';
import { SCENARIOS } from './scenarios';

export function startDemo(target: HTMLElement): void {
  const query = new URLSearchParams(location.search);
  const name = query.get('scenario') ?? 'ready';
  const scenario = SCENARIOS[name] ?? {};
  const app = new MockApp();
  const language = LANGUAGES.find((l) => l === query.get('lang'));
  if (language) app.state.settings.language = language;
  scenario.prepare?.(app);
  const made: { gate?: Gate } = {};
  mount(App, { target, props: { bridge: app, made: (gate: Gate) => (made.gate = gate) } });
  if (query.get('bar') !== '0') mount(Bar, { target: document.body, props: { app, name } });
  void (async () => {
    while (!made.gate?.state) await new Promise((done) => setTimeout(done, 10));
    await tick();
    await scenario.play?.(made.gate, app);
    await tick();
    document.documentElement.dataset['ready'] = name;
  })();
}
