import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clockShift, clockWentBack } from '../../support/lab/guest-lines.js';
import { GuestVm } from '../../support/lab/guest-vm.js';
import type { LabHost } from '../../support/lab/host.js';
import { Lab } from '../../support/lab/lab.js';
import { expectUnharmed } from '../../support/lab/unharmed.js';

// A stock guest that does not keep time by kvm-clock: by the TSC, which it watches against the ACPI PM timer, or by that timer.
// After a move all clocks have gone on by the same time, and its kernel has found no clock that it does not trust.

const PORT = 7320;
const TICKS = 20;
const TICKS_LIMIT_MS = 150_000;
/** Emulation is uneven. */
const TOLERANCE_MS = 500;

let lab: Lab;
beforeAll(async () => {
  lab = await Lab.start({ name: 'long-clocks', debian: ['bookworm', 'trixie'] });
});
afterAll(() => lab?.close());

describe.each(['no-kvmclock', 'no-kvmclock clocksource=acpi_pm'])('%s', (parameters) => {
  const vm = new GuestVm(parameters.length > 12 ? 'pm' : 'tsc', true);

  test('boots', async () => {
    await vm.run(lab.host(1), { cpus: 1, patternMib: 8, parameters });
    await vm.console.newKernelComplaints(); // those of the boot
  });

  const move = async (to: LabHost, port: number): Promise<void> => {
    const receiver = await vm.receive(to, port);
    await vm.console.moreTicks(TICKS, TICKS_LIMIT_MS);
    const before = vm.console.ticks.slice(-TICKS);
    const { code, stderr, summary } = await vm.migrate(to, port, receiver);
    expect(code, stderr).toBe(0);
    await expectUnharmed(vm);
    const { ticks } = vm.console;
    const shift = clockShift(before, ticks.slice(-TICKS));
    console.info(`${parameters}: downtime ${summary.downtimeMs} ms, clocks`, shift);
    expect(clockWentBack(ticks)).toBe(false);
    for (const ms of Object.values(shift)) expect(Math.abs(ms)).toBeLessThan(TOLERANCE_MS);
  };

  test('moves', () => move(lab.host(2), PORT));
  test('and back', () => move(lab.host(1), PORT + 1));

  test('is ended', async () => {
    await vm.here.host.run(`postcopy stop ${vm.name} --force`);
  });
});
