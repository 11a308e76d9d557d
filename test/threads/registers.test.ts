/** General, x87, SSE, AVX and AVX-512 registers cross a move, whatever the instruction at which it begins. */
import { expect, test } from 'vitest';
import type { GuestConsole, GuestEvent } from '../../src/trial/guest-console.js';
import { startDestination, startSource } from '../support/guest-vms.js';

const MOVES = 20;
const CPUS = 2;

interface Held {
  features: string;
  checks: number;
  bad: number;
}

const held = async (guest: GuestConsole) => (await guest.command('held', 'registers')) as GuestEvent & Held;

test(`registers full of a pattern stay as they are over ${MOVES} moves`, { timeout: 240_000 }, async () => {
  let { vm, guest } = await startSource({ memory: '64M', cpus: CPUS, fillMib: 0 });
  await guest.command('registers seed=7', 'started');
  for (let move = 1; move <= MOVES; move++) {
    const before = await held(guest);
    const destination = await startDestination();
    const summary = await vm.client.migrate(destination.address, () => {});
    expect(summary).toMatchObject({ status: 'completed', machine: 'threads' });
    guest.close();
    vm = destination.vm;
    guest = await vm.guest();
    // Every vCPU has checked what it held during the move.
    await expect.poll(async () => (await held(guest)).checks).toBeGreaterThanOrEqual(before.checks + 2 * CPUS);
    expect(await held(guest), `move ${move}`).toMatchObject({ features: before.features, bad: 0 });
  }
  guest.close();
});
