/**
 * Hosts of the last release and of this one: a VM moves between them both ways, and a link that breaks behind COMMIT is what it
 * was in the last release, whose ends cannot meet again.
 */
import { describe, expect, test } from 'vitest';
import { useCleanRoom } from '../support/clean-room.js';
import { CuttingProxy } from '../support/cutting-proxy.js';
import { EXIT_FAILED, migrate, springOf, type Link } from '../support/failing-link.js';
import { startDestination, startSource, verifyWhole, work, type LoadedVm } from '../support/guest-vms.js';
import { unpackLastRelease } from '../support/last-release.js';
import { ofPackage } from '../support/package-copy.js';
import { makeRawImage } from '../support/raw-image.js';

useCleanRoom();

const EXIT_LINK_LOST = 13;
/** Bytes of a push that is still under way. */
const PUSHED = 1 << 20;

/** Which end is of the last release; the other is of this one. */
type Old = 'source' | 'destination';
const ENDS: readonly Old[] = ['source', 'destination'];

/** A VM, and a link to where it goes. */
async function ends(old: Old): Promise<[source: LoadedVm, link: Link]> {
  const launcher = ofPackage(unpackLastRelease());
  const [source, destination] = await Promise.all([
    startSource({ fillMib: 32, launcher: old === 'source' ? launcher : [] }),
    startDestination('vm', [], old === 'destination' ? launcher : []),
  ]);
  return [source, { destination, proxy: await CuttingProxy.open(destination.address) }];
}

test('a VM with a disk, of the last release, moves to this one, back, and here again, at work', async () => {
  const launcher = ofPackage(unpackLastRelease());
  const image = makeRawImage();
  const disk = ['--disk', `id=root,path=${image}`];
  const [source, ...hops] = await Promise.all([
    startSource({ fillMib: 24, cpus: 2, launcher, words: ['--serial', 'null', ...disk] }),
    startDestination('vm', disk),
    startDestination('vm', disk, launcher),
    startDestination('vm', disk),
  ]);
  let vm = source.vm;
  for (const { vm: next, address } of hops) {
    const summary = await vm.client.migrate({ ...address, channels: 2 }, () => {});
    expect(summary).toMatchObject({ status: 'completed', pages: { resent: 0 } });
    expect((await vm.ended).code).toBe(0);
    const guest = await next.guest();
    expect(await verifyWhole(guest)).toBeGreaterThan(0);
    await work(guest);
    vm = next;
  }
});

describe.each(ENDS)('the %s is of the last release', (old) => {
  test('a link that breaks before COMMIT leaves the guest where it is', async () => {
    const [source, link] = await ends(old);
    link.proxy.onMessage('loaded', 'before', springOf('cut', link, source));
    const end = await migrate(source, link.proxy.address);
    expect(end.code, end.stderr).toBe(EXIT_FAILED);
    expect(await verifyWhole(source.guest)).toBeGreaterThan(0);
    expect((await link.destination.vm.ended).stderr).toContain('no VM came');
  });

  test('one that breaks in the push loses the VM, and both ends say so', async () => {
    const [source, link] = await ends(old);
    link.proxy.onPushed(PUSHED, springOf('cut', link, source));
    const end = await migrate(source, link.proxy.address);
    expect(end.code, end.stderr).toBe(EXIT_LINK_LOST);
    expect((await source.vm.client.status()).state).toBe('link-lost');
    await link.destination.vm.reach('link-lost');
    for (const { client, ended } of [source.vm, link.destination.vm]) {
      await expect(client.resume({ force: true })).rejects.toMatchObject({ code: 'WRONG_STATE' });
      await client.stop({ force: true });
      await ended;
    }
  });

  test('one that breaks under COMMIT leaves the guest in doubt: by force it goes on, when its destination has ended', async () => {
    const [source, link] = await ends(old);
    link.proxy.onMessage('commit', 'before', springOf('cut', link, source));
    const end = await migrate(source, link.proxy.address);
    expect(end.code, end.stderr).toBe(EXIT_LINK_LOST);
    expect((await link.destination.vm.ended).stderr).toContain('no VM came');
    await expect(source.vm.client.resume()).rejects.toMatchObject({ code: 'WRONG_STATE' });
    await source.vm.client.resume({ force: true });
    expect(await verifyWhole(source.guest)).toBeGreaterThan(0);
  });
});
