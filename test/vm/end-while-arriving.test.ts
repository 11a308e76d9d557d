/** A guest that powers itself off, or resets itself, while its pages still arrive: nothing of it runs on. */
import { readFileSync, readdirSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { useCleanRoom } from '../support/clean-room.js';
import { CuttingProxy } from '../support/cutting-proxy.js';
import { startDestination, startSource } from '../support/guest-vms.js';
import { MACHINE } from '../support/machine.js';
import { complaints, postcopy } from '../support/postcopy.js';

useCleanRoom();

const EXIT_WRONG_STATE = 11;
/** A clock tick is 10 ms: a vCPU that spins uses a core, one that stands still none of it. */
const WATCHED_MS = 1000;
const MOST_TICKS = 5;

/** Clock ticks that the vCPUs of a process have used so far. */
function vcpuTicks(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`).map((thread) =>
    readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8'),
  );
  return threads
    .filter((stat) => stat.includes('(vcpu'))
    .map((stat) => stat.slice(stat.lastIndexOf(')') + 2).split(' '))
    .reduce((ticks, fields) => ticks + Number(fields[11]) + Number(fields[12]), 0);
}

/** Promise.withResolvers(), which Node 20 has not. */
function promiseWithResolvers(): { promise: Promise<void>; resolve: () => void } {
  let resolve!: () => void;
  const promise = new Promise<void>((settle) => (resolve = settle));
  return { promise, resolve };
}

/**
 * Two vCPUs, one of which ends the guest while the other is busy; the push stands still, and so does what tells the source
 * of the end, until the test has them go on. What keeps the vCPUs busy touches no pages: one that is on its way in the push
 * would be waited for as long.
 */
async function ending(command: string, reboot: boolean) {
  const source = await startSource({ fillMib: 0, cpus: 2, reboot });
  await source.guest.command('fill mib=32', 'filled');
  // Under KVM a vCPU without work spins.
  if (MACHINE === 'threads') await source.guest.command('registers', 'started');
  const to = await startDestination();
  const proxy = await CuttingProxy.open(to.address);
  const { promise: held, resolve: goOn } = promiseWithResolvers();
  proxy.onPushed(1 << 20, () => held).onMessage('complete', 'before', () => held);
  const migration = source.vm.client.migrate(proxy.address, () => {});
  await to.vm.reach('running');
  (await to.vm.guest()).send(command);
  const status = await to.vm.reach('ending');
  return { source, to, proxy, migration, status, goOn };
}

test('power-off: all vCPUs stand still, and everything says what is waited for', async () => {
  const { source, to, proxy, migration, status, goOn } = await ending('poweroff', false);
  const awaited =
    /^the guest powered itself off and stands still; as soon as .* knows that its last \d+ pages are not needed, it is over$/;
  expect(status.awaits).toMatch(awaited);
  await delay(WATCHED_MS / 2); // a vCPU that waits for a page parks when it comes
  const before = vcpuTicks(to.vm.pid);
  await delay(WATCHED_MS);
  expect(vcpuTicks(to.vm.pid) - before).toBeLessThan(MOST_TICKS);
  const { runtimeDirectory } = to.vm;
  const refusals = await Promise.all(
    [
      ['pause', 'vm'],
      ['resume', 'vm'],
      ['stop', 'vm', '--timeout', '1'],
    ].map((words) => postcopy(words, { runtimeDirectory })),
  );
  for (const refused of refusals) {
    expect([refused.code, complaints(refused)]).toEqual([
      EXIT_WRONG_STATE,
      [expect.stringMatching(/pages are not needed/)],
    ]);
  }
  expect((await postcopy(['status', 'vm'], { runtimeDirectory })).stdout).toMatch(
    /^awaits +the guest powered itself off/m,
  );
  goOn();
  expect((await migration).status).toBe('completed');
  expect(await source.vm.ended).toMatchObject({ code: 0 });
  expect(await to.vm.ended).toMatchObject({ code: 0, stderr: expect.stringMatching(/pages are not needed/) });
  await proxy.close();
});

test('power-off, and the link breaks before the source knows: it comes again, and both are over', async () => {
  const { source, to, proxy, migration } = await ending('poweroff', false);
  proxy.cut();
  expect((await migration).status).toBe('completed');
  expect(await source.vm.ended).toMatchObject({ code: 0 });
  expect(await to.vm.ended).toMatchObject({ code: 0 });
  await proxy.close();
});

test('reset: it stands still until the source knows, then it starts again', async () => {
  const { to, proxy, migration, status, goOn } = await ending('reset_machine', true);
  expect(status.awaits).toMatch(/^the guest reset itself \(.*\) and stands still; .*, it starts again$/);
  await expect(to.vm.client.stop()).rejects.toMatchObject({ code: 'WRONG_STATE' });
  goOn();
  expect((await migration).status).toBe('completed');
  await to.vm.reach('running');
  await to.vm.guest();
  await to.vm.client.stop({ force: true });
  expect((await to.vm.ended).code).toBe(0);
  await proxy.close();
});
