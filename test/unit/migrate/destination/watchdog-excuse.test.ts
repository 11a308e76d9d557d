import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { WatchdogExcuse } from '../../../../src/migrate/destination/watchdog-excuse.js';

const INTERVAL_MS = 4000;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function rig() {
  const machine = { excuseStandstill: vi.fn(async () => {}) };
  const channels = { faultsWaiting: 0, sum: 0, waits: () => ({ sum: channels.sum }) };
  const excuse = new WatchdogExcuse(machine, channels);
  /** How often the guest was excused while that much time passed. */
  const excusedIn = (ms: number) => {
    machine.excuseStandstill.mockClear();
    vi.advanceTimersByTime(ms);
    return machine.excuseStandstill.mock.calls.length;
  };
  return { machine, channels, excuse, excusedIn };
}

test('a guest that need not wait has nothing to be excused of', () => {
  const { channels, excusedIn } = rig();
  channels.sum = 900_000; // microseconds
  expect(excusedIn(10 * INTERVAL_MS)).toBe(0);
});

test('one that waits is excused as often as it looks', () => {
  const { channels, excusedIn } = rig();
  channels.faultsWaiting = 1;
  expect(excusedIn(3 * INTERVAL_MS)).toBe(3);
});

test('one that has waited is excused once', () => {
  const { channels, excusedIn } = rig();
  channels.sum = 1_100_000;
  expect(excusedIn(3 * INTERVAL_MS)).toBe(1);
});

test('what cannot be told harms nobody, and it ends', async () => {
  const { machine, channels, excuse, excusedIn } = rig();
  channels.faultsWaiting = 1;
  machine.excuseStandstill.mockRejectedValue(new Error('no'));
  await vi.advanceTimersByTimeAsync(INTERVAL_MS);
  expect(excusedIn(INTERVAL_MS)).toBe(1);
  excuse.end();
  expect(excusedIn(INTERVAL_MS)).toBe(0);
});
