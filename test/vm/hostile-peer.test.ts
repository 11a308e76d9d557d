/** Peers that break the protocol, by mistake or on purpose. */
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { Hello, State } from '../../src/migrate/wire/message.js';
import { encodeRamMap } from '../../src/memory/ram-map.js';
import { PAGE_SIZE } from '../../src/memory/page-size.js';
import { TAG_RECEIVED, TAG_REQUEST } from '../../src/migrate/wire/page-frames.js';
import { encodePreamble } from '../../src/migrate/wire/preamble.js';
import { PROTOCOL_VERSION } from '../../src/migrate/wire/protocol.js';
import type { ProtocolVersion } from '../../src/migrate/wire/protocol.js';
import { useCleanRoom } from '../support/clean-room.js';
import { FakeChannel, FakeDestination, greet, type FakeLink } from '../support/fake-peers.js';
import { answers, startDestination, startSource, verifyWhole, work } from '../support/guest-vms.js';
import { descriptors, realHello, refusalOf, settledDescriptors, stillTakesAVm } from '../support/hostile-source.js';

useCleanRoom();

const ID = new Uint8Array(16).fill(7);
const OTHER_ID = new Uint8Array(16).fill(8);

/** The state of as many vCPUs and what goes with them, of the right shape and with nothing in it. */
function emptyCpu({ machine, cpuid }: Hello): State['cpu'] {
  const part = new Uint8Array(8);
  if (machine === 'threads') return { machine, vcpus: cpuid.map(() => ({ regs: part, xsave: part })) };
  const vcpu = {
    ...{ regs: part, sregs: part, debugregs: part, xcrs: part, xsave: part },
    ...{ mpState: part, vcpuEvents: part, lapic: part, msrs: part },
  };
  const chips = { picMaster: part, picSlave: part, ioapic: part, pit: part };
  return { machine, vcpus: cpuid.map(() => vcpu), chips, clock: part };
}

describe('a source that a destination must survive', () => {
  test('what is no preamble, a channel of no migration, and one that stalls', async () => {
    const destination = await startDestination();
    const strangers = [
      Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'),
      Buffer.alloc(1 << 16, 0xa5),
      Buffer.alloc(32),
      Buffer.from(encodePreamble(PROTOCOL_VERSION, 'control', 0, ID)).fill(99, 10, 11),
    ];
    for (const bytes of strangers) {
      const channel = FakeChannel.open(destination.address);
      channel.write(bytes);
      await channel.closed();
    }
    for (const kind of ['urgent', 'bulk'] as const) {
      expect(await greet(FakeChannel.open(destination.address), kind, ID)).toBe('stranger');
    }
    // Not one of them costs a descriptor.
    const before = await settledDescriptors(destination);
    for (let i = 0; i < 50; i++)
      expect(await greet(FakeChannel.open(destination.address), 'bulk', ID)).toBe('stranger');
    await expect.poll(() => descriptors(destination)).toBeLessThan(before + 10);
    // It stays as it is while the VM comes.
    const stalling = FakeChannel.open(destination.address);
    stalling.write(encodePreamble(PROTOCOL_VERSION, 'control', 0, ID).subarray(0, 31));
    await stillTakesAVm(destination);
  });

  const hellos: [string, Partial<Hello>, RegExp][] = [
    ['no RAM', { memoryBytes: 0 }, /0 bytes of RAM are no possible size/],
    ['half a page', { memoryBytes: (64 << 20) + 2048 }, /no possible size/],
    ['all the RAM there is', { memoryBytes: Number.MAX_SAFE_INTEGER - 4095 }, /TiB of RAM and needs .* TiB; /],
    [
      'a device for a kernel',
      { files: [{ role: 'kernel', path: '/dev/zero', bytes: 0, sha256: '0'.repeat(64) }] },
      /is missing here, or is another one/,
    ],
    [
      'a directory for a kernel',
      { files: [{ role: 'kernel', path: '/', bytes: 4096, sha256: '0'.repeat(64) }] },
      /is missing here, or is another one/,
    ],
    ['a path that is none', { files: [{ role: 'kernel', path: 'a\0b', bytes: 0, sha256: '0'.repeat(64) }] }, /./],
  ];

  test('HELLO with absurd values: refused, with the reason', async () => {
    const [hello, destination] = await Promise.all([realHello(), startDestination()]);
    for (const [what, part, why] of hellos) {
      expect(await refusalOf({ ...hello, ...part }, destination), what).toMatch(why);
    }
    await stillTakesAVm(destination);
  });

  test('messages before their time, and none at all: it goes on waiting', async () => {
    const destination = await startDestination();
    const firsts: ((control: FakeChannel) => void)[] = [
      (control) => control.send('commit', { epoch: 1, sinceClockMicros: 0 }),
      (control) => control.send('ram', { ramMap: new Uint8Array(0) }),
      (control) => control.send('bye', {}),
      (control) => control.send('running', { afterMicros: 0 }),
      (control) => control.write(Buffer.alloc(64, 0xff)),
      (control) => control.write(new Uint8Array([0xff, 0xff, 0xff, 0x3f, 1, 0, 0, 0])),
      (control) => control.write(new Uint8Array([1, 0, 0, 0, 1, 0, 0, 0, 0xc1])),
      (control) => control.send('abort', { reason: 'changed its mind' }),
      (control) => void control.socket.end(),
    ];
    for (const first of firsts) {
      const control = FakeChannel.open(destination.address);
      expect(await greet(control, 'control', ID)).toBe('welcome');
      first(control);
      await control.closed();
      await destination.vm.reach('waiting');
    }
    await stillTakesAVm(destination);
  });

  test.each<[string, firstPages: number[], bytes: number, why: RegExp]>([
    ['less in it than there are', [4, 5], PAGE_SIZE, /4096 bytes in 2 pages/],
    ['one that holds nothing', [6], PAGE_SIZE, /page 6, which was not to come/],
    ['the same one again', [4, 4], 2 * PAGE_SIZE, /page 4, which was not to come or has come before/],
    ['one beyond RAM', [2 ** 40], PAGE_SIZE, /page 1099511627776/],
  ])('STATE whose first pages have %s: it ends, and says why', async (_, firstPages, bytes, why) => {
    const [hello, destination] = await Promise.all([realHello(), startDestination()]);
    const control = FakeChannel.open(destination.address);
    await greet(control, 'control', ID);
    control.send('hello', hello);
    expect(await control.message('accept')).toBeDefined();
    for (const kind of ['urgent', 'bulk'] as const) {
      expect(await greet(FakeChannel.open(destination.address), kind, ID)).toBe('welcome');
    }
    control.send('state', {
      cpu: emptyCpu(hello),
      devices: {},
      ramMap: encodeRamMap(Uint32Array.of(4, 2)),
      firstPages,
      firstContent: new Uint8Array(bytes),
      held: new Uint8Array(0),
      diskSamples: [],
    });
    expect((await control.message('abort'))?.reason).toMatch(why);
    await destination.vm.reach('waiting');
    await destination.vm.client.stop({ force: true });
    expect((await destination.vm.ended).stderr).toMatch(why);
  });

  test('a second migration while one is under way is told that it is busy; the first goes on', async () => {
    const [destination, source] = await Promise.all([startDestination(), startSource()]);
    const control = FakeChannel.open(destination.address);
    expect(await greet(control, 'control', ID)).toBe('welcome');
    const summary = await source.vm.client.migrate(destination.address, () => {});
    expect(summary).toMatchObject({
      status: 'failed',
      error: { message: expect.stringContaining('taking another VM') },
    });
    expect(await greet(FakeChannel.open(destination.address), 'urgent', OTHER_ID)).toBe('stranger');
    control.socket.end();
    await control.closed();
    expect(await verifyWhole(source.guest)).toBeGreaterThan(0);
    await work(source.guest);
    await destination.vm.reach('waiting');
    expect((await source.vm.client.migrate(destination.address, () => {})).status).toBe('completed');
  });
});

/** REQUEST with these page numbers; layout in page-frames.ts. */
function request(received: number, pages: number[], count = pages.length): Uint8Array {
  return new Uint8Array(new Uint32Array([TAG_REQUEST, count, received, 0, ...pages]).buffer);
}

const EXIT_LINK_LOST = 13;

describe('a destination that a source must survive', () => {
  test.each<[string, Uint8Array]>([
    ['a page outside of the RAM', request(0, [(128 << 20) / 4096])],
    ['the last page number there is', request(0, [0xffffffff])],
    ['too many pages', request(0, [], 65)],
    ['pages received that were not sent', request(1, [])],
    ['garbage', new Uint8Array(64).fill(0xa5)],
  ])('before COMMIT, on the urgent channel: %s. The guest goes on', async (_, bytes) => {
    const source = await startSource();
    const fake = await FakeDestination.open(async ({ urgent }: FakeLink) => urgent.write(bytes));
    const summary = await source.vm.client.migrate(fake.address, () => {});
    expect(summary).toMatchObject({ status: 'failed', pages: { demanded: 0 }, error: { code: 'BAD_PEER' } });
    expect(await source.vm.client.status()).toMatchObject({ state: 'running' });
    expect(await verifyWhole(source.guest)).toBeGreaterThan(0);
  });

  test.each<[string, ProtocolVersion, Uint8Array]>([
    ['acknowledges what was not sent', 8, new Uint8Array(new Uint32Array([TAG_RECEIVED, 0, 0, 1]).buffer)],
    ['garbage', 8, new Uint8Array(64).fill(0xa5)],
    ['garbage', 7, new Uint8Array(64).fill(0xa5)],
  ])('after COMMIT, on the bulk channel: %s, in version %i. What is there is kept', async (_, version, bytes) => {
    const source = await startSource();
    const fake = await FakeDestination.open(
      async ({ control, bulk }: FakeLink) => {
        await control.message('state');
        control.send('loaded', { afterMicros: 0 });
        await control.message('commit');
        bulk.write(bytes);
        control.send('running', { afterMicros: 0 });
      },
      { version },
    );
    const moving = Promise.allSettled([source.vm.client.migrate(fake.address, () => {})]);
    // One that can come back is looked for.
    await source.vm.reach(version === 7 ? 'link-lost' : 'interrupted');
    expect(await answers(source.vm, 300)).toBe(false);
    await source.vm.client.stop({ force: true });
    const [end] = await moving;
    if (version === 7) expect(end).toMatchObject({ value: { status: 'link-lost', error: { code: 'BAD_PEER' } } });
    else expect(end).not.toMatchObject({ value: { status: 'completed' } });
    expect((await source.vm.ended).code).toBe(EXIT_LINK_LOST);
  });

  test.each(['ABORT alone', 'a page channel breaks, then ABORT'])(
    'after COMMIT, %s: the destination has not run the guest, so it goes on at the source',
    async (how) => {
      const source = await startSource();
      const fake = await FakeDestination.open(
        async ({ control, urgent }: FakeLink) => {
          await control.message('state');
          control.send('loaded', { afterMicros: 0 });
          await control.message('commit');
          if (how !== 'ABORT alone') {
            urgent.socket.resetAndDestroy();
            await delay(300); // the source's page worker finds out
          }
          control.send('abort', { reason: 'the page channels broke' });
        },
        how === 'ABORT alone' ? {} : { version: 7 },
      );
      const summary = await source.vm.client.migrate(fake.address, () => {});
      expect(summary).toMatchObject({ status: 'failed', pages: { demanded: 0 } });
      expect(summary.error?.message).toMatch(/the destination gave up: the page channels broke/);
      expect(await source.vm.client.status()).toMatchObject({ state: 'running' });
      expect(await verifyWhole(source.guest)).toBeGreaterThan(0);
      await work(source.guest);
      const destination = await startDestination();
      expect((await source.vm.client.migrate(destination.address, () => {})).status).toBe('completed');
      expect(await verifyWhole(await destination.vm.guest())).toBeGreaterThan(0);
    },
  );

  test('messages out of turn: the guest goes on', async () => {
    const source = await startSource();
    for (const type of ['running', 'complete'] as const) {
      const fake = await FakeDestination.open(async ({ control }: FakeLink) => {
        if (type === 'running') control.send('running', { afterMicros: 0 });
        else control.write(new Uint8Array([0, 0, 0, 0, 9, 0, 0, 0]));
      });
      const summary = await source.vm.client.migrate(fake.address, () => {});
      expect(summary.status, type).toBe('failed');
      expect(await verifyWhole(source.guest)).toBeGreaterThan(0);
      await work(source.guest);
    }
  });
});
