import { EventEmitter, once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Deferred } from '../../../../src/basics/deferred.js';
import { PostcopyError } from '../../../../src/errors.js';
import type { Machine } from '../../../../src/machine/machine.js';
import type { WriteHistory } from '../../../../src/migrate/prefetch/write-history.js';
import type { RateLimit } from '../../../../src/migrate/flow/rate-limit.js';
import { PageBitmap } from '../../../../src/memory/page-bitmap.js';
import type { Body, Message, MessageType } from '../../../../src/migrate/wire/message.js';
import { HAND_OVER_TIMEOUT_MS, PREPARING_TIMEOUT_MS } from '../../../../src/migrate/wire/protocol.js';
import { SendVm, type SendOptions, type SendParts } from '../../../../src/migrate/source/send-vm.js';
import { native } from '../../../../src/native.js';

const tooLate = new PostcopyError('MIGRATION_FAILED', 'the VM was stopped');
const EPOCH = 3;

class FakeControl extends EventEmitter {
  readonly sent: string[] = [];
  readonly bodies: Partial<Record<MessageType, unknown>> = {};
  open = true;
  bytesSent = 5000;
  roundTripMicros = 200;
  remote = { host: '192.0.2.7', port: 1 };
  closed = 0;
  version = 7;
  ping = () => {};
  /** Of questions whether it has dealt with all so far: who is answered last. */
  answers = Promise.resolve(true);
  caughtUp = () => this.answers;
  bearLongSilence = () => void this.sent.push('(bears long silence)');
  send = (type: MessageType, body: unknown) => {
    this.sent.push(type);
    this.bodies[type] = body;
  };
  close = () => void this.closed++;

  says<T extends MessageType>(type: T, body: Body<T>): void {
    this.emit('message', { type, body } as Message);
  }
}

class FakeChannels {
  lacking: unknown;
  held: unknown;
  parted = 0;
  pushingOn = 0;
  part = async () => void this.parted++;
  rejoin = async (_address: unknown, lacking: unknown) => void (this.lacking = lacking);
  pushOn = () => void this.pushingOn++;
  allOpen = true;
  allAcknowledged = false;
  asked = 0;
  pushed = 0;
  closed = 0;
  pushing = false;
  opening: Promise<unknown> = Promise.resolve([]);
  failed: (reason: PostcopyError, generation: number) => void = () => {};
  openedAt: unknown;
  written: WriteHistory | undefined;
  open = (address: unknown) => {
    this.openedAt = address;
    return this.opening;
  };
  offer = () => {};
  hold = (extents: unknown) => void (this.held = extents);
  copying: Promise<void> = Promise.resolve();
  addCopies = () => {};
  uncopied = () => new PageBitmap(256);
  takeUncopied = () => new PageBitmap(256);
  copy = () => this.copying;
  stopCopying = async () => {};
  pushFirst = (written: WriteHistory) => void (this.written = written);
  takeFirst = () => [];
  follow = () => 0;
  limit: RateLimit | undefined;
  startPush = () => void (this.pushing = true);
  sum = (name: string, kind?: string) => {
    if (name !== 'pages') return 0;
    return kind === 'urgent' ? this.asked : this.pushed;
  };
  close = async () => void this.closed++;
}

let control: FakeControl;
let channels: FakeChannels;
let log: string[];
let presync: (cancelled: AbortSignal) => Promise<void>;
let connect: SendParts['connect'];
let pause: (deadline: unknown, signal: AbortSignal) => Promise<number>;
let goOn: () => Promise<void>;
let onProgress: SendOptions['onProgress'];
let features: string[];
let dryRun: boolean;
let bandwidth: number | undefined;
let rounds: SendOptions['rounds'];
let watch: number | undefined;
let paused: boolean;
let collect: () => Promise<Uint32Array>;

beforeEach(() => {
  control = new FakeControl();
  channels = new FakeChannels();
  log = [];
  presync = async () => {};
  connect = async () => control as never;
  pause = async () => native.monotonicMicros();
  goOn = async () => {};
  onProgress = () => {};
  features = [];
  dryRun = false;
  bandwidth = undefined;
  rounds = undefined;
  watch = undefined;
  paused = false;
  collect = async () => new Uint32Array(0);
});
afterEach(() => vi.useRealTimers());

/** One that stands still, with nothing in it. */
function fakeMachine(): Machine {
  return {
    kind: { name: 'threads' },
    memory: {
      bytes: 1 << 20,
      findDataExtents: async () => Uint32Array.of(0, 4),
      dataExtentsOutside: () => new Uint32Array(0),
      dataExtents: () => Uint32Array.of(0, 4),
    },
    vcpus: [],
    hostDevices: {
      memory: { release: () => log.push('memory is free') },
      disks: { presync: (cancelled: AbortSignal) => presync(cancelled) },
    },
    beginDirtyLog: async () => {
      log.push('log begins');
      const none = () => new Uint32Array(0);
      return { collect: () => collect(), collectNow: none, end: () => void log.push('log ends') };
    },
    ...{ cpus: 1, xsaveBytes: 832 },
    pause: async (deadline: unknown, signal: AbortSignal) => {
      log.push('paused');
      return pause(deadline, signal);
    },
    releaseDevices: async () => ({ devices: 'the devices', diskSamples: [] }),
    readClocks: () => ({ moment: { atMicros: 0, wallClockMs: 0 }, tscs: [], kvmclock: new Uint8Array(0) }),
    save: (_: unknown, devices: unknown) => ({ cpu: { machine: 'threads', vcpus: [] }, devices }),
    goOn: async () => {
      log.push('goes on');
      return goOn();
    },
  } as unknown as Machine;
}

function sending(): SendVm {
  const options: SendOptions = {
    machine: fakeMachine(),
    hello: { bulkChannels: 1, epoch: EPOCH, features, paused } as SendOptions['hello'],
    ...{ prefetch: 'in-order', host: 'there', port: 1, pageWorker: new Promise(() => {}), dryRun, rounds, watch },
    security: { kind: 'plain' },
    bandwidth,
    onProgress: (progress) => onProgress(progress),
    output: { take: () => ({ serial: Buffer.from('words'), virtio: new Uint8Array(0) }) },
    onCommit: () => void log.push('committed'),
    onPagesLost: () => {},
    onHeld: (reason) => void log.push(`held: ${reason.message}`),
    onInterrupted: (it) => void log.push(it === undefined ? 'met' : 'interrupted'),
  };
  return new SendVm(options, {
    connect: (...all) => connect(...all),
    createChannels: (_memory, _pages, _bulk, _worker, failed, _prefetch, limit) => {
      channels.limit = limit;
      channels.failed = failed;
      return channels as never;
    },
    rehearse: async () => {},
  });
}

/** On a machine however slow. */
function until(holds: () => void): Promise<void> {
  return vi.waitFor(holds, { timeout: 50_000, interval: 5 });
}

/** It has said this last. */
function hasSent(type: MessageType): Promise<void> {
  return until(() => expect(control.sent.at(-1)).toBe(type));
}

/** Up to STATE sent, which the destination has not answered. */
async function untilState(): Promise<SendVm> {
  const send = sending();
  void send.run();
  await hasSent('hello');
  control.says('accept', { features });
  await hasSent('state');
  return send;
}

async function untilCommit(): Promise<SendVm> {
  const send = await untilState();
  channels.asked = 2; // while it loaded the state
  control.says('loaded', { afterMicros: 0 });
  await hasSent('commit');
  return send;
}

async function untilPush(): Promise<SendVm> {
  const send = await untilCommit();
  control.says('running', { afterMicros: 30 });
  await until(() => expect(channels.pushing).toBe(true));
  return send;
}

const COMPLETE: Body<'complete'> = {
  faultWaitUs: { count: 1, mean: 5, p50: 5, p90: 5, p99: 5, max: 5 },
  ...{ vcpuBlockedMs: 2, peakBytes: 0, overheadBytes: 0 },
};

describe('SendVm', () => {
  it('moves a VM', async () => {
    const send = await untilPush();
    expect(send.progress().phase).toBe('pulling');
    control.says('progress', { pagesInstalled: 3, faultsWaiting: 7 });
    expect(send.progress().faultsWaiting).toBe(7);
    control.says('complete', COMPLETE);
    const summary = await send.outcome;
    expect(summary).toMatchObject({ status: 'completed', machine: 'threads', vcpuBlockedMs: 2, wireBytes: 5000 });
    expect(summary).not.toHaveProperty('inDoubt');
    expect(summary.downtimeMs).toBeGreaterThan(0);
    expect(control.sent).toEqual(['hello', 'ram', 'state', 'commit', '(bears long silence)', 'bye']);
    expect(control.bodies.state).toMatchObject({ devices: 'the devices', firstPages: [] });
    expect(control.bodies.commit).toMatchObject({ epoch: EPOCH });
    expect(log).toEqual(['paused', 'committed', 'memory is free']);
    expect([control.closed, channels.closed]).toEqual([1, 1]);
    // To the address that answered, whatever its name was.
    expect(channels.openedAt).toMatchObject({ host: '192.0.2.7', port: 1 });
  });

  it('sends what the consoles have shown to a destination that takes it, before RAM and before COMMIT', async () => {
    features = ['recent-output'];
    const send = await untilCommit();
    expect(control.sent).toEqual(['hello', 'output', 'ram', 'state', 'output', 'commit']);
    expect(control.bodies.output).toEqual({ serial: Buffer.from('words'), virtio: new Uint8Array(0) });
    control.says('abort', { reason: 'enough' });
    await send.outcome;
  });

  it('watches where the guest writes before it stops it, and has that pushed first', async () => {
    watch = 1;
    collect = async () => Uint32Array.of(3, 5);
    const phases = new Set<string>();
    onProgress = ({ phase }) => void phases.add(phase);
    const send = await untilPush();
    expect(log.slice(0, 3)).toEqual(['log begins', 'log ends', 'paused']);
    expect(phases).toContain('watching');
    expect(channels.written?.count).toBe(5);
    control.says('complete', COMPLETE);
    const { watched } = await send.outcome;
    expect(watched?.pages).toBe(5);
    expect(watched?.ms).toBeGreaterThanOrEqual(1000);
  });

  it('moves a guest unwatched whose host cannot tell what it writes', async () => {
    watch = 1;
    collect = async () => Promise.reject(new PostcopyError('HOST_LACKS', 'no log'));
    const warned = once(process, 'warning');
    const send = await untilPush();
    expect(String((await warned)[0])).toContain('watching what a guest writes failed');
    expect(log.slice(0, 3)).toEqual(['log begins', 'log ends', 'paused']);
    expect(channels.written).toBeUndefined();
    control.says('complete', COMPLETE);
    expect(await send.outcome).not.toHaveProperty('watched');
  });

  it('watches no guest that stands still, and none of a dry run', async () => {
    watch = 30;
    paused = true;
    control.version = 8;
    await untilPush();
    expect(log[0]).toBe('paused');
  });

  it.each(['cancelled', 'link is lost'])('lets go of the log before it is over: %s while it watches', async (what) => {
    watch = 30;
    const answer = new Deferred<Uint32Array>();
    let isAsked = false;
    collect = () => ((isAsked = true), answer.promise);
    const send = sending();
    void send.run();
    await hasSent('hello');
    control.says('accept', { features });
    await until(() => expect(isAsked).toBe(true));
    expect(send.progress().phase).toBe('watching');
    if (what === 'cancelled') send.cancel(tooLate);
    else control.emit('broken', new PostcopyError('LINK_LOST', 'gone'));
    await hasSent('abort');
    let isOver = false;
    void send.outcome.then(() => (isOver = true));
    await new Promise(setImmediate);
    expect([isOver, log]).toEqual([false, ['log begins']]);
    answer.resolve(new Uint32Array(0));
    expect((await send.outcome).status).toBe('failed');
    expect(log).toEqual(['log begins', 'log ends']);
    expect(channels.written).toBeUndefined();
  });

  it('says that it writes back as long as it does, then that it connects', async () => {
    const written = new Deferred<void>();
    presync = () => written.promise;
    connect = () => new Promise(() => {});
    const send = sending();
    expect(send.progress().phase).toBe('writing-back');
    void send.run();
    expect(send.progress().phase).toBe('writing-back');
    written.resolve();
    await until(() => expect(send.progress().phase).toBe('connecting'));
    send.cancel(tooLate);
    await send.outcome;
  });

  it('is cancelled though its disks are never written back, and does not connect', async () => {
    const connecting = vi.fn<SendParts['connect']>();
    connect = connecting;
    presync = async (cancelled) => {
      await once(cancelled, 'abort');
      log.push('stops to write back');
      cancelled.throwIfAborted();
    };
    const send = sending();
    const summary = send.run();
    send.cancel(tooLate);
    expect(await summary).toMatchObject({ status: 'failed', error: { message: 'the VM was stopped' } });
    expect(log).toEqual(['stops to write back']);
    expect([connecting.mock.calls.length, channels.closed]).toEqual([0, 1]);
  });

  it('fails if a disk cannot be written back', async () => {
    presync = async () => Promise.reject(new PostcopyError('MIGRATION_FAILED', 'disk root cannot be written'));
    expect(await sending().run()).toMatchObject({
      status: 'failed',
      error: { message: 'disk root cannot be written' },
    });
  });

  it('closes a connection that comes when the migration is over already', async () => {
    const connected = new Deferred<FakeControl>();
    let signal: AbortSignal | undefined;
    connect = async (_address, _id, cancelled) => {
      signal = cancelled;
      return connected.promise as never;
    };
    const send = sending();
    void send.run();
    await until(() => expect(signal).toBeDefined());
    send.cancel(tooLate);
    expect((await send.outcome).status).toBe('failed');
    expect(signal?.aborted).toBe(true);
    connected.resolve(control);
    await until(() => expect(control.closed).toBe(1));
    expect(control.listenerCount('message')).toBe(0);
  });

  it('tells why the destination refuses', async () => {
    const send = sending();
    void send.run();
    await hasSent('hello');
    control.says('refuse', { reasons: ['too small', 'too old'] });
    expect((await send.outcome).error).toEqual({
      code: 'REFUSED',
      message: 'there:1 refuses the VM: too small; too old',
    });
  });

  it('reaches with its deadline into channels that do not open', async () => {
    channels.opening = new Promise(() => {});
    const send = sending();
    void send.run();
    await hasSent('hello');
    vi.useFakeTimers();
    control.says('accept', { features: [] });
    await vi.advanceTimersByTimeAsync(PREPARING_TIMEOUT_MS);
    vi.useRealTimers();
    expect((await send.outcome).error?.message).toBe('the destination did not answer for 60 s while preparing');
    expect(control.sent).toEqual(['hello', 'abort']);
    expect([control.closed, channels.closed, log]).toEqual([1, 1, []]);
  });

  it('ends a dry run where the guest would be stopped, when the destination has let go of all', async () => {
    dryRun = true;
    control.version = 8;
    const send = sending();
    void send.run();
    await hasSent('hello');
    const findings = [{ what: 'machine', result: 'threads' }];
    control.says('accept', { features: [], findings });
    await hasSent('abort');
    control.emit('broken', new PostcopyError('LINK_LOST', 'closed'));
    const summary = await send.outcome;
    expect(summary).toMatchObject({
      status: 'dry-run',
      pages: { sent: 0 },
      findings: [findings[0], { what: 'to be moved' }],
    });
    expect(summary.error).toBeUndefined();
    expect([control.sent, control.closed, channels.closed, log]).toEqual([['hello', 'abort'], 1, 1, []]);
  });

  it('makes no dry run with a destination that would end by it', async () => {
    dryRun = true;
    const send = sending();
    void send.run();
    expect((await send.outcome).error).toMatchObject({
      code: 'REFUSED',
      message: expect.stringContaining('older release'),
    });
    expect(control.sent).toEqual(['abort']);
  });

  it('lets a guest go on when it is cancelled in the midst of stopping it, and not before that is over', async () => {
    const stopping = new Deferred<void>();
    pause = async (_deadline, signal) => {
      await stopping.promise;
      log.push('stopped');
      signal.throwIfAborted();
      return 0;
    };
    const send = sending();
    void send.run();
    await hasSent('hello');
    control.says('accept', { features: [] });
    await until(() => expect(log).toEqual(['paused']));
    send.cancel(tooLate);
    await hasSent('abort'); // at once
    expect(log).toEqual(['paused']);
    stopping.resolve();
    expect((await send.outcome).status).toBe('failed');
    expect(log).toEqual(['paused', 'stopped', 'goes on']);
  });

  it('lets the guest go on if the destination does not load its state in time', async () => {
    const send = sending();
    void send.run();
    await hasSent('hello');
    // Only the deadlines: the rest of the way up to STATE takes real time.
    vi.useFakeTimers({ shouldAdvanceTime: true });
    control.says('accept', { features: [] });
    await hasSent('state');
    await vi.advanceTimersByTimeAsync(HAND_OVER_TIMEOUT_MS);
    expect((await send.outcome).error?.message).toBe('the destination did not answer for 10 s while loading');
    expect(log).toEqual(['paused', 'goes on']);
  });

  it('says so if the guest cannot go on yet', async () => {
    goOn = async () => Promise.reject(new Error('another host has the disk'));
    const send = await untilState();
    control.says('abort', { reason: 'cannot load it' });
    expect((await send.outcome).error?.message).toBe('the destination gave up: cannot load it');
    expect(log).toEqual(['paused', 'goes on', 'held: another host has the disk']);
  });

  it.each<[string, () => void]>([
    ['control', () => void (control.open = false)],
    ['page', () => void (channels.allOpen = false)],
  ])('does not commit on a %s channel that is known to be gone', async (_, lose) => {
    const send = await untilState();
    lose();
    control.says('loaded', { afterMicros: 0 });
    expect((await send.outcome).error).toEqual({
      code: 'MIGRATION_FAILED', // the VM is here
      message: 'the link was lost before COMMIT',
    });
    expect(log).toEqual(['paused', 'goes on']);
  });

  it('is not cancelled any more behind COMMIT', async () => {
    const send = await untilCommit();
    send.cancel(tooLate);
    control.says('running', { afterMicros: 0 });
    control.says('complete', COMPLETE);
    expect((await send.outcome).status).toBe('completed');
  });

  const gone = new PostcopyError('LINK_LOST', 'there closed the connection');

  it('is in doubt when the link is lost in the instant of the hand-over', async () => {
    const send = await untilCommit();
    control.emit('broken', gone);
    expect(await send.outcome).toMatchObject({ status: 'link-lost', inDoubt: true, error: { code: 'LINK_LOST' } });
    expect(log).not.toContain('goes on');
  });

  it.each<[string, () => void]>([
    ['it has asked for a page', () => void channels.asked++],
    ['it has said that it lost the guest', () => control.says('lost', { reason: 'short of pages' })],
    ['it has said that the guest runs', () => control.says('running', { afterMicros: 0 })],
  ])('is not in doubt when %s', async (_, tell) => {
    const send = await untilCommit();
    tell();
    control.emit('broken', gone);
    const summary = await send.outcome;
    expect(summary.status).toBe('link-lost');
    expect(summary).not.toHaveProperty('inDoubt');
  });

  it('lets the guest go on that the destination gives back after a page channel broke', async () => {
    const send = await untilCommit();
    channels.failed(new PostcopyError('LINK_LOST', 'a page channel broke'), 0);
    control.says('abort', { reason: 'the page channels broke before COMMIT' });
    expect((await send.outcome).status).toBe('failed');
    expect(log).toEqual(['paused', 'committed', 'goes on']);
  });

  it('is done when every page is acknowledged, though COMPLETE does not come', async () => {
    const send = await untilPush();
    channels.allAcknowledged = true;
    control.emit('broken', gone);
    expect(await send.outcome).toMatchObject({ status: 'completed', vcpuBlockedMs: 0 });
  });

  it('ends though its channels cannot be closed', async () => {
    channels.close = async () => Promise.reject(new Error('no'));
    presync = async () => Promise.reject(new PostcopyError('MIGRATION_FAILED', 'disk root cannot be written'));
    expect((await sending().run()).status).toBe('failed');
  });

  it('takes no message that is its own to send', async () => {
    const send = sending();
    void send.run();
    await hasSent('hello');
    control.says('bye', {});
    expect((await send.outcome).error?.code).toBe('BAD_PEER');
  });

  it.each([
    () => {
      throw new Error("the embedder's bug");
    },
    async () => Promise.reject(new Error("the embedder's bug")),
  ])('goes on whatever the one throws who is told of its progress', async (told) => {
    const progress = vi.fn(told);
    onProgress = progress as SendOptions['onProgress'];
    const send = await untilPush();
    await until(() => expect(progress.mock.calls.length).toBeGreaterThan(2));
    control.says('complete', COMPLETE);
    expect((await send.outcome).status).toBe('completed');
  });

  describe('with a destination that can be met again', () => {
    const complete = {
      ...{ faultWaitUs: { count: 0, mean: 0, p50: 0, p90: 0, p99: 0, max: 0 }, vcpuBlockedMs: 0 },
      ...{ peakBytes: 0, overheadBytes: 0 },
    };
    let first: FakeControl;
    let again: FakeControl[];

    beforeEach(() => {
      first = control;
      first.version = 8;
      again = [];
      connect = async (_address, _id, _signal, _version, generation = 0) => {
        if (generation === 0) return first as never;
        const next = new FakeControl();
        next.version = 8;
        again.push(next);
        return next as never;
      };
    });

    /** The destination that is met in this try says what it is. */
    async function says(attempt: number, standing: Body<'standing'>): Promise<void> {
      await until(() => expect(again[attempt]?.listenerCount('message')).toBeGreaterThan(0));
      again[attempt]!.says('standing', standing);
    }

    it('sends what is lacking, and tells that it was interrupted and is no more', async () => {
      const send = await untilPush();
      first.emit('broken', gone);
      await says(0, { is: 'runs', missing: Uint8Array.of(1, 2) });
      await until(() => expect(again[0]!.sent).toEqual(['(bears long silence)', 'pushing']));
      expect([channels.parted, channels.pushingOn, first.closed]).toEqual([1, 1, 1]);
      expect(channels.lacking).toEqual(Uint32Array.of(1, 2));
      expect(log).toEqual(['paused', 'committed', 'memory is free', 'interrupted', 'met']);
      again[0]!.says('complete', complete);
      expect((await send.outcome).status).toBe('completed');
      expect(again[0]!.sent.at(-1)).toBe('bye');
    });

    it('tries again until it is told, each time on another generation', async () => {
      const send = await untilPush();
      first.emit('broken', gone);
      await until(() => expect(again[0]?.listenerCount('broken')).toBeGreaterThan(0));
      again[0]!.emit('broken', gone);
      await says(1, { is: 'whole', complete });
      expect((await send.outcome).status).toBe('completed');
      expect(again).toHaveLength(2);
    });

    it('is over when a destination that was pushed nothing has answered that it knows, however often the link breaks', async () => {
      const send = await untilPush();
      first.answers = Promise.resolve(false);
      first.says('complete', complete);
      await until(() => expect(again[0]?.listenerCount('message')).toBeGreaterThan(0));
      let answer = (_is: boolean): void => {};
      again[0]!.answers = new Promise((resolve) => (answer = resolve));
      await says(0, { is: 'whole', complete });
      await until(() => expect(again[0]!.sent).toEqual(['pushing']));
      answer(true);
      expect((await send.outcome).status).toBe('completed');
      expect(again[0]!.sent).toEqual(['pushing', 'bye']);
      expect(first.sent).not.toContain('bye');
    });

    it('does not ask a destination that was pushed a page', async () => {
      const send = await untilPush();
      channels.pushed = 1;
      first.answers = Promise.resolve(false);
      first.says('complete', complete);
      expect((await send.outcome).status).toBe('completed');
      expect(again).toEqual([]);
    });

    it('goes on here with a guest that never ran there', async () => {
      const send = await untilCommit();
      channels.failed(gone, 0);
      await says(0, { is: 'never-ran' });
      expect((await send.outcome).status).toBe('failed');
      expect(log).toEqual(['paused', 'committed', 'interrupted', 'goes on']);
      expect(again[0]!.sent).toEqual(['bye']);
    });

    it('is in doubt about a destination that is given up of which it has heard nothing, and of no other', async () => {
      const send = await untilCommit();
      first.emit('broken', gone);
      await until(() => expect(send.interruption).toMatchObject({ ranThere: false, attempts: 1 }));
      send.cancel(tooLate);
      send.giveUp(tooLate);
      expect(await send.outcome).toMatchObject({ status: 'link-lost', inDoubt: true });
    });

    it('keeps its limit, which can be changed meanwhile, for the channels of all sets', async () => {
      bandwidth = 1_000_000;
      const send = await untilPush();
      const { limit } = channels;
      first.emit('broken', gone);
      await until(() => expect(send.interruption).toBeDefined());
      expect([limit!.bytesPerSecond, send.progress().bandwidth]).toEqual([1_000_000, 1_000_000]);
      send.limit(2_000_000);
      expect([limit!.bytesPerSecond, send.progress().bandwidth]).toEqual([2_000_000, 2_000_000]);
      send.limit(undefined);
      expect([limit!.bytesPerSecond, send.progress().bandwidth]).toEqual([undefined, undefined]);
      send.giveUp(tooLate);
      expect(await send.outcome).not.toHaveProperty('bandwidth');
    });

    it('does not wait for a pause to end when somebody says where the destination is', async () => {
      const send = await untilPush();
      const asked: unknown[] = [];
      connect = async (address) => {
        asked.push(address);
        throw new PostcopyError('UNREACHABLE', 'nobody answers');
      };
      first.emit('broken', gone);
      await until(() => expect(send.interruption?.lastError).toBe('nobody answers'));
      send.recover({ host: 'elsewhere', port: 2 });
      await until(() => expect(asked).toContainEqual(expect.objectContaining({ peer: 'elsewhere:2' })));
      send.giveUp(tooLate);
      const summary = await send.outcome;
      expect(summary).toMatchObject({ status: 'link-lost' });
      expect(summary).not.toHaveProperty('inDoubt');
    });
  });
});

describe('rounds before the hand-over', () => {
  beforeEach(() => {
    control.version = 8;
    features = ['rounds'];
    rounds = { mode: 'pre-copy', downtimeMs: 300, timeoutMs: 50_000, onTimeout: 'post-copy' };
  });

  it('come before the guest is stopped, and STATE says what they have brought', async () => {
    const send = await untilPush();
    control.says('complete', COMPLETE);
    expect(await send.outcome).toMatchObject({ status: 'completed', mode: 'pre-copy', rounds: { count: 1 } });
    expect(control.sent).toEqual([
      ...['hello', 'copying', 'state', 'commit', '(bears long silence)', 'pushing', 'pushing', 'bye'],
    ]);
    expect(control.bodies.state).toMatchObject({ held: Uint8Array.of(0, 4), ramMap: new Uint8Array(0) });
    expect(channels.held).toEqual(Uint32Array.of(0, 4));
    expect(log).toEqual(['log begins', 'paused', 'committed', 'log ends', 'memory is free']);
  });

  it('end when somebody calls the migration off, and the guest has never been stopped', async () => {
    channels.copying = new Promise(() => {});
    const send = sending();
    void send.run();
    await hasSent('hello');
    control.says('accept', { features });
    await hasSent('copying');
    await until(() => expect(send.progress()).toMatchObject({ phase: 'copying', round: { number: 1 } }));
    send.cancel(tooLate);
    expect(await send.outcome).toMatchObject({ status: 'failed', error: { message: 'the VM was stopped' } });
    expect(control.sent).toEqual(['hello', 'copying', 'abort']);
    expect([log, channels.closed]).toEqual([['log begins', 'log ends'], 1]);
  });

  it('are not tried with a destination that does not know them', async () => {
    const send = sending();
    void send.run();
    await hasSent('hello');
    control.says('accept', { features: [] });
    expect((await send.outcome).error).toMatchObject({
      code: 'REFUSED',
      message: expect.stringMatching(/older release.*upgrade it, or use mode post-copy/),
    });
    expect(log).toEqual([]);
  });

  it('are not tried in version 7', async () => {
    control.version = 7;
    expect((await sending().run()).error).toMatchObject({ code: 'REFUSED' });
    expect(control.sent).toEqual(['abort']);
  });

  it('are tried out by a dry run as far as this host is concerned', async () => {
    dryRun = true;
    const send = sending();
    void send.run();
    await hasSent('hello');
    control.says('accept', { features });
    await hasSent('abort');
    control.emit('broken', new PostcopyError('LINK_LOST', 'closed'));
    expect(await send.outcome).toMatchObject({ status: 'dry-run', mode: 'pre-copy' });
    expect(log).toEqual(['log begins', 'log ends']);
  });
});
