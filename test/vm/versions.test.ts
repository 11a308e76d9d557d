/** Ends of different versions, and what they offer each other. */
import { randomBytes } from 'node:crypto';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Hello } from '../../src/migrate/wire/message.js';
import { decodePreamble, encodePreamble, PREAMBLE_BYTES, VERDICTS } from '../../src/migrate/wire/preamble.js';
import { FEATURES, type ProtocolVersion } from '../../src/migrate/wire/protocol.js';
import { useCleanRoom } from '../support/clean-room.js';
import { FakeChannel, FakeDestination, greet, type FakeSettings } from '../support/fake-peers.js';
import { startDestination, startSource, verifyWhole, work, type WaitingVm } from '../support/guest-vms.js';
import { realHello, stillTakesAVm } from '../support/hostile-source.js';

useCleanRoom();

/** Version and verdict of the answer to a control channel that asks in this version, which may be any. */
async function answerTo(version: number, { address }: WaitingVm): Promise<[version: number, verdict: string]> {
  const channel = FakeChannel.open(address);
  channel.write(encodePreamble(version as ProtocolVersion, 'control', 0, randomBytes(16)));
  const answer = decodePreamble((await channel.take(PREAMBLE_BYTES))!);
  channel.socket.end();
  await channel.closed();
  return [answer.version, VERDICTS[answer.index]!];
}

/** Says HELLO and returns what is chosen, with the channel; undefined if the destination closes instead. */
async function choiceOf(hello: Hello, { address }: WaitingVm, version?: ProtocolVersion) {
  const id = randomBytes(16);
  const control = FakeChannel.open(address, version);
  expect(await greet(control, 'control', id)).toBe('welcome');
  control.send('hello', hello);
  return { id, control, chosen: (await control.message('accept'))?.features };
}

/** A fake destination of this kind takes a VM up to its page channels, then gives it up: the version, and what was said. */
async function offerTo(settings: FakeSettings): Promise<{ version: number; hello: Hello }> {
  const source = await startSource({ memory: '64M', fillMib: 0 });
  let heard: { version: number; hello: Hello } | undefined;
  const fake = await FakeDestination.open(async ({ control, hello }) => {
    heard = { version: control.version, hello };
    control.send('abort', { reason: 'it has heard enough' });
  }, settings);
  const summary = await source.vm.client.migrate({ ...fake.address, channels: 1 }, () => {});
  expect(summary).toMatchObject({ status: 'failed', error: { message: expect.stringContaining('heard enough') } });
  expect(await source.vm.client.status()).toMatchObject({ state: 'running' });
  return heard!;
}

interface Downgrading {
  address: { host: string; port: number };
  /** Those that came in version 7. */
  channels: string[];
}

/** Stands before a destination and takes nothing but version 7, as one of the release before would. */
async function downgrading(target: { host: string; port: number }): Promise<Downgrading> {
  const channels: string[] = [];
  const join = async (source: Socket) => {
    const channel = new FakeChannel(source, 7);
    const bytes = await channel.take(PREAMBLE_BYTES);
    if (bytes === undefined) return;
    const preamble = decodePreamble(bytes);
    if (preamble.version !== 7) return channel.refuse(preamble);
    channels.push(preamble.channel);
    const destination = connect(target);
    onTestFinished(() => void destination.destroy());
    destination.on('error', () => source.destroy()).on('close', () => source.destroy());
    source.on('close', () => destination.destroy());
    source.removeAllListeners('data');
    destination.write(bytes);
    source.pipe(destination).pipe(source);
  };
  const server = createServer((socket) => void join(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return { address: { host: '127.0.0.1', port: (server.address() as AddressInfo).port }, channels };
}

describe('a destination', () => {
  test('takes its own version and the one before, and says its own to others', async () => {
    const destination = await startDestination();
    expect(await answerTo(6, destination)).toEqual([8, 'version']);
    expect(await answerTo(9, destination)).toEqual([8, 'version']);
    expect(await answerTo(8, destination)).toEqual([8, 'welcome']);
    await destination.vm.reach('waiting');
    expect(await answerTo(7, destination)).toEqual([7, 'welcome']);
    await stillTakesAVm(destination);
  });

  test('speaks version 7 to a source of version 7, on all channels', async () => {
    const [hello, destination] = await Promise.all([realHello(), startDestination()]);
    const { id, control } = await choiceOf(hello, destination, 7);
    for (const kind of ['urgent', 'bulk'] as const) {
      // One of another version is none of this migration.
      expect(await greet(FakeChannel.open(destination.address, 8), kind, id)).toBe('stranger');
      expect(await greet(FakeChannel.open(destination.address, 7), kind, id)).toBe('welcome');
    }
    const others = FakeChannel.open(destination.address, 7);
    expect(await greet(others, 'control', randomBytes(16))).toBe('busy');
    control.send('abort', { reason: 'it was only asked' });
    await destination.vm.reach('waiting');
    await destination.vm.client.stop({ force: true });
    expect((await destination.vm.ended).stderr).toContain('it was only asked');
  });

  test('chooses no feature that it does not know, takes none twice, and refuses a thousand', async () => {
    const [hello, destination] = await Promise.all([realHello(), startDestination()]);
    const thousand = Array.from({ length: 1000 }, (_, i) => `feature-${i}`);
    expect((await choiceOf({ ...hello, features: thousand }, destination)).chosen).toBeUndefined();
    await destination.vm.reach('waiting');
    const { control, chosen } = await choiceOf({ ...hello, features: ['unheard-of', 'unheard-of'] }, destination);
    expect(chosen).toEqual([]);
    control.socket.destroy();
    await destination.vm.reach('waiting');
  });

  test('takes a VM whose source has a policy that it does not know', async () => {
    const [hello, destination] = await Promise.all([realHello(), startDestination()]);
    const { control, chosen } = await choiceOf({ ...hello, prefetch: 'of-a-later-release' }, destination);
    expect(chosen).toEqual(FEATURES);
    control.socket.destroy();
    await destination.vm.reach('waiting');
  });
});

describe('a source', () => {
  test('speaks version 7 to a destination of version 7', async () => {
    const { version, hello } = await offerTo({ version: 7 });
    expect(version).toBe(7);
    expect(hello).toMatchObject({ name: 'vm', bulkChannels: 1 });
  });

  test('offers its options and features to one of its own version', async () => {
    const { version, hello } = await offerTo({});
    expect(version).toBe(8);
    expect(hello).toMatchObject({ bulkChannels: 1, prefetch: 'in-order', features: FEATURES });
  });

  test('takes no feature that it has not offered: the guest goes on', async () => {
    const source = await startSource();
    const fake = await FakeDestination.open(async () => {}, { features: ['unheard-of'] });
    const summary = await source.vm.client.migrate(fake.address, () => {});
    expect(summary).toMatchObject({
      status: 'failed',
      error: { code: 'BAD_PEER', message: expect.stringContaining('not offered: unheard-of') },
    });
    expect(await source.vm.client.status()).toMatchObject({ state: 'running' });
    expect(await verifyWhole(source.guest)).toBeGreaterThan(0);
  });
});

test('a VM moves in version 7, with its work under way, over several channels', async () => {
  const [source, destination] = await Promise.all([startSource({ fillMib: 32 }), startDestination()]);
  const { address, channels } = await downgrading(destination.address);
  const summary = await source.vm.client.migrate({ ...address, channels: 2 }, () => {});
  expect(summary).toMatchObject({ status: 'completed', pages: { resent: 0 } });
  expect(channels.sort()).toEqual(['bulk', 'bulk', 'control', 'urgent']);
  const guest = await destination.vm.guest();
  expect(await verifyWhole(guest)).toBeGreaterThan(0);
  // And on, in the newest.
  await work(guest);
  const next = await startDestination();
  expect((await destination.vm.client.migrate(next.address, () => {})).status).toBe('completed');
  expect(await verifyWhole(await next.vm.guest())).toBeGreaterThan(0);
});
