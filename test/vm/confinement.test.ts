/** The processes of VMs are confined, all of their threads, while they run and after they have moved. */
import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { KEPT, KEPT_FOR_SET_UP, type Capability } from '../../src/confine/capabilities.js';
import { rightsIn } from '../../src/confine/process-rights.js';
import { useCleanRoom } from '../support/clean-room.js';
import { startDestination, startSource, verifyWhole } from '../support/guest-vms.js';

useCleanRoom();

/** As the kernel has it, not as the process says. */
function rightsOf(pid: number): ReturnType<typeof rightsIn> {
  const threads = readdirSync(`/proc/${pid}/task`);
  expect(threads.length).toBeGreaterThan(5);
  return rightsIn(threads.map((thread) => readFileSync(`/proc/${pid}/task/${thread}/status`, 'latin1')));
}

function confinedTo(capabilities: readonly Capability[]): object {
  const ours = rightsOf(process.pid).capabilities;
  const kept = ours.filter((name) => capabilities.includes(name as Capability));
  return { noNewPrivileges: true, callFilter: true, capabilities: kept };
}

test('a VM that runs, one that is awaited, and one that has come', async () => {
  const source = await startSource({ cpus: 2 });
  await expect.poll(() => rightsOf(source.vm.pid)).toEqual(confinedTo(KEPT));
  expect((await source.vm.client.status()).rights).toEqual(confinedTo(KEPT));

  const to = await startDestination();
  expect(rightsOf(to.vm.pid)).toEqual(confinedTo([...KEPT, ...KEPT_FOR_SET_UP]));
  expect(await source.vm.client.migrate(to.address, () => {})).toMatchObject({ status: 'completed' });
  await expect.poll(() => rightsOf(to.vm.pid)).toEqual(confinedTo(KEPT));
  expect(await verifyWhole(await to.vm.guest())).toBeGreaterThan(0);

  // It moves on from there as well.
  const further = await startDestination();
  expect(await to.vm.client.migrate(further.address, () => {})).toMatchObject({ status: 'completed' });
  expect(await verifyWhole(await further.vm.guest())).toBeGreaterThan(0);
});

test('--no-confine leaves a process what it has', async () => {
  const { vm } = await startSource({ fillMib: 0, words: ['--serial', 'null', '--no-confine'] });
  const ours = rightsOf(process.pid);
  expect(rightsOf(vm.pid)).toEqual(ours);
  expect((await vm.client.status()).rights).toEqual(ours);
});
