// @vitest-environment node
import { expect, it, vi } from 'vitest';
import { TONES } from '../src/lib/present';
import { SIGNALS, Sounds } from '../src/lib/sound';

it('four signals, no two alike in number of notes, wave or pitch', () => {
  for (const one of TONES) {
    for (const other of TONES.filter((tone) => tone !== one)) {
      const [a, b] = [SIGNALS[one], SIGNALS[other]];
      expect(a.length).not.toBe(b.length);
      expect(a[0]?.wave).not.toBe(b[0]?.wave);
      expect(a.map((n) => n.frequency)).not.toEqual(b.map((n) => n.frequency));
    }
    const end = Math.max(...SIGNALS[one].map((n) => n.at + n.length));
    expect(end).toBeLessThanOrEqual(0.8);
  }
});

it('plays its notes at the volume that was set, and none at zero', () => {
  const ramps: number[] = [];
  const node = { connect: (next: unknown) => next, start: vi.fn(), stop: vi.fn(), frequency: { value: 0 }, type: '' };
  const gain = {
    connect: vi.fn(),
    gain: { setValueAtTime: (v: number) => ramps.push(v), linearRampToValueAtTime: (v: number) => ramps.push(v) },
  };
  vi.stubGlobal('AudioContext', class {
    state = 'running';
    currentTime = 0;
    destination = {};
    createOscillator = (): unknown => node;
    createGain = (): unknown => gain;
  });
  const sounds = new Sounds();
  sounds.volume = 0;
  sounds.play('ok');
  expect(node.start).not.toHaveBeenCalled();
  sounds.volume = 0.5;
  sounds.play('used');
  expect(node.start).toHaveBeenCalledTimes(4);
  expect(Math.max(...ramps)).toBe(0.5);
  vi.unstubAllGlobals();
});
