/** All clocks that a guest can read go on through a move as if there had been none, and each by the same time. */
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { GuestConsole } from '../../src/trial/guest-console.js';
import { useCleanRoom } from '../support/clean-room.js';
import { CuttingProxy } from '../support/cutting-proxy.js';
import { startDestination, startSource } from '../support/guest-vms.js';
import { MACHINE } from '../support/machine.js';

useCleanRoom();

/** The guest stands still for so long on its way: what a clock that stands still as well falls behind. */
const HELD_MS = 1500;
/** What hosts however busy may make of the rest. */
const APART_US = (HELD_MS / 2) * 1000;

const PM_TIMER_MHZ = 3.579545;
const PM_TIMER_VALUES = 2 ** 32;
const LAPIC_TICKS_PER_MICRO = 1000 / 128;
const SECONDS_OF_DAY = 86_400;

interface Clocks {
  tsc: number;
  pmTimer: number;
  secondOfDay: number;
  lapic: number;
}

async function clocksOf(guest: GuestConsole): Promise<Clocks> {
  const said = await guest.command('clocks', 'clocks');
  const value = (name: string) => Number(said[name] ?? 0);
  return {
    tsc: value('tsc_us'),
    pmTimer: value('pm_timer'),
    secondOfDay: value('second_of_day'),
    lapic: value('lapic'),
  };
}

/** Microseconds that went by, by each. */
function between(before: Clocks, after: Clocks): Record<string, number> {
  const pmTicks = (after.pmTimer - before.pmTimer + PM_TIMER_VALUES) % PM_TIMER_VALUES;
  const seconds = (after.secondOfDay - before.secondOfDay + SECONDS_OF_DAY) % SECONDS_OF_DAY;
  return {
    tsc: after.tsc - before.tsc,
    pmTimer: pmTicks / PM_TIMER_MHZ,
    cmos: seconds * 1e6,
    ...(MACHINE === 'kvm' ? { lapic: (before.lapic - after.lapic) / LAPIC_TICKS_PER_MICRO } : {}),
  };
}

function expectAlike(gone: Record<string, number>, leastMs: number): void {
  expect(gone['tsc'], JSON.stringify(gone)).toBeGreaterThan(leastMs * 1000);
  for (const [name, micros] of Object.entries(gone)) {
    const second = name === 'cmos' ? 1e6 : 0; // that is what it counts in
    expect(Math.abs(micros - gone['tsc']!), `${name}: ${JSON.stringify(gone)}`).toBeLessThan(APART_US + second);
  }
}

test.each([
  ['the answer to its state', 'loaded', 1],
  ['the word that hands it over', 'commit', 4],
] as const)('%s is held up: no clock falls behind another, or goes back', async (_, held, cpus) => {
  const { vm, guest } = await startSource({ cpus, fillMib: 8 });
  const before = await clocksOf(guest);
  const to = await startDestination();
  const link = await CuttingProxy.open(to.address);
  link.onMessage(held, 'before', () => delay(HELD_MS));
  const { downtimeMs } = await vm.client.migrate(link.address, () => {});
  const arrived = await to.vm.guest();
  const gone = between(before, await clocksOf(arrived));

  expectAlike(gone, Math.max(HELD_MS, downtimeMs));
  expect((await arrived.report())['tsc_backwards']).toBe(0);
});

test('all clocks of a guest that is paused run on', async () => {
  const { vm, guest } = await startSource({ fillMib: 0 });
  const before = await clocksOf(guest);
  await vm.client.pause();
  await delay(HELD_MS);
  await vm.client.resume();
  expectAlike(between(before, await clocksOf(guest)), HELD_MS);
});
