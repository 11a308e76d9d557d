import { EventEmitter, once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Deferred } from '../../../../src/basics/deferred.js';
import { PostcopyError } from '../../../../src/errors.js';
import type { Machine } from '../../../../src/machine/machine.js';
import { encodeRamMap } from '../../../../src/memory/ram-map.js';
import type { PageChannelEvents } from '../../../../src/migrate/destination/page-channels.js';
import type { PrepareParts } from '../../../../src/migrate/destination/prepare.js';
import { ReceiveVm, type ReceiveHooks } from '../../../../src/migrate/destination/receive-vm.js';
import { WaitHistogram } from '../../../../src/migrate/report/wait-histogram.js';
import type { Body, Hello, Message, MessageType } from '../../../../src/migrate/wire/message.js';
import {
  ALONE_MS,
  ANSWER_TIMEOUT_MS,
  HAND_OVER_TIMEOUT_MS,
  PREPARING_TIMEOUT_MS,
} from '../../../../src/migrate/wire/protocol.js';
import { native, type Socket } from '../../../../src/native.js';

const PAGES = 256;
const HELLO = {
  ...{ machine: 'threads', memoryBytes: PAGES * 4096, tscKhz: 1000, xsaveBytes: 832, bulkChannels: 1, epoch: 3 },
  features: [] as string[],
  mode: 'post-copy',
} as Hello;
const STATE: Body<'state'> = {
  cpu: { machine: 'threads', vcpus: [{ regs: new Uint8Array(8), xsave: new Uint8Array(8) }] },
  ...{ devices: 'the devices', ramMap: encodeRamMap(Uint32Array.of(8, 2)) },
  ...{ firstPages: [], firstContent: new Uint8Array(0), held: new Uint8Array(0), diskSamples: [] },
};
const SOCKET = {} as Socket;

let log: string[];
let control: FakeControl;
let channels: FakeChannels;
let machine: ReturnType<typeof fakeMachine>;
let hooks: ReceiveHooks;
let parts: PrepareParts;
let pages: PageChannelEvents;
let vm: ReceiveVm;

class FakeControl extends EventEmitter {
  closed = 0;
  version = 7;
  readonly bodies: Partial<Record<MessageType, unknown>> = {};
  bearLongSilence = () => {};
  send = (type: MessageType, body: unknown) => {
    if (type !== 'progress') log.push(type.toUpperCase());
    this.bodies[type] = body;
  };
  close = () => void this.closed++;

  says<T extends MessageType>(type: T, body: Body<T>): void {
    this.emit('message', { type, body } as Message);
  }
}

class FakeChannels {
  part = async () => void log.push('(parted)');
  rejoin = async (generation: number) => {
    log.push(`(rejoins ${generation})`);
    return Uint32Array.of(8, 2);
  };
  readonly pages = PAGES;
  readonly wholeBlocks = 'whole blocks';
  attached = true;
  broken = false;
  handsOver = true;
  pagesMissing = 0;
  faultsWaiting = 0;
  comesYet = 0;
  takesRounds = false;
  held = 0;
  attach = () => true;
  endRounds = (held: Uint32Array) => {
    this.takesRounds = false;
    this.held = held.length / 2;
  };
  expect = (extents: Uint32Array) => {
    for (let i = 1; i < extents.length; i += 2) this.pagesMissing += extents[i]!;
  };
  install = () => {};
  becomeWhole = async () => {
    this.pagesMissing -= this.comesYet;
    return this.pagesMissing === 0;
  };
  handOver = () => this.handsOver;
  sum = () => 0;
  waits = () => new WaitHistogram();
  unregister = () => void log.push('(unregistered)');
  close = async () => void log.push('(channels closed)');
  letGo = async () => void log.push('(let go)');
}

function fakeMachine() {
  return {
    kind: { name: 'threads', scalesTsc: () => true },
    ...{ tscKhz: 1000, xsaveBytes: 832, cpus: 1 },
    memory: { release: (first: number, count: number) => void log.push(`(RAM emptied: ${first} + ${count})`) },
    vcpus: [] as unknown[],
    comingPages: undefined as unknown,
    setTscKhz: () => {},
    tryMsrs: (): string[] => [],
    hostDevices: { takeOver: async () => void log.push('(takes disks)'), requireSamples: async () => {} },
    restore: async () => void log.push('(restored)'),
    resumeAfter: (): void => void log.push('(runs)'),
    hold: () => void log.push('(held)'),
    letGoOn: () => void log.push('(goes on)'),
    devices: { pause: async () => void log.push('(devices pause)') },
    close: async () => {
      log.push('(machine closed)');
      return true;
    },
  };
}

beforeEach(() => {
  log = [];
  control = new FakeControl();
  channels = new FakeChannels();
  machine = fakeMachine();
  hooks = {
    machine: 'threads',
    openDevices: async () => [],
    createMachine: async () => machine as unknown as Machine,
    takePageWorker: async () => 'a page worker' as never,
    onRunning: () => void log.push('(told)'),
    onOutput: ({ serial }) => void log.push(`(${Buffer.from(serial).toString()})`),
    onPageLost: () => {},
    onMemoryShort: () => {},
    onInterrupted: (reason) => void log.push(`(interrupted: ${reason.message})`),
    onMet: () => void log.push('(met)'),
  };
  parts = {
    objectionsTo: async () => [],
    createChannels: async (_memory, _pages, _bulk, _worker, events, rounds) => {
      pages = events;
      channels.takesRounds = rounds;
      return channels as never;
    },
    rehearse: async () => {},
  };
});
afterEach(() => vi.useRealTimers());

/** On a machine however slow. */
function until(holds: () => void): Promise<void> {
  return vi.waitFor(holds, { timeout: 50_000, interval: 5 });
}

function receive(): ReceiveVm {
  vm = new ReceiveVm(control as never, new Uint8Array(16), hooks, parts);
  return vm;
}

async function untilAccept(): Promise<void> {
  receive();
  control.says('hello', HELLO);
  await until(() => expect(log).toContain('ACCEPT'));
}

async function untilLoaded(): Promise<void> {
  await untilAccept();
  control.says('state', STATE);
  await until(() => expect(log).toContain('LOADED'));
}

async function untilRunning(): Promise<void> {
  await untilLoaded();
  control.says('commit', { epoch: 3, sinceClockMicros: 0 });
  await until(() => expect(log).toContain('(told)'));
  log = [];
}

const gone = new PostcopyError('LINK_LOST', 'there closed the connection');

describe('ReceiveVm', () => {
  it('takes a VM', async () => {
    await untilAccept();
    expect([vm.attach('urgent', 0, 0, SOCKET), machine.comingPages]).toEqual([true, channels]);
    control.says('ram', { ramMap: encodeRamMap(Uint32Array.of(0, 4)) });
    expect(vm.pagesMissing).toBe(4);
    control.says('state', STATE);
    await until(() => expect(log).toContain('LOADED'));
    expect([vm.pagesMissing, vm.attach('urgent', 0, 0, SOCKET)]).toEqual([6, false]);
    control.says('commit', { epoch: 3, sinceClockMicros: 0 });
    channels.pagesMissing = 0;
    pages.allInstalled();
    control.says('bye', {});
    expect(await vm.outcome).toMatchObject({ status: 'completed', machine, hello: HELLO, wholeBlocks: 'whole blocks' });
    expect(log).toEqual([
      ...['ACCEPT', '(takes disks)', '(restored)', 'LOADED', '(runs)', 'RUNNING', '(told)'],
      ...['(unregistered)', 'COMPLETE', '(let go)'],
    ]);
    expect([machine.comingPages, control.closed]).toEqual([undefined, 1]);
  });

  it('takes a VM whose pages come in rounds, however long they take, from RAM that nobody has touched', async () => {
    parts.rehearse = async () => void log.push('(rehearsed)');
    receive();
    control.says('hello', { ...HELLO, mode: 'hybrid' });
    await until(() => expect(log).toContain('ACCEPT'));
    expect([log, machine.comingPages]).toEqual([['(rehearsed)', '(RAM emptied: 0 + 256)', 'ACCEPT'], channels]);
    vi.useFakeTimers();
    control.says('copying', {});
    await vi.advanceTimersByTimeAsync(24 * 3_600_000);
    vi.useRealTimers();
    control.says('state', { ...STATE, held: encodeRamMap(Uint32Array.of(0, 1, 4, 2)) });
    await until(() => expect(log).toContain('LOADED'));
    expect([channels.held, vm.pagesMissing]).toEqual([2, 2]);
  });

  it('does not wait for rounds for ever before they begin', async () => {
    vi.useFakeTimers();
    receive();
    control.says('hello', { ...HELLO, mode: 'pre-copy' });
    await vi.advanceTimersByTimeAsync(PREPARING_TIMEOUT_MS);
    expect(await vm.outcome).toMatchObject({
      status: 'not-begun',
      reason: { message: expect.stringMatching(/silent for 60 s/) },
    });
  });

  it.each<[string, 'post-copy' | 'hybrid', () => void, RegExp]>([
    ['COPYING by post-copy', 'post-copy', () => control.says('copying', {}), /COPYING, which is no part of post-copy/],
    ['COPYING twice', 'hybrid', () => control.says('copying', {}), /copying out of turn, while copying/],
    ['its end', 'hybrid', () => void control.emit('broken', gone), /there closed the connection/],
    ['ABORT', 'hybrid', () => control.says('abort', { reason: 'stopped' }), /the source gave up: stopped/],
  ])('drops a VM, and may take another, at %s while rounds are under way', async (_, mode, happen, why) => {
    receive();
    control.says('hello', { ...HELLO, mode });
    await until(() => expect(log).toContain('ACCEPT'));
    if (mode !== 'post-copy') control.says('copying', {});
    happen();
    expect(await vm.outcome).toMatchObject({ status: 'not-begun', reason: { message: expect.stringMatching(why) } });
    expect(log.slice(-3)).toEqual(['ABORT', '(machine closed)', '(let go)']);
  });

  it('knows of RAM before it looks at what comes behind it: the PONG for that says so', async () => {
    await untilAccept();
    control.says('ram', { ramMap: encodeRamMap(Uint32Array.of(0, 4)) });
    expect(vm.pagesMissing).toBe(4);
  });

  it('remembers what the consoles have shown, and takes the VM also if it cannot', async () => {
    await untilAccept();
    control.says('output', { serial: Buffer.from('words'), virtio: new Uint8Array(0) });
    expect(log.at(-1)).toBe('(words)');
    hooks.onOutput = () => {
      throw new Error('no room');
    };
    const warning = once(process, 'warning');
    control.says('output', { serial: Buffer.from('words'), virtio: new Uint8Array(0) });
    expect(String(await warning)).toMatch(/PostcopyWarning: remembering the output of consoles failed.*no room/);
    control.says('state', STATE);
    await until(() => expect(log).toContain('LOADED'));
  });

  it('has all of a guest whose last page came before it runs', async () => {
    await untilLoaded();
    channels.pagesMissing = 0;
    pages.allInstalled(); // nobody runs on them yet
    control.says('commit', { epoch: 3, sinceClockMicros: 0 });
    await until(() => expect(log).toContain('COMPLETE'));
    control.says('bye', {});
    expect((await vm.outcome).status).toBe('completed');
  });

  it('tells all objections at once, and builds nothing', async () => {
    parts.objectionsTo = async () => ['too large'];
    hooks.openDevices = async () => ['no such disk'];
    hooks.createMachine = async () => Promise.reject(new Error('not to be asked'));
    receive();
    control.says('hello', HELLO);
    expect(await vm.outcome).toEqual({ status: 'refused', reasons: ['too large', 'no such disk'] });
    expect([log, control.closed]).toEqual([['REFUSE'], 1]);
  });

  it.each<[string, Partial<Hello>, RegExp]>([
    ['XSAVE state', { xsaveBytes: 1000 }, /1000 bytes of XSAVE state; this host's 832/],
    ['TSC', { tscKhz: 5000 }, /TSC/],
  ])('refuses a VM whose %s the machine cannot have, with nothing left', async (_, part, why) => {
    machine.kind.scalesTsc = () => false;
    receive();
    control.says('hello', { ...HELLO, ...part });
    expect(await vm.outcome).toMatchObject({ status: 'refused', reasons: [expect.stringMatching(why)] });
    expect(log).toEqual(['(machine closed)', 'REFUSE']);
  });

  it.each<[string, () => void, string[]]>([
    ['channels', () => (parts.createChannels = async () => Promise.reject(new Error('no userfaultfd'))), []],
    ['rehearsal', () => (parts.rehearse = async () => Promise.reject(new Error('no userfaultfd'))), ['(let go)']],
  ])('refuses a VM whose %s fail here, with nothing left', async (_, fail, andThen) => {
    fail();
    receive();
    control.says('hello', HELLO);
    expect(await vm.outcome).toEqual({ status: 'refused', reasons: ['no userfaultfd'] });
    expect(log).toEqual(['(machine closed)', ...andThen, 'REFUSE']);
  });

  it.each<[string, () => void, string]>([
    ['is gone', () => void control.emit('broken', gone), 'there closed the connection'],
    ['gives up', () => control.says('abort', { reason: 'stopped' }), 'the source gave up: stopped'],
    ['says HELLO again', () => control.says('hello', HELLO), 'the source sent hello out of turn, while checking'],
    [
      'sends what is ours',
      () => control.says('accept', { features: [] }),
      "the source sent accept, which is the destination's to send",
    ],
  ])('begins nothing if the source %s while a machine is built, and leaves none', async (_, happen, why) => {
    const made = new Deferred<Machine>();
    const making = vi.fn(() => made.promise);
    hooks.createMachine = making;
    receive();
    control.says('hello', HELLO);
    await until(() => expect(making).toHaveBeenCalled());
    happen();
    await until(() => expect(log).toEqual(['ABORT'])); // at once
    made.resolve(machine as unknown as Machine);
    expect(await vm.outcome).toMatchObject({ status: 'not-begun', reason: { message: why } });
    expect(log).toEqual(['ABORT', '(machine closed)']);
  });

  it('closes a machine that was ready as the source went', async () => {
    const rehearsed = new Deferred<void>();
    parts.rehearse = () => rehearsed.promise;
    receive();
    control.says('hello', HELLO);
    await until(() => expect(machine.comingPages).toBe(channels));
    control.emit('broken', gone);
    rehearsed.resolve();
    expect((await vm.outcome).status).toBe('not-begun');
    expect(log).toEqual(['ABORT', '(machine closed)', '(let go)']);
  });

  it('waits for HELLO no longer than for an answer', async () => {
    vi.useFakeTimers();
    receive();
    await vi.advanceTimersByTimeAsync(ANSWER_TIMEOUT_MS);
    expect(await vm.outcome).toMatchObject({
      status: 'not-begun',
      reason: { message: 'the source was silent for 30 s while waiting' },
    });
    expect(vi.getTimerCount()).toBe(0);
  });

  it('gives the VM back when its state is not loaded in time, and lets go of it when that is over', async () => {
    await untilAccept();
    const taken = new Deferred<undefined>();
    machine.hostDevices.takeOver = () => taken.promise;
    vi.useFakeTimers();
    control.says('state', STATE);
    await vi.advanceTimersByTimeAsync(HAND_OVER_TIMEOUT_MS);
    vi.useRealTimers();
    expect(log).toEqual(['ACCEPT', 'ABORT']);
    taken.resolve(undefined);
    expect(await vm.outcome).toMatchObject({
      status: 'not-begun',
      reason: { message: 'the source was silent for 10 s while loading' },
    });
    expect(log).toEqual(['ACCEPT', 'ABORT', '(machine closed)', '(let go)']);
  });

  it.each<[string, () => void, Body<'state'>, RegExp]>([
    ['a channel is not there', () => (channels.attached = false), STATE, /before it opened all channels/],
    ['it has other vCPUs', () => (machine.cpus = 2), STATE, /STATE has 1 vCPUs, HELLO had 2/],
    ['a channel broke', () => (channels.broken = true), STATE, /the page channels broke while state was loaded/],
    ['its map is none', () => {}, { ...STATE, ramMap: Uint8Array.of(1, 2, 3) }, /./],
  ])('gives the VM back if, at STATE, %s', async (_, spoil, state, why) => {
    await untilAccept();
    spoil();
    control.says('state', state);
    expect(await vm.outcome).toMatchObject({ status: 'not-begun', reason: { message: expect.stringMatching(why) } });
    expect(log.slice(-3)).toEqual(['ABORT', '(machine closed)', '(let go)']);
  });

  it.each<[string, () => void, number, string]>([
    ['of another epoch', () => {}, 4, 'COMMIT of epoch 4; HELLO announced 3'],
    ['on channels that broke', () => (channels.handsOver = false), 3, 'the page channels broke before COMMIT'],
  ])('gives the VM back at a COMMIT %s', async (_, spoil, epoch, message) => {
    await untilLoaded();
    spoil();
    control.says('commit', { epoch, sinceClockMicros: 0 });
    expect(await vm.outcome).toMatchObject({ status: 'failed', reason: { message } });
    expect(log).not.toContain('(runs)');
  });

  it('loses a guest that lacks pages when the link goes, and keeps its machine', async () => {
    await untilRunning();
    control.emit('broken', gone);
    expect(await vm.outcome).toEqual({ status: 'lost', reason: gone, machine, pagesMissing: 2 });
    expect(log).toEqual(['LOST', '(devices pause)', '(channels closed)']);
    expect(vm.pagesMissing).toBe(2);
  });

  it('is done with a guest whose last pages are still read when the link goes', async () => {
    await untilRunning();
    channels.comesYet = 2;
    control.emit('broken', gone);
    expect((await vm.outcome).status).toBe('completed');
    expect(log).toEqual(['(unregistered)', 'COMPLETE', '(let go)']);
  });

  it('waits for no page when it is given up here', async () => {
    await untilRunning();
    channels.becomeWhole = () => new Promise(() => {});
    vm.cancel(new PostcopyError('MIGRATION_FAILED', 'the destination was stopped'));
    expect(await vm.outcome).toMatchObject({ status: 'lost', pagesMissing: 2 });
    expect(control.bodies.lost).toEqual({ reason: 'the destination was stopped' });
  });

  it.each(['cancel', 'failure'] as const)('is done though a %s comes, when nothing is missing', async (how) => {
    await untilRunning();
    channels.pagesMissing = 0;
    if (how === 'cancel') vm.cancel(gone);
    else pages.failed(gone, 0);
    expect((await vm.outcome).status).toBe('completed');
  });

  it('loses a guest that nobody could be told of, with its machine', async () => {
    hooks.onRunning = () => {
      throw new Error("the embedder's bug");
    };
    await untilLoaded();
    control.says('commit', { epoch: 3, sinceClockMicros: 0 });
    expect(await vm.outcome).toMatchObject({ status: 'lost', machine });
  });

  it('comes to its end though a part of that fails', async () => {
    await untilLoaded();
    machine.close = async () => Promise.reject(new Error('does not close'));
    control.emit('broken', gone);
    expect((await vm.outcome).status).toBe('failed');
    expect(log.at(-1)).toBe('(let go)');
  });

  it('gives back a guest that it could not begin to run', async () => {
    await untilLoaded();
    machine.resumeAfter = () => {
      throw new Error('KVM takes no clock');
    };
    control.says('commit', { epoch: 3, sinceClockMicros: 0 });
    expect(await vm.outcome).toMatchObject({ status: 'failed', reason: { message: 'KVM takes no clock' } });
    expect(control.bodies.abort).toEqual({ reason: 'KVM takes no clock' });
  });

  describe('from a source that can come again', () => {
    beforeEach(() => (control.version = 8));

    /** On another connection. */
    function comesAgain(generation: number): FakeControl {
      const again = new FakeControl();
      again.version = 8;
      vm.meet(again as never, generation);
      return again;
    }

    it('runs on when the link breaks, and says what is missing when it comes', async () => {
      await untilRunning();
      control.emit('broken', gone);
      await until(() => expect(log).toEqual(['(interrupted: there closed the connection)', '(parted)']));
      const again = comesAgain(1);
      await until(() => expect(log.slice(2)).toEqual(['(rejoins 1)', 'STANDING', '(met)']));
      expect(again.bodies.standing).toEqual({ is: 'runs', missing: encodeRamMap(Uint32Array.of(8, 2)) });
      expect(vm.attach('bulk', 0, 0, SOCKET)).toBe(false);
      expect(vm.attach('bulk', 0, 1, SOCKET)).toBe(true);
      channels.pagesMissing = 0;
      pages.allInstalled();
      again.says('bye', {});
      expect((await vm.outcome).status).toBe('completed');
      expect(log).toContain('COMPLETE');
    });

    it('takes the newest connection for the source, whatever it thinks of the one before', async () => {
      await untilRunning();
      comesAgain(2);
      await until(() => expect(log).toContain('(rejoins 2)'));
      expect(control.closed).toBeGreaterThan(0);
      control.emit('broken', gone);
      expect(comesAgain(1).closed).toBe(1);
      comesAgain(3);
      await until(() => expect(log).toContain('(rejoins 3)'));
      expect(log.filter((it) => it.startsWith('(rejoins'))).toEqual(['(rejoins 2)', '(rejoins 3)']);
    });

    it('halts a guest of which the source does not know for too long, until it does', async () => {
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'], shouldAdvanceTime: true });
      await untilRunning();
      vi.advanceTimersByTime(ALONE_MS);
      await until(() => expect(log).toContain('(held)'));
      control.says('pushing', {});
      await until(() => expect(log).toContain('(goes on)'));
    });

    it('does not halt a guest of which the source knows', async () => {
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'], shouldAdvanceTime: true });
      await untilRunning();
      control.says('pushing', {});
      control.emit('broken', gone);
      await until(() => expect(log).toContain('(parted)'));
      vi.advanceTimersByTime(10 * ALONE_MS);
      await Promise.resolve();
      expect(log).not.toContain('(held)');
    });

    it('says that it never ran the guest, also when it is asked after its end', async () => {
      await untilLoaded();
      control.emit('broken', gone);
      expect((await vm.outcome).status).toBe('failed');
      let told = false;
      void vm.told.then(() => (told = true));
      const again = comesAgain(1);
      await until(() => expect(again.bodies.standing).toEqual({ is: 'never-ran' }));
      expect(told).toBe(false);
      again.says('bye', {});
      await until(() => expect(told).toBe(true));
    });

    it('does not run a guest on a COMMIT that it reads too late', async () => {
      await untilLoaded();
      const now = native.monotonicMicros();
      vi.spyOn(native, 'monotonicMicros').mockImplementation(() => now + 1000 * HAND_OVER_TIMEOUT_MS + 1);
      control.says('commit', { epoch: 3, sinceClockMicros: 0 });
      expect((await vm.outcome).status).toBe('failed');
      vi.restoreAllMocks();
      expect(log).not.toContain('(runs)');
    });
  });
});
