// @vitest-environment node
import { expect, it } from 'vitest';
import { troubleOf } from '../src/lib/camera.svelte';
import { fit, toGray } from '../src/lib/frame';

it('pixels become their luma; glass counts as white paper', () => {
  const pixels = [255, 255, 255, 255, 0, 0, 0, 255, 255, 0, 0, 255, 0, 255, 0, 255, 0, 0, 0, 0];
  const [white, black, red, green, glass] = toGray(new Uint8ClampedArray(pixels));
  expect([white, black, glass]).toEqual([255, 0, 255]);
  expect(red).toBeLessThan(green!);
});

it('pictures are scaled down in proportion and never up', () => {
  expect(fit(4000, 3000, 1280)).toEqual([1280, 960]);
  expect(fit(640, 480, 1280)).toEqual([640, 480]);
  expect(fit(10_000, 1, 1280)).toEqual([1280, 1]);
});

it.each([
  ['NotAllowedError', 'denied'],
  ['NotFoundError', 'none'],
  ['OverconstrainedError', 'none'],
  ['NotReadableError', 'busy'],
])('%s means: %s', (name, trouble) => {
  expect(troubleOf(Object.assign(new Error('x'), { name }))).toBe(trouble);
});
