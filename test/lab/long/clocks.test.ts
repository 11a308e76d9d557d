import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clockShift, clockWentBack } from '../../support/lab/guest-lines.js';
import { GuestVm } from '../../support/lab/guest-vm.js';
import type { LabHost } from '../../support/lab/host.js';
import { Lab } from '../../support/lab/lab.js';
import { expectUnharmed } from '../../support/lab/unharmed.js';

// Stock guests that keep time by kvm-clock, by the TSC, which is watched against the ACPI PM timer, or by that timer. After a
// move all clocks have gone on by the same time, no reading on any vCPU was below an earlier one, no sleep was longer than
// the move explains, and the kernel has found no clock that it does not trust.

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

const GUESTS = [
  { clock: 'kvm-clock', found: 'kvm-clock', cpus: 4, parameters: '' },
  // A kernel that is emulated may find the TSC too uneven to begin with.
  { clock: 'tsc', found: 'tsc|acpi_pm', cpus: 1, parameters: 'no-kvmclock' },
  { clock: 'acpi_pm', found: 'acpi_pm', cpus: 2, parameters: 'no-kvmclock clocksource=acpi_pm' },
];

describe.each(GUESTS)('$clock, $cpus vCPU', ({ clock, found, cpus, parameters }) => {
  const vm = new GuestVm(clock, true);

  const expectClock = async (): Promise<void> => {
    const { length } = vm.console.text;
    vm.console.send('run cat /sys/devices/system/clocksource/clocksource0/current_clocksource');
    const [, is] = await vm.console.waitForAfter(length, /^([\w-]+)\r?\nLAB run code=0/m, TICKS_LIMIT_MS);
    expect(is).toMatch(new RegExp(`^(?:${found})$`));
  };

  test('boots', async () => {
    await vm.run(lab.host(1), { cpus, patternMib: 8, parameters });
    await vm.console.newKernelComplaints(); // those of the boot
    await expectClock();
    vm.console.send('watch-clocks');
  });

  const move = async (to: LabHost, port: number): Promise<void> => {
    const receiver = await vm.receive(to, port);
    await vm.console.moreTicks(TICKS, TICKS_LIMIT_MS);
    const before = vm.console.ticks.slice(-TICKS);
    const watched = await vm.console.clocks();
    const { code, stderr, summary } = await vm.migrate(to, port, receiver);
    expect(code, stderr).toBe(0);
    await expectUnharmed(vm);
    const { readings, slowest, steps, lateMs } = await vm.console.clocks();
    const { ticks } = vm.console;
    const shift = clockShift(before, ticks.slice(-TICKS));
    console.info(
      `${clock}: ${readings} readings, ${steps} steps back; sleeps late by ${watched.lateMs} ms before, ${lateMs} ms now;`,
      `downtime ${summary.downtimeMs} ms, faults`,
      summary.faultWaitUs,
      'clocks',
      shift,
    );
    expect({ steps, allRun: slowest > watched.slowest }).toEqual({ steps: 0, allRun: true });
    expect(lateMs).toBeLessThan(watched.lateMs + summary.downtimeMs + summary.vcpuBlockedMs + TOLERANCE_MS);
    expect(clockWentBack(ticks)).toBe(false);
    await expectClock();
    for (const ms of Object.values(shift)) expect(Math.abs(ms)).toBeLessThan(TOLERANCE_MS);
  };

  test('moves', () => move(lab.host(2), PORT));
  test('and back', () => move(lab.host(1), PORT + 1));

  test('is ended', async () => {
    await vm.here.host.run(`postcopy stop ${vm.name} --force`);
  });
});
