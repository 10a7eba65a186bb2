import { svelte } from '@sveltejs/vite-plugin-svelte';
import { svelteTesting } from '@testing-library/svelte/vite';
import type { Plugin } from 'vite';
import { defineConfig } from 'vitest/config';

/**
 * What the built page may do: nothing but its own files, pictures that it made itself, the camera, and the app's
 * command channel. The app's own configuration says the same; standing in the page it also holds in a browser.
 * Development needs inline styles for hot reload and goes without.
 */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' blob: data:",
  "media-src 'self' blob: mediastream:",
  "connect-src 'self' ipc: http://ipc.localhost",
  "base-uri 'none'",
  "form-action 'none'",
].join('; ');

function contentSecurityPolicy(): Plugin {
  return {
    name: 'content-security-policy',
    apply: 'build',
    transformIndexHtml: () => [
      { tag: 'meta', attrs: { 'http-equiv': 'Content-Security-Policy', content: POLICY }, injectTo: 'head-prepend' },
    ],
  };
}

export default defineConfig({
  // The tests that render clean up themselves: the setup file would be loaded for all others too.
  plugins: [svelte(), svelteTesting({ autoCleanup: false }), contentSecurityPolicy()],
  // The window loads its files from the app itself: paths relative to the page.
  base: './',
  clearScreen: false,
  server: { port: 5173, strictPort: true },
  build: {
    target: ['es2022', 'safari16'],
    // Pictures stay files: a data address would be one more source to allow.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  test: {
    environment: 'jsdom',
    include: ['tests/**/*.test.ts'],
    restoreMocks: true,
    css: false,
    pool: 'threads',
    // Time in the tests is made up; this is for machines with other work.
    testTimeout: 30_000,
  },
});
