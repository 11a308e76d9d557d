/**
 * Whatever breaks, and whenever: before COMMIT the guest goes on at the source and loses nothing; after it, it runs at
 * most at the destination, and both ends say what they have.
 */
import { describe, expect, test } from 'vitest';
import type { SpawnedVm } from '../../src/guest/spawned-vm.js';
import type { MessageType } from '../../src/migrate/message.js';
import { useCleanRoom } from '../support/clean-room.js';
import { CuttingProxy, type Fate, type Spring } from '../support/cutting-proxy.js';
import {
  answers,
  startDestination,
  startSource,
  verifyWhole,
  work,
  type LoadedVm,
  type WaitingVm,
} from '../support/guest-vms.js';
import { complaints, postcopy, type CommandEnd } from '../support/postcopy.js';

useCleanRoom();

const EXIT_FAILED = 12;
const EXIT_LINK_LOST = 13;
/** Bytes of a push that is still under way. */
const PUSHED = 1 << 20;
const RUNS_HERE = 'runs here';
/** A guest that runs answers within milliseconds, on a busy host too. */
const NO_ANSWER_MS = 300;

/** `frame` is broken on its way: the first byte of its body is another one. */
const corrupt: Spring = (frame) => {
  frame[8]! ^= 0xff;
};

interface Link {
  destination: WaitingVm;
  proxy: CuttingProxy;
}

/** How the link or an end of it fails; `drop`: the message in hand with it. */
type Failure = 'cut' | 'silence' | 'destination killed' | 'destination stopped' | 'source killed' | 'corrupt';

function springOf(failure: Failure, { destination, proxy }: Link, source: LoadedVm): Spring {
  switch (failure) {
    case 'cut':
      return () => (proxy.cut(), 'drop');
    case 'silence':
      return () => (proxy.silence(), 'forward');
    case 'destination killed':
      return () => killed(destination.vm, proxy);
    case 'destination stopped':
      return () => (destination.vm.kill('SIGSTOP'), 'forward');
    case 'source killed':
      return () => killed(source.vm, proxy);
    case 'corrupt':
      return corrupt;
  }
}

/** Nothing passes from the kill on, as its moment is what counts. */
async function killed(vm: SpawnedVm, proxy: CuttingProxy): Promise<Fate> {
  proxy.silence();
  vm.kill('SIGKILL');
  await vm.ended;
  proxy.cut();
  return 'drop';
}

async function openLink(): Promise<Link> {
  const destination = await startDestination();
  return { destination, proxy: await CuttingProxy.open(destination.address) };
}

/** `postcopy migrate` to an address, with --json. */
function migrate(source: LoadedVm, { host, port }: { host: string; port: number }): Promise<CommandEnd> {
  return postcopy(['migrate', 'vm', `${host}:${port}`, '--json'], { runtimeDirectory: source.vm.runtimeDirectory });
}

/** Breaks one migration at the message; the guest must go on at the source, whole. */
async function failsBeforeCommit(
  source: LoadedVm,
  link: Link,
  [failure, when, message]: [Failure, 'before' | 'after', MessageType],
): Promise<void> {
  link.proxy.onMessage(message, when, springOf(failure, link, source));
  const end = await migrate(source, link.proxy.address);
  const step = `${failure} ${when} ${message}`;
  expect(link.proxy.sprung, step).toBe(true);
  expect(end.code, `${step}: ${end.stderr}`).toBe(EXIT_FAILED);
  expect(complaints(end), step).toEqual([
    expect.stringMatching(/^postcopy: the migration failed, vm runs on here: .{10}/),
  ]);
  expect(JSON.parse(end.stdout), step).toMatchObject({ status: 'failed', pages: { demanded: 0, resent: 0 } });
  const status = await source.vm.client.status();
  expect(status, step).toMatchObject({ state: 'running', problem: expect.stringMatching(/.{10}/) });
  expect(await verifyWhole(source.guest), step).toBeGreaterThan(0);
  await work(source.guest);
}

/** The destination has ended by itself, in the way it says, without having run the guest. */
async function destinationGaveUp({ destination }: Link, step: string): Promise<void> {
  const end = await destination.vm.ended;
  expect(end.signal, step).toBe(null);
  expect(end.code, `${step}: ${end.stderr}`).toBe(EXIT_FAILED);
  expect(end.stderr, step).toMatch(/^postcopy: no VM came: .{10}/m);
  expect(end.stderr, step).not.toContain(RUNS_HERE);
}

async function movesAndIsWhole(source: LoadedVm, to: WaitingVm): Promise<void> {
  const end = await migrate(source, to.address);
  expect(end.code, end.stderr).toBe(0);
  expect(JSON.parse(end.stdout)).toMatchObject({ status: 'completed', pages: { resent: 0 } });
  expect((await source.vm.ended).code).toBe(0);
  const moved = await to.vm.guest();
  expect(await verifyWhole(moved)).toBeGreaterThan(0);
  await to.vm.client.stop({ force: true });
  expect((await to.vm.ended).code).toBe(0);
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
      if (failure !== 'destination killed') await destinationGaveUp(link, `${failure} ${when} ${message}`);
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

/** At every stage at once, because each takes the time after which silence counts as a lost link. */
test('the other end falls silent', async () => {
  const before: [Failure, 'before' | 'after', MessageType][] = [
    ['destination stopped', 'before', 'hello'],
    ['silence', 'before', 'accept'],
    ['silence', 'after', 'ram'],
    ['destination stopped', 'before', 'state'],
    ['silence', 'before', 'loaded'],
  ];
  const after: [Failure, 'running' | 'push'][] = [
    ['silence', 'running'],
    ['silence', 'push'],
    ['destination stopped', 'push'],
  ];
  await Promise.all([...before.map(silentBeforeCommit), ...after.map(silentAfterCommit)]);
});

/** Longer than what counts as a lost link before COMMIT. */
const OUTAGE_MS = 8000;

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

async function silentBeforeCommit(how: [Failure, 'before' | 'after', MessageType]): Promise<void> {
  const [source, link] = await Promise.all([startSource({ memory: '64M', fillMib: 4 }), openLink()]);
  await failsBeforeCommit(source, link, how);
  const [failure, , message] = how;
  if (failure === 'destination stopped') link.destination.vm.kill('SIGCONT');
  await link.proxy.close();
  if (message !== 'hello') return destinationGaveUp(link, how.join(' '));
  await link.destination.vm.reach('waiting');
  await movesAndIsWhole(source, link.destination);
}

async function silentAfterCommit([failure, at]: [Failure, 'running' | 'push']): Promise<void> {
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
  await destinationGaveUp(link, 'urgent channel reset');
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
        code: 'UNREACHABLE',
      });
      expect((await source.vm.ended).signal).toBe('SIGKILL');
      await destinationGaveUp(link, `source killed ${when} ${message}`);
      await link.proxy.close();
    }),
  );
});

/** A migration that breaks after COMMIT; the source says so and keeps what it has, without running it. */
async function losesTheLink(source: LoadedVm, { proxy }: Link): Promise<void> {
  const end = await migrate(source, proxy.address);
  expect(proxy.sprung).toBe(true);
  expect(end.code, end.stderr).toBe(EXIT_LINK_LOST);
  expect(complaints(end)).toEqual([
    expect.stringMatching(/^postcopy: the migration lost its link, vm is at the destination and lacks pages: .{10}/),
  ]);
  expect(JSON.parse(end.stdout)).toMatchObject({ status: 'link-lost', error: { code: 'LINK_LOST' } });
  expect(await source.vm.client.status()).toMatchObject({
    state: 'link-lost',
    problem: expect.stringMatching(/broke after the VM was handed over .* until `postcopy stop --force`/),
  });
  expect(await answers(source.vm, NO_ANSWER_MS)).toBe(false);
}

async function destinationLostToo({ destination }: Link): Promise<void> {
  await destination.vm.reach('link-lost');
  expect(await destination.vm.client.status()).toMatchObject({
    problem: expect.stringMatching(
      /was lost while \d+ pages of the VM were still there .* until `postcopy stop --force`/,
    ),
  });
  expect(await answers(destination.vm, NO_ANSWER_MS)).toBe(false);
}

/** They end when they are asked to, whatever state they are in. */
async function stops(...vms: SpawnedVm[]): Promise<void> {
  for (const vm of vms) await vm.client.stop({ force: true });
  for (const vm of vms) expect((await vm.ended).code).toBe(0);
}

describe('the link breaks after COMMIT', () => {
  test('COMMIT does not arrive: the destination has not run the guest and goes away', async () => {
    const [source, link] = await Promise.all([startSource(), openLink()]);
    link.proxy.onMessage('commit', 'before', springOf('cut', link, source));
    await losesTheLink(source, link);
    await destinationGaveUp(link, 'commit');
    await stops(source.vm);
    await link.proxy.close();
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

  test('in the middle of the push', async () => {
    const [source, link] = await Promise.all([startSource({ fillMib: 32 }), openLink()]);
    link.proxy.onPushed(PUSHED, springOf('cut', link, source));
    await losesTheLink(source, link);
    await destinationLostToo(link);
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
    await expect(source.vm.client.migrate(link.proxy.address, () => {})).rejects.toMatchObject({ code: 'UNREACHABLE' });
    await destinationLostToo(link);
    await stops(link.destination.vm);
    await link.proxy.close();
  });

  test.each(['complete', 'bye'] as const)(
    '%s does not arrive: the guest is whole at the destination',
    async (message) => {
      const [source, link] = await Promise.all([startSource(), openLink()]);
      link.proxy.onMessage(message, 'before', springOf('cut', link, source));
      const end = await migrate(source, link.proxy.address);
      expect(link.proxy.sprung).toBe(true);
      // The source knows that all has arrived only from COMPLETE.
      expect(end.code, end.stderr).toBe(message === 'bye' ? 0 : EXIT_LINK_LOST);
      if (message === 'bye') expect((await source.vm.ended).code).toBe(0);
      else await stops(source.vm);
      expect((await link.destination.vm.client.status()).state).toBe('running');
      expect(await verifyWhole(await link.destination.vm.guest())).toBeGreaterThan(0);
      await stops(link.destination.vm);
      await link.proxy.close();
    },
  );
});
