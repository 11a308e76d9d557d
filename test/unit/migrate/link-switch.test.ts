import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { LinkSwitch } from '../../../src/migrate/link-switch.js';

/** A thread that sleeps on the first word, as waitForHandOver does, and says how it woke. */
const SLEEPER = `
  const { parentPort, workerData } = require('node:worker_threads');
  const words = new Int32Array(workerData);
  parentPort.postMessage('sleeping');
  parentPort.postMessage(Atomics.wait(words, 0, 0, 60_000));
`;

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

  it('does not sleep once handed over, and no longer than asked before', () => {
    const link = new LinkSwitch();
    link.waitForHandOver(1);
    link.handOver();
    link.waitForHandOver(60_000);
  });

  it('wakes who sleeps on it', async () => {
    const link = new LinkSwitch();
    const sleeper = new Worker(SLEEPER, { eval: true, workerData: link.buffer });
    expect(await once(sleeper, 'message')).toEqual(['sleeping']);
    const woken = once(sleeper, 'message');
    link.handOver();
    // 'not-equal' if it was handed over just before it fell asleep.
    expect(['ok', 'not-equal']).toContain((await woken)[0]);
  });
});
