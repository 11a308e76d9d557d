/** Whatever breaks, and whenever, before COMMIT: the guest goes on at the source and loses nothing. */
import { describe, expect, test } from 'vitest';
import type { MessageType } from '../../src/migrate/wire/message.js';
import { useCleanRoom } from '../support/clean-room.js';
import { CuttingProxy } from '../support/cutting-proxy.js';
import {
  destinationEndsWhenAsked,
  destinationWaitsOn,
  failsBeforeCommit,
  mayWait,
  migrate,
  movesAndIsWhole,
  openLink,
  springOf,
  EXIT_FAILED,
  type Failure,
  type Link,
} from '../support/failing-link.js';
import { startDestination, startSource, verifyWhole } from '../support/guest-vms.js';
import { makeRawImage } from '../support/raw-image.js';

useCleanRoom();

function goneByThen(link: Link, how: [Failure, 'before' | 'after', MessageType]): Promise<void> {
  return (mayWait(...how) ? destinationEndsWhenAsked : destinationWaitsOn)(link, how.join(' '));
}

describe('the link breaks, the destination dies or bytes are corrupt before COMMIT', () => {
  test.each<[MessageType, [Failure, 'before' | 'after'][]]>([
    [
      'accept',
      [
        ['cut', 'before'],
        ['destination killed', 'after'],
        ['corrupt', 'before'],
      ],
    ],
    [
      'ram',
      [
        ['cut', 'before'],
        ['destination killed', 'before'],
        ['cut', 'after'],
        ['corrupt', 'before'],
      ],
    ],
    [
      'state',
      [
        ['cut', 'before'],
        ['destination killed', 'after'],
        ['cut', 'after'],
        ['corrupt', 'before'],
      ],
    ],
    // Once the source has LOADED, it commits.
    [
      'loaded',
      [
        ['cut', 'before'],
        ['destination killed', 'before'],
        ['corrupt', 'before'],
      ],
    ],
  ])('at %s', async (message, failures) => {
    const source = await startSource();
    for (const [failure, when] of failures) {
      const link = await openLink();
      await failsBeforeCommit(source, link, [failure, when, message]);
      if (failure !== 'destination killed') await goneByThen(link, [failure, when, message]);
      await link.proxy.close();
    }
    await movesAndIsWhole(source, await startDestination());
  });

  test('at hello: nothing is agreed yet, so the destination goes on waiting and takes the VM at the next try', async () => {
    const source = await startSource();
    const destination = await startDestination();
    for (const [failure, when] of [
      ['cut', 'before'],
      ['cut', 'after'],
      ['corrupt', 'before'],
    ] as const) {
      const link = { destination, proxy: await CuttingProxy.open(destination.address) };
      await failsBeforeCommit(source, link, [failure, when, 'hello']);
      await destination.vm.reach('waiting');
      await link.proxy.close();
    }
    const dying = await openLink();
    await failsBeforeCommit(source, dying, ['destination killed', 'after', 'hello']);
    await dying.proxy.close();
    await movesAndIsWhole(source, destination);
  });
});

test('LOADED is lost: the destination, which waits for a source that may ask, lets go of the disk that the guest needs', async () => {
  const words = ['--serial', 'null', '--disk', `path=${makeRawImage()},id=root`];
  const source = await startSource({ words });
  const destination = await startDestination('vm', words.slice(2));
  const link = { destination, proxy: await CuttingProxy.open(destination.address) };
  await failsBeforeCommit(source, link, ['cut', 'before', 'loaded']);
  await destinationEndsWhenAsked(link, 'cut before loaded');
  await link.proxy.close();
});

/** At every stage at once, because each takes the time after which silence counts as a lost link. */
test('the destination falls silent', async () => {
  const cases: [Failure, 'before' | 'after', MessageType][] = [
    ['destination stopped', 'before', 'hello'],
    ['silence', 'before', 'accept'],
    ['silence', 'after', 'ram'],
    ['destination stopped', 'before', 'state'],
    ['silence', 'before', 'loaded'],
  ];
  await Promise.all(cases.map(fallsSilent));
});

async function fallsSilent(how: [Failure, 'before' | 'after', MessageType]): Promise<void> {
  const [source, link] = await Promise.all([startSource({ memory: '64M', fillMib: 4 }), openLink()]);
  await failsBeforeCommit(source, link, how);
  const [failure, , message] = how;
  if (failure === 'destination stopped') link.destination.vm.kill('SIGCONT');
  await link.proxy.close();
  if (message !== 'hello') return goneByThen(link, how);
  await link.destination.vm.reach('waiting');
  await movesAndIsWhole(source, link.destination);
}

test('the urgent channel alone breaks before COMMIT: no guest runs on pages that nobody sent', async () => {
  const source = await startSource();
  const link = await openLink();
  link.proxy.onMessage('state', 'before', () => {
    link.proxy.resetUrgent();
    return 'forward';
  });
  const end = await migrate(source, link.proxy.address);
  expect(end.code, end.stderr).toBe(EXIT_FAILED);
  expect((await source.vm.client.status()).state).toBe('running');
  expect(await verifyWhole(source.guest)).toBeGreaterThan(0);
  await destinationWaitsOn(link, 'urgent channel reset');
});

test('the source is killed before COMMIT: the destination never runs the guest', async () => {
  const cases: ['before' | 'after', MessageType][] = [
    ['before', 'accept'],
    ['after', 'ram'],
    ['before', 'state'],
    ['after', 'state'],
    ['before', 'loaded'],
  ];
  await Promise.all(
    cases.map(async ([when, message]) => {
      const source = await startSource({ memory: '64M', fillMib: 4 });
      const link = await openLink();
      link.proxy.onMessage(message, when, springOf('source killed', link, source));
      await expect(source.vm.client.migrate(link.proxy.address, () => {})).rejects.toMatchObject({
        code: expect.stringMatching(/^(NO_SUCH_VM|LINK_LOST)$/), // by what it told last
      });
      expect((await source.vm.ended).signal).toBe('SIGKILL');
      await goneByThen(link, ['source killed', when, message]);
      await link.proxy.close();
    }),
  );
});
