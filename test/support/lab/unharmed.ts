import { expect } from 'vitest';
import type { GuestVm } from './guest-vm.js';

const TICKS = 20;
const TICKS_LIMIT_MS = 150_000;
const VERIFY_LIMIT_MS = 300_000;

/** A guest that runs on and lost nothing: every tick is there, the pattern holds, the kernel has no complaint. */
export async function expectUnharmed(vm: GuestVm): Promise<void> {
  await vm.console.moreTicks(TICKS, TICKS_LIMIT_MS);
  const numbers = vm.console.ticks.map((tick) => tick.number);
  expect(numbers).toEqual(numbers.map((_, index) => (numbers[0] ?? 0) + index));
  await vm.console.verifyPattern(VERIFY_LIMIT_MS);
  expect(await vm.console.newKernelComplaints()).toEqual([]);
  expect(await vm.state(vm.here.host)).toBe('running');
}
