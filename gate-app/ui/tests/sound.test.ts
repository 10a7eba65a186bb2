// @vitest-environment node
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { TONES } from '../src/lib/present';
import { SIGNALS, Sounds } from '../src/lib/sound';

/** A context whose clock the test moves; what was started on it. */
class FakeContext {
  static newest: FakeContext;
  state = 'running';
  currentTime = 0;
  destination = {};
  started: FakeNode[] = [];
  resumed: (() => void)[] = [];
  ramps: number[] = [];

  constructor() {
    FakeContext.newest = this;
  }
  resume(): Promise<void> {
    return new Promise((done) => this.resumed.push(done));
  }
  close = vi.fn(() => Promise.resolve());
  createOscillator(): FakeNode {
    return new FakeNode(this.started);
  }
  createGain(): FakeNode {
    return new FakeNode([], this.ramps);
  }
}

class FakeNode {
  type = '';
  frequency = { value: 0 };
  gain = {
    setValueAtTime: (v: number) => this.ramps.push(v),
    linearRampToValueAtTime: (v: number) => this.ramps.push(v),
  };
  onended: (() => void) | null = null;
  disconnect = vi.fn();
  constructor(readonly started: FakeNode[], readonly ramps: number[] = []) {}
  connect(to: unknown): unknown {
    return to;
  }
  start(): void {
    this.started.push(this);
  }
  stop(): void {}
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] });
  vi.stubGlobal('AudioContext', FakeContext);
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

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

it('plays its notes at the volume that was set, and lets them go', () => {
  const sounds = new Sounds();
  sounds.volume = 0.5;
  sounds.play('used');
  const { started, ramps } = FakeContext.newest;
  expect(started).toHaveLength(4);
  expect(Math.max(...ramps)).toBe(0.5);
  started[0]!.onended!();
  expect(started[0]!.disconnect).toHaveBeenCalled();
});

it('plays nothing at zero', () => {
  const sounds = new Sounds();
  sounds.wake();
  sounds.volume = 0;
  sounds.play('ok');
  expect(FakeContext.newest.started).toHaveLength(0);
});

it('of sounds that had to wait the newest alone is heard, and not late', async () => {
  const sounds = new Sounds();
  sounds.wake();
  const context = FakeContext.newest;
  context.state = 'suspended';
  sounds.play('used');
  sounds.play('refused');
  expect(context.started).toHaveLength(0);
  context.state = 'running';
  for (const done of context.resumed) done();
  await Promise.resolve();
  await Promise.resolve();
  expect(context.started).toHaveLength(1);

  context.state = 'suspended';
  context.currentTime = 5;
  sounds.play('refused');
  vi.advanceTimersByTime(400);
  context.resumed.at(-1)!();
  await Promise.resolve();
  await Promise.resolve();
  expect(context.started).toHaveLength(1);
});

it('nothing piles up on a clock that stands still, and a new one is tried', () => {
  const sounds = new Sounds();
  sounds.wake();
  const dead = FakeContext.newest;
  for (let n = 0; n < 100; n += 1) {
    sounds.play('refused');
    vi.advanceTimersByTime(300);
  }
  expect(dead.started.length).toBeLessThan(6);
  expect(dead.close).toHaveBeenCalled();
  expect(FakeContext.newest).not.toBe(dead);
  FakeContext.newest.currentTime = 40;
  const before = FakeContext.newest.started.length;
  sounds.play('refused');
  expect(FakeContext.newest.started.length).toBe(before + 1);
});
