import './app.css';
import { mount } from 'svelte';
import App from './App.svelte';
import { CATALOGUES, preferred } from './lib/i18n/index.svelte';
import { insideApp, tauri } from './lib/tauri';

const target = document.getElementById('app');
if (!target) throw new Error('the page has no place for the app');

if (import.meta.env.MODE === 'demo') {
  // Left out of every other build: the condition is a constant there.
  const { startDemo } = await import('./demo/start');
  startDemo(target);
} else if (insideApp()) {
  mount(App, { target, props: { bridge: tauri } });
} else {
  target.textContent = CATALOGUES[preferred(navigator.languages)]['app.outside'];
}
