/** A link that breaks behind COMMIT and comes back: nothing is lost, nothing runs twice. */
import { describe, expect, test } from 'vitest';
import { useCleanRoom } from '../support/clean-room.js';
import { migrate, movesAllTheSame, openLink, springOf } from '../support/failing-link.js';
import { answers, startDestination, startSource, verifyWhole, work, type LoadedVm } from '../support/guest-vms.js';
import { complaints, postcopy } from '../support/postcopy.js';
import { CuttingProxy } from '../support/cutting-proxy.js';
import type { SpawnedVm } from '../../src/trial/spawned-vm.js';

useCleanRoom();

/** Bytes of a push that is still under way. */
const PUSHED = 1 << 20;
/** Longer than what counts as a broken link. */
const OUTAGE_MS = 14_000;
const EXIT_FAILED = 12;
const EXIT_WRONG_STATE = 11;
const EXIT_LINK_LOST = 13;
const ANSWER_MS = 20_000;

function source(): Promise<LoadedVm> {
  return startSource({ memory: '64M', fillMib: 32 });
}

describe('the guest moves all the same, when behind COMMIT', () => {
  test('all connections break in the middle of the push, again and again', async () => {
    const [from, link] = await Promise.all([source(), openLink()]);
    let cuts = 0;
    const cut = () => {
      if (++cuts < 3) link.proxy.onPushed(PUSHED, cut);
      link.proxy.cut();
      return 'drop' as const;
    };
    link.proxy.onPushed(PUSHED, cut);
    await movesAllTheSame(from, link);
    expect(cuts).toBe(3);
    await link.proxy.close();
  });

  test.each(['running', 'complete', 'bye'] as const)('%s does not arrive', async (message) => {
    const [from, link] = await Promise.all([source(), openLink()]);
    link.proxy.onMessage(message, 'before', springOf('cut', link, from));
    await movesAllTheSame(from, link);
    await link.proxy.close();
  });

  test('neither PUSHING nor BYE arrives, of a guest whose pages were all there before', async () => {
    const [from, link] = await Promise.all([source(), openLink()]);
    link.proxy.onMessage('pushing', 'before', () => {
      link.proxy.onMessage('bye', 'before', springOf('cut', link, from));
      return 'drop';
    });
    await movesAllTheSame(from, link, ['--mode', 'pre-copy', '--timeout', '3', '--on-timeout', 'stop']);
    await link.proxy.close();
  });

  test('the urgent channel alone breaks', async () => {
    const [from, link] = await Promise.all([source(), openLink()]);
    link.proxy.onPushed(PUSHED, () => link.proxy.resetUrgent());
    await movesAllTheSame(from, link);
    await link.proxy.close();
  });

  test('pages are no pages', async () => {
    const [from, link] = await Promise.all([source(), openLink()]);
    // An extent's header is the first thing on a bulk channel.
    link.proxy.onPushed(0, (bytes) => void (bytes[0]! ^= 0xff));
    await movesAllTheSame(from, link);
    await link.proxy.close();
  });
});

/** At once, because each takes the time after which silence counts as a broken link. */
test('nothing passes for a while, from RUNNING on or in the push, or an end stands still for as long', async () => {
  const silent = async (at: 'running' | 'push'): Promise<void> => {
    const [from, link] = await Promise.all([source(), openLink()]);
    const silence = () => {
      link.proxy.silence();
      void from.vm.reach('interrupted').then(() => link.proxy.speak());
    };
    if (at === 'push') link.proxy.onPushed(PUSHED, silence);
    else link.proxy.onMessage('running', 'before', silence);
    await movesAllTheSame(from, link);
    await link.proxy.close();
  };
  const still = async (end: 'source' | 'destination'): Promise<void> => {
    const [from, link] = await Promise.all([source(), openLink()]);
    const { vm } = end === 'source' ? from : link.destination;
    link.proxy.onPushed(PUSHED, () => {
      vm.kill('SIGSTOP');
      setTimeout(() => vm.kill('SIGCONT'), OUTAGE_MS);
    });
    await movesAllTheSame(from, link);
    await link.proxy.close();
  };
  await Promise.all([silent('running'), silent('push'), still('source'), still('destination')]);
});

test('COMMIT does not arrive: the destination says that it never ran the guest, which goes on at the source', async () => {
  const [from, link] = await Promise.all([source(), openLink()]);
  link.proxy.onMessage('commit', 'before', springOf('cut', link, from));
  const end = await migrate(from, link.proxy.address);
  expect(end.code, end.stderr).toBe(EXIT_FAILED);
  expect(complaints(end)).toEqual([expect.stringMatching(/^postcopy: the migration failed, vm runs on here: .{10}/)]);
  expect((await link.destination.vm.ended).code).toBe(EXIT_FAILED);
  expect(await verifyWhole(from.guest)).toBeGreaterThan(0);
  await work(from.guest);
  await link.proxy.close();
  expect((await migrate(from, (await startDestination()).address)).code).toBe(0);
});

test('while the link is down, both ends say so, the guest runs on, and `recover` points to another way', async () => {
  const [from, link] = await Promise.all([source(), openLink()]);
  // Nobody connects any more on the way that the migration began on.
  link.proxy.onPushed(PUSHED, () => (void link.proxy.close(), 'drop'));
  const { port: way } = link.proxy.address;
  const over = migrate(from, link.proxy.address);
  const status = await from.vm.reach('interrupted');
  expect(status).toMatchObject({ migration: { phase: 'interrupted' } });
  await expect
    .poll(async () => (await from.vm.client.status()).interruption, { timeout: ANSWER_MS })
    .toMatchObject({
      attempts: expect.any(Number),
      pagesMissing: expect.any(Number),
      lastError: expect.stringContaining(String(way)),
    });
  await expect
    .poll(() => link.destination.vm.client.status(), { timeout: ANSWER_MS })
    .toMatchObject({
      state: 'running',
      interruption: { pagesMissing: expect.any(Number), reason: expect.stringMatching(/.{10}/) },
    });
  for (const words of [
    ['cancel', 'vm'],
    ['resume', 'vm', '--force'],
    ['stop', 'vm'],
  ]) {
    const refused = await postcopy(words, { runtimeDirectory: from.vm.runtimeDirectory });
    expect(refused.code, refused.stderr).toBe(EXIT_WRONG_STATE);
  }
  const elsewhere = await CuttingProxy.open(link.destination.address);
  const { host, port } = elsewhere.address;
  const recovered = await postcopy(['recover', 'vm', `${host}:${port}`], {
    runtimeDirectory: from.vm.runtimeDirectory,
  });
  expect(recovered).toMatchObject({ code: 0, stderr: '' });
  const end = await over;
  expect(end.code, end.stderr).toBe(0);
  expect(await verifyWhole(await link.destination.vm.guest())).toBeGreaterThan(0);
  expect(await link.destination.vm.client.status()).not.toHaveProperty('interruption');
  await elsewhere.close();
});

test('a VM without a broken link has nothing to recover', async () => {
  const from = await source();
  const recovered = await postcopy(['recover', 'vm'], { runtimeDirectory: from.vm.runtimeDirectory });
  expect(recovered.code).toBe(EXIT_WRONG_STATE);
});

describe('an end dies behind COMMIT', () => {
  test('the destination: the source looks for it until it is given up', async () => {
    const [from, link] = await Promise.all([source(), openLink()]);
    link.proxy.onPushed(PUSHED, springOf('destination killed', link, from));
    const over = migrate(from, link.proxy.address);
    await from.vm.reach('interrupted');
    expect(await answers(from.vm, 300)).toBe(false);
    await isLost(from.vm, /^postcopy: vm is ended here, and lost, unless 127.*: start it again from its disks$/m);
    const end = await over;
    expect(end.code, end.stderr).toBe(EXIT_LINK_LOST);
    expect(end.stderr).toMatch(/vm is lost, start it again from its disks, unless it runs whole at the destination/);
    await link.proxy.close();
  });

  test('the source: the guest runs on at the destination as far as it can, until it is given up', async () => {
    const [from, link] = await Promise.all([source(), openLink()]);
    link.proxy.onPushed(PUSHED, springOf('source killed', link, from));
    await expect(from.vm.client.migrate(link.proxy.address, () => {})).rejects.toMatchObject({
      code: expect.stringMatching(/^(NO_SUCH_VM|LINK_LOST)$/), // by what it told last
    });
    await expect
      .poll(async () => (await link.destination.vm.client.status()).interruption, { timeout: ANSWER_MS })
      .toMatchObject({ pagesMissing: expect.any(Number) });
    await isLost(link.destination.vm, /^postcopy: vm is ended here, and lost: start it again from its disks$/m);
    await link.proxy.close();
  });

  test('the source, then the destination, while its guest waits for pages: the kernel lets go of all of it', async () => {
    const [from, link] = await Promise.all([source(), openLink()]);
    const { vm } = link.destination;
    link.proxy.onPushed(PUSHED, springOf('source killed', link, from));
    await expect(from.vm.client.migrate(link.proxy.address, () => {})).rejects.toThrow();
    await expect
      .poll(async () => (await vm.client.status()).interruption?.faultsWaiting, { timeout: ANSWER_MS })
      .toBeGreaterThan(0);
    vm.kill('SIGKILL');
    // A thread that still waited in the kernel would keep the process, in state D, for ever.
    expect(await vm.ended).toMatchObject({ signal: 'SIGKILL' });
    await link.proxy.close();
  });
});

/** As whoever ends it by force is told, and whoever watches its process. */
async function isLost(vm: SpawnedVm, says: RegExp): Promise<void> {
  const stopped = await postcopy(['stop', 'vm', '--force'], { runtimeDirectory: vm.runtimeDirectory });
  expect(stopped.code, stopped.stderr).toBe(EXIT_LINK_LOST);
  expect(stopped.stderr).toMatch(says);
  expect((await vm.ended).code).toBe(EXIT_LINK_LOST);
}
