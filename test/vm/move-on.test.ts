/** A VM that is still arriving, and is to move on. */
import { expect, test } from 'vitest';
import { Deferred } from '../../src/basics/deferred.js';
import { useCleanRoom } from '../support/clean-room.js';
import { CuttingProxy } from '../support/cutting-proxy.js';
import { startDestination, startSource, verifyWhole, type WaitingVm } from '../support/guest-vms.js';
import { complaints, postcopy, startPostcopy } from '../support/postcopy.js';

useCleanRoom();

const EXIT_WRONG_STATE = 11;
const EXIT_SIGINT = 130;

function words({ address: { host, port } }: WaitingVm, ...more: string[]): string[] {
  return ['migrate', 'vm', `${host}:${port}`, ...more];
}

test('is refused with what is still to come; with --wait it moves when that is here, unless it is called off', async () => {
  const [source, here, there] = await Promise.all([
    startSource({ memory: '64M', fillMib: 32 }),
    startDestination(),
    startDestination(),
  ]);
  const proxy = await CuttingProxy.open(here.address);
  const held = new Deferred<void>();
  proxy.onPushed(1 << 20, () => held.promise);
  const arriving = source.vm.client.migrate(proxy.address, () => {});
  await here.vm.reach('running');
  const { runtimeDirectory } = here.vm;
  const refused = await postcopy(words(there), { runtimeDirectory });
  expect(refused.code, refused.stderr).toBe(EXIT_WRONG_STATE);
  expect(complaints(refused)).toEqual([
    expect.stringMatching(
      /vm is still arriving from .*: .* MiB of its memory are still there, .*`postcopy migrate --wait`/,
    ),
  ]);

  const calledOff = startPostcopy(words(there, '--wait'), { runtimeDirectory });
  await calledOff.says('vm is still arriving');
  calledOff.kill('SIGINT');
  const end = await calledOff.ended;
  expect(end.code, end.stderr).toBe(EXIT_SIGINT);
  expect(complaints(end).at(-1)).toContain('the migration has not begun: it was cancelled');
  expect((await here.vm.client.status()).state).toBe('running');

  const waits = startPostcopy(words(there, '--wait'), { runtimeDirectory });
  await waits.says('waiting for the rest');
  held.resolve();
  expect((await arriving).status).toBe('completed');
  const moved = await waits.ended;
  expect(moved.code, moved.stderr).toBe(0);
  expect(await verifyWhole(await there.vm.guest())).toBeGreaterThan(0);
  await proxy.close();
});
