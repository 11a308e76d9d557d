/**
 * What only a true KVM can show of a migration, and little more: a VM booted by PVH moves with the state of its vCPUs,
 * a failure on either side of COMMIT, the demo. Where /dev/kvm is emulated, these stand for all tests of VMs.
 */
import { expect, test } from 'vitest';
import { useCleanRoom } from '../support/clean-room.js';
import {
  destinationWaitsOn,
  failsBeforeCommit,
  movesAllTheSame,
  movesAndIsWhole,
  openLink,
  springOf,
  stops,
} from '../support/failing-link.js';
import { startDestination, startSource } from '../support/guest-vms.js';
import { postcopy } from '../support/postcopy.js';

useCleanRoom();

/** Bytes of a push that is still under way. */
const PUSHED = 1 << 20;

test('the link breaks before COMMIT: the guest goes on at the source, and moves whole, with two vCPUs, at the next try', async () => {
  const source = await startSource({ memory: '64M', cpus: 2 });
  const link = await openLink();
  await failsBeforeCommit(source, link, ['cut', 'before', 'state']);
  await destinationWaitsOn(link, 'cut before state');
  await link.proxy.close();
  await movesAndIsWhole(source, await startDestination());
});

test('the link breaks after COMMIT: the ends find each other again, and the guest moves whole', async () => {
  const [source, link] = await Promise.all([startSource({ fillMib: 32 }), openLink()]);
  link.proxy.onPushed(PUSHED, springOf('cut', link, source));
  await movesAllTheSame(source, link);
  await stops(link.destination.vm);
  await link.proxy.close();
});

test('the demo: under load, every page verified', async () => {
  const { code, stdout, stderr } = await postcopy([
    'demo',
    '--memory',
    '128M',
    '--working-set',
    '32M',
    '--cpus',
    '1',
    '--json',
  ]);
  expect(code, stderr).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ verdict: { pages: 8192, bad: 0, outside_bad: 0 } });
});
