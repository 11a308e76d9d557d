/** Whatever breaks, and whenever, after COMMIT: the guest runs at most at the destination, and both ends say what they have. */
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { useCleanRoom } from '../support/clean-room.js';
import { CuttingProxy } from '../support/cutting-proxy.js';
import {
  destinationGaveUp,
  destinationLostToo,
  losesTheLink,
  migrate,
  movesAndIsWhole,
  openLink,
  springOf,
  stops,
  NO_ANSWER_MS,
  type Failure,
} from '../support/failing-link.js';
import { answers, startDestination, startSource, verifyWhole, work } from '../support/guest-vms.js';
import { postcopy, type CommandEnd } from '../support/postcopy.js';
import { makeRawImage } from '../support/raw-image.js';

useCleanRoom();

const EXIT_WRONG_STATE = 11;
/** Bytes of a push that is still under way. */
const PUSHED = 1 << 20;
/** Longer than what counts as a lost link before COMMIT. */
const OUTAGE_MS = 8000;
/** The last acknowledgement has passed on its channel by then. */
const ACKNOWLEDGED_MS = 500;

test.each(['destination', 'source'] as const)(
  'behind COMMIT, the %s stands still for a while: nothing is lost',
  async (end) => {
    const [source, link] = await Promise.all([startSource({ memory: '64M' }), openLink()]);
    const { vm } = end === 'source' ? source : link.destination;
    link.proxy.onPushed(PUSHED, () => {
      vm.kill('SIGSTOP');
      setTimeout(() => vm.kill('SIGCONT'), OUTAGE_MS);
    });
    await movesAndIsWhole(source, { vm: link.destination.vm, address: link.proxy.address });
    expect(link.proxy.sprung).toBe(true);
    await link.proxy.close();
  },
);

/** At once, because each takes the time after which silence counts as a lost link. */
test('the other end falls silent', async () => {
  const cases: [Failure, 'running' | 'push'][] = [
    ['silence', 'running'],
    ['silence', 'push'],
    ['destination stopped', 'push'],
  ];
  await Promise.all(cases.map(fallsSilent));
});

async function fallsSilent([failure, at]: [Failure, 'running' | 'push']): Promise<void> {
  const [source, link] = await Promise.all([startSource({ memory: '64M' }), openLink()]);
  const spring = springOf(failure, link, source);
  if (at === 'push') link.proxy.onPushed(PUSHED, spring);
  else link.proxy.onMessage('running', 'before', spring);
  await losesTheLink(source, link);
  if (failure === 'destination stopped') {
    link.destination.vm.kill('SIGCONT');
    link.proxy.cut();
  }
  await destinationLostToo(link);
  await stops(source.vm, link.destination.vm);
  await link.proxy.close();
}

describe('the link breaks after COMMIT', () => {
  test('COMMIT does not arrive: the destination goes away, and by force the guest goes on at the source, whole', async () => {
    const [source, link] = await Promise.all([startSource({ fillMib: 32 }), openLink()]);
    link.proxy.onMessage('commit', 'before', springOf('cut', link, source));
    expect(await losesTheLink(source, link)).toBe(false);
    await destinationGaveUp(link, 'commit');
    await link.proxy.close();
    const resume = (...words: string[]): Promise<CommandEnd> =>
      postcopy(['resume', 'vm', ...words], { runtimeDirectory: source.vm.runtimeDirectory });
    expect(await resume()).toMatchObject({ code: EXIT_WRONG_STATE, stderr: expect.stringContaining('link-lost') });
    expect(await resume('--force')).toMatchObject({ code: 0, stderr: '' });
    expect(await verifyWhole(source.guest)).toBeGreaterThan(0);
    await work(source.guest);
    await movesAndIsWhole(source, await startDestination());
  });

  test('RUNNING does not arrive', async () => {
    const [source, link] = await Promise.all([startSource(), openLink()]);
    link.proxy.onMessage('running', 'before', springOf('cut', link, source));
    await losesTheLink(source, link);
    await destinationLostToo(link);
    for (const { runtimeDirectory, ended } of [source.vm, link.destination.vm]) {
      expect(await postcopy(['stop', 'vm', '--force'], { runtimeDirectory })).toMatchObject({ code: 0, stderr: '' });
      expect((await ended).code).toBe(0);
    }
    await link.proxy.close();
  });

  test('RUNNING does not arrive: the lock that the destination has on a disk speaks against a guest at the source', async () => {
    const disk = ['--disk', `path=${makeRawImage()},id=root`];
    // An idle guest seldom asks for a page before the link is gone: the source cannot tell that it has run.
    const source = await startSource({ fillMib: 0, words: ['--serial', 'null', ...disk] });
    const destination = await startDestination('vm', disk);
    const link = { destination, proxy: await CuttingProxy.open(destination.address) };
    link.proxy.onMessage('running', 'before', springOf('cut', link, source));
    const code = (await losesTheLink(source, link)) ? 'WRONG_STATE' : 'DISK_IN_USE';
    await destination.vm.reach('link-lost');
    await expect(source.vm.client.resume({ force: true })).rejects.toMatchObject({ code });
    expect((await source.vm.client.status()).state).toBe('link-lost');
    expect(await answers(source.vm, NO_ANSWER_MS)).toBe(false);
    await stops(source.vm, destination.vm);
    await link.proxy.close();
  });

  test('in the middle of the push', async () => {
    const [source, link] = await Promise.all([startSource({ fillMib: 32 }), openLink()]);
    link.proxy.onPushed(PUSHED, springOf('cut', link, source));
    expect(await losesTheLink(source, link)).toBe(true);
    await expect(source.vm.client.resume({ force: true })).rejects.toMatchObject({ code: 'WRONG_STATE' });
    await destinationLostToo(link);
    await expect(link.destination.vm.client.resume({ force: true })).rejects.toMatchObject({ code: 'WRONG_STATE' });
    await stops(link.destination.vm, source.vm);
    await link.proxy.close();
  });

  test('pages that are no pages: the destination halts the guest rather than run it on them', async () => {
    const [source, link] = await Promise.all([startSource({ fillMib: 32 }), openLink()]);
    // An extent's header is the first thing on a bulk channel.
    link.proxy.onPushed(0, (bytes) => void (bytes[0]! ^= 0xff));
    await losesTheLink(source, link);
    await destinationLostToo(link);
    await stops(link.destination.vm, source.vm);
    await link.proxy.close();
  });

  test('the destination is killed: the source keeps what it has', async () => {
    const [source, link] = await Promise.all([startSource({ fillMib: 32 }), openLink()]);
    link.proxy.onPushed(PUSHED, springOf('destination killed', link, source));
    await losesTheLink(source, link);
    await stops(source.vm);
    await link.proxy.close();
  });

  test('the source is killed: the destination halts the guest and says so', async () => {
    const [source, link] = await Promise.all([startSource({ fillMib: 32 }), openLink()]);
    link.proxy.onPushed(PUSHED, springOf('source killed', link, source));
    await expect(source.vm.client.migrate(link.proxy.address, () => {})).rejects.toMatchObject({ code: 'LINK_LOST' });
    await destinationLostToo(link);
    await stops(link.destination.vm);
    await link.proxy.close();
  });

  test.each(['complete', 'bye'] as const)(
    '%s does not arrive: the guest is whole at the destination, and the source knows it by then',
    async (message) => {
      const [source, link] = await Promise.all([startSource(), openLink()]);
      link.proxy.onMessage(message, 'before', async () => {
        await delay(ACKNOWLEDGED_MS);
        link.proxy.cut();
        return 'drop' as const;
      });
      const end = await migrate(source, link.proxy.address);
      expect(link.proxy.sprung).toBe(true);
      expect(end.code, end.stderr).toBe(0);
      expect((await source.vm.ended).code).toBe(0);
      expect((await link.destination.vm.client.status()).state).toBe('running');
      expect(await verifyWhole(await link.destination.vm.guest())).toBeGreaterThan(0);
      await stops(link.destination.vm);
      await link.proxy.close();
    },
  );
});
