import { describe, expect, it } from 'vitest';
import { LinkSwitch } from '../../../src/threads/link-switch.js';

describe('LinkSwitch', () => {
  it('tells of the hand-over and of the end, apart', () => {
    const link = new LinkSwitch();
    const elsewhere = new LinkSwitch(link.buffer);
    expect([elsewhere.handedOver, elsewhere.stopped]).toEqual([false, false]);
    link.handOver();
    expect([elsewhere.handedOver, elsewhere.stopped]).toEqual([true, false]);
    link.stop();
    expect([elsewhere.handedOver, elsewhere.stopped]).toEqual([true, true]);
  });

  it('is handed over or broken, whichever comes first', () => {
    const handed = new LinkSwitch();
    expect([handed.handOver(), handed.break(), handed.handedOver, handed.broken]).toEqual([true, false, true, false]);
    const broken = new LinkSwitch();
    expect([broken.break(), broken.handOver(), broken.handedOver, broken.broken]).toEqual([true, false, false, true]);
  });

  it('can be stopped without a hand-over', () => {
    const link = new LinkSwitch();
    link.stop();
    expect([link.handedOver, link.stopped]).toEqual([false, true]);
  });
});
