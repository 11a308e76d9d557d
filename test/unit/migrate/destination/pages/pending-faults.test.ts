import { describe, expect, it } from 'vitest';
import { PendingFaults } from '../../../../../src/migrate/destination/pages/pending-faults.js';
import { WaitHistogram } from '../../../../../src/migrate/report/wait-histogram.js';
import { native } from '../../../../../src/native.js';

const SLOTS = 1024;

describe('PendingFaults', () => {
  it('measures from the fault to the installation', () => {
    const pending = new PendingFaults();
    const waits = new WaitHistogram();
    pending.add(5, native.monotonicMicros() - 3_000_000);
    expect(pending.waiting).toBe(1);
    pending.settle(5, 1, waits);
    expect([pending.waiting, waits.count]).toEqual([0, 1]);
    expect(waits.summary().max).toBeGreaterThanOrEqual(3_000_000);
    expect(waits.summary().max).toBeLessThan(60_000_000);
  });

  it('settles by range, its ends included and excluded', () => {
    const pending = new PendingFaults();
    const waits = new WaitHistogram();
    for (const page of [9, 10, 12, 13, 14]) pending.add(page, 0);
    pending.settle(10, 4, waits);
    expect([pending.waiting, waits.count]).toEqual([2, 3]);
    pending.settle(10, 4, waits);
    expect(waits.count).toBe(3);
    pending.settle(9, 1, waits);
    pending.settle(14, 1, waits);
    expect([pending.waiting, waits.count]).toEqual([0, 5]);
  });

  it('measures two faults on one page', () => {
    const pending = new PendingFaults();
    const waits = new WaitHistogram();
    pending.add(7, 0);
    pending.add(7, 0);
    expect(pending.waiting).toBe(2);
    pending.settle(7, 1, waits);
    expect([pending.waiting, waits.count]).toEqual([0, 2]);
  });

  it('is shared by its buffer, and page 0 is a page', () => {
    const pending = new PendingFaults();
    const elsewhere = new PendingFaults(pending.buffer);
    const waits = new WaitHistogram();
    elsewhere.settle(0, 100, waits);
    pending.add(0, 0);
    expect(elsewhere.waiting).toBe(1);
    elsewhere.settle(0, 1, waits);
    expect([pending.waiting, waits.count]).toEqual([0, 1]);
  });

  it('knows pages beyond 2^31', () => {
    const pending = new PendingFaults();
    const waits = new WaitHistogram();
    pending.add(0xc000_0000, 0);
    pending.settle(0, 10, waits);
    expect(waits.count).toBe(0);
    pending.settle(0xbfff_ffff, 2, waits);
    expect(waits.count).toBe(1);
  });

  it('leaves what does not fit unmeasured, and uses slots again', () => {
    const pending = new PendingFaults();
    const waits = new WaitHistogram();
    for (let page = 0; page < SLOTS + 10; page++) pending.add(page, 0);
    expect(pending.waiting).toBe(SLOTS);
    pending.settle(SLOTS, 10, waits);
    expect(waits.count).toBe(0);
    pending.settle(100, 50, waits);
    for (let page = 2000; page < 2050; page++) pending.add(page, 0);
    expect(pending.waiting).toBe(SLOTS);
    pending.settle(0, 3000, waits);
    expect([pending.waiting, waits.count]).toEqual([0, SLOTS + 50]);
  });
});
