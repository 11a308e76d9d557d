import { describe, expect, it } from 'vitest';
import { GoSignal } from '../../../src/threads/go-signal.js';

describe('GoSignal', () => {
  it('tells of the hand-over and of the end, apart', () => {
    const signal = new GoSignal();
    const elsewhere = new GoSignal(signal.buffer);
    expect([elsewhere.handedOver, elsewhere.stopped]).toEqual([false, false]);
    signal.handOver();
    expect([elsewhere.handedOver, elsewhere.stopped]).toEqual([true, false]);
    signal.stop();
    expect([elsewhere.handedOver, elsewhere.stopped]).toEqual([true, true]);
  });

  it('is handed over or broken, whichever comes first', () => {
    const handed = new GoSignal();
    expect([handed.handOver(), handed.break(), handed.handedOver, handed.broken]).toEqual([true, false, true, false]);
    const broken = new GoSignal();
    expect([broken.break(), broken.handOver(), broken.handedOver, broken.broken]).toEqual([true, false, false, true]);
  });

  it('can be stopped without a hand-over', () => {
    const signal = new GoSignal();
    signal.stop();
    expect([signal.handedOver, signal.stopped]).toEqual([false, true]);
  });
});
