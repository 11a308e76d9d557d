import { EventEmitter } from 'node:events';
import { beforeEach, afterEach, describe, expect, it, vi } from 'vitest';
import { Deferred } from '../../../../src/basics/deferred.js';
import type { PostcopyError } from '../../../../src/errors.js';
import { Incoming, type IncomingHooks } from '../../../../src/migrate/destination/incoming.js';
import type { ReceiveHooks, ReceiveOutcome } from '../../../../src/migrate/destination/receive-vm.js';
import type { ControlConnection } from '../../../../src/migrate/link/control-connection.js';
import { decodePreamble, PREAMBLE_BYTES, VERDICTS, type Channel } from '../../../../src/migrate/wire/preamble.js';
import { PROTOCOL_VERSION } from '../../../../src/migrate/wire/protocol.js';
import { native, POLLIN, type Socket } from '../../../../src/native.js';

const PATIENCE_MS = 30_000;
const ID = new Uint8Array(16).fill(7);
const OTHER_ID = new Uint8Array(16).fill(8);
const REFUSED: ReceiveOutcome = { status: 'refused', reasons: ['too large'] };
const FAILED: ReceiveOutcome = { status: 'failed', reason: new Error('it broke') };
const COMPLETED = { status: 'completed' } as ReceiveOutcome;

class FakeListener extends EventEmitter {
  readonly port = 7000;
  closed = 0;
  close = async () => void this.closed++;
}

/** On a machine however slow. */
function until(holds: () => void): Promise<void> {
  return vi.waitFor(holds, { timeout: 50_000, interval: 5 });
}

/** A VM on its way, whose end is the test's to tell. */
class FakeVm {
  readonly ended = new Deferred<ReceiveOutcome>();
  readonly outcome = this.ended.promise;
  readonly attached: string[] = [];
  pagesMissing = 5;
  faultsWaiting = 0;
  told: Promise<void> = Promise.resolve();
  readonly met: number[] = [];
  dropped = false;
  takes = true;
  cancelled: PostcopyError | undefined;

  constructor(
    readonly control: ControlConnection,
    readonly id: Uint8Array,
    readonly hooks: ReceiveHooks,
  ) {}

  meet = (control: { close(): void }, generation: number) => {
    this.met.push(generation);
    control.close();
  };
  drop = () => void (this.dropped = true);
  attach = (kind: string, index: number, generation: number, socket: Socket) => {
    this.attached.push(generation === 0 ? `${kind} ${index}` : `${kind} ${index} of ${generation}`);
    if (this.takes) socket.close();
    return this.takes;
  };
  cancel = (reason: PostcopyError) => {
    this.cancelled = reason;
    this.ended.resolve(FAILED);
  };
}

let listener: FakeListener;
let vms: FakeVm[];
let log: string[];
let workers: { ended: number; end(): Promise<void> }[];
let incoming: Incoming;
let server: Socket;
let clients: Socket[];
/** Page workers that cannot be started yet. */
let failures = 0;

function made(): Incoming {
  const hooks: Partial<IncomingHooks> = {
    onIncoming: (peer) => void log.push(`incoming from ${peer}`),
    onRefused: (reasons) => void log.push(`refused: ${reasons.join()}`),
    onNotBegun: (reason) => void log.push(`not begun: ${reason.message}`),
    onNeverRan: () => void log.push('never ran'),
  };
  return new Incoming('::1', 0, hooks as IncomingHooks, {
    listen: () => listener as never,
    startPageWorker: async () => {
      if (failures-- > 0) throw new Error('no more threads');
      const worker = { ended: 0, end: async () => void worker.ended++ };
      workers.push(worker);
      return worker as never;
    },
    receive: (control, id, hooks) => {
      const vm = new FakeVm(control, id, hooks);
      vms.push(vm);
      return vm;
    },
  });
}

beforeEach(() => {
  listener = new FakeListener();
  vms = [];
  log = [];
  workers = [];
  clients = [];
  server = new native.Socket('listen', '127.0.0.1', 0);
  failures = 0;
  incoming = made();
});
afterEach(() => {
  for (const { control } of vms) control.close();
  for (const socket of [...clients, server]) socket.close();
});

/** Connects a channel, and hands it on as the acceptor does; the client's end. */
function comes(
  channel: Channel,
  { id = ID, index = 0, version = PROTOCOL_VERSION as number, generation = 0 } = {},
): Socket {
  const client = new native.Socket('connect', '127.0.0.1', server.port, PATIENCE_MS);
  clients.push(client);
  expect(native.poll(Int32Array.of(server.fd, POLLIN, 0), 1, PATIENCE_MS)).toBe(1);
  const accepted = new native.Socket('adopt', server.accept());
  const { handle } = accepted;
  listener.emit('channel', {
    preamble: { version, channel, index, generation, id },
    socketHandle: handle,
    peer: 'there:1',
  });
  accepted.detach(); // it is the one's that took it by its handle
  return client;
}

function answer(client: Socket): string | undefined {
  const bytes = new Uint8Array(PREAMBLE_BYTES);
  expect(client.receive(bytes, 0, PREAMBLE_BYTES, PREAMBLE_BYTES, PATIENCE_MS)).toBe(PREAMBLE_BYTES);
  return VERDICTS[decodePreamble(bytes).index];
}

function isClosed(client: Socket): boolean {
  return client.receive(new Uint8Array(1), 0, 1, 1, PATIENCE_MS) === 0;
}

/** A VM that has been let in. */
function admitted(): FakeVm {
  expect(answer(comes('control'))).toBe('welcome');
  const vm = vms.at(-1);
  if (vm === undefined) throw new Error('no VM was let in');
  return vm;
}

describe('Incoming', () => {
  it('says where it waits', () => {
    expect([incoming.listen, incoming.complete, incoming.pagesMissing]).toEqual(['[::1]:7000', false, 0]);
  });

  it('admits one VM, and its page channels', () => {
    const vm = admitted();
    expect([vm.id, log, incoming.pagesMissing]).toEqual([ID, ['incoming from there:1'], 5]);
    expect(answer(comes('urgent'))).toBe('welcome');
    expect(answer(comes('bulk', { index: 3 }))).toBe('welcome');
    expect(vm.attached).toEqual(['urgent 0', 'bulk 3']);
  });

  it('starts another page worker after one that could not be started, and ends well without one', async () => {
    failures = 1;
    listener = new FakeListener();
    incoming = made();
    const { hooks } = admitted();
    await expect(hooks.takePageWorker()).rejects.toThrow('no more threads');
    expect(await hooks.takePageWorker()).toBe(workers.at(-1));
    failures = 1;
    listener = new FakeListener();
    await made().close();
    expect(listener.closed).toBe(1);
  });

  it('waits for nobody once it accepts no more connections, whoever was on the way then', async () => {
    const vm = admitted();
    listener.emit('failed', new Error('too many open files'));
    vm.ended.resolve(REFUSED);
    expect(await incoming.outcome).toMatchObject({ status: 'failed', reason: { code: 'INTERNAL' } });
  });

  it('closes a page channel that was not agreed on', () => {
    admitted().takes = false;
    const client = comes('bulk', { index: 9 });
    expect([answer(client), isClosed(client)]).toEqual(['welcome', true]);
  });

  it.each<[string, Channel, object, string]>([
    ['a second VM that it is busy', 'control', { id: OTHER_ID }, 'busy'],
    ['a channel of another migration that it is a stranger', 'urgent', { id: OTHER_ID }, 'stranger'],
    ['who speaks another version which one it speaks', 'control', { version: PROTOCOL_VERSION + 1 }, 'version'],
  ])('tells %s; the first VM goes on', (_, channel, how, verdict) => {
    const vm = admitted();
    const client = comes(channel, how);
    expect([answer(client), isClosed(client)]).toEqual([verdict, true]);
    expect([vms.length, vm.attached, vm.cancelled]).toEqual([1, [], undefined]);
  });

  it('knows no page channel while it waits for a VM', () => {
    expect(answer(comes('bulk'))).toBe('stranger');
  });

  it.each<[ReceiveOutcome, string]>([
    [REFUSED, 'refused: too large'],
    [{ status: 'not-begun', reason: new Error('the source went') }, 'not begun: the source went'],
  ])('waits on after a VM that was %s, with a page worker for the next', async (outcome, told) => {
    const vm = admitted();
    vm.ended.resolve(outcome);
    await until(() => expect(log.at(-1)).toBe(told));
    expect([incoming.pagesMissing, listener.closed]).toEqual([0, 0]);
    const [first, second] = [await vm.hooks.takePageWorker(), await admitted().hooks.takePageWorker()];
    expect([first, second]).toEqual([workers[0], workers[1]]);
    expect(vms).toHaveLength(2);
  });

  it('keeps the port for a source that does not know that the VM has come, until it does', async () => {
    const vm = admitted();
    const told = new Deferred<void>();
    vm.told = told.promise;
    vm.ended.resolve(COMPLETED);
    expect(await incoming.outcome).toBe(COMPLETED);
    comes('control', { generation: 3 });
    await until(() => expect(vm.met).toEqual([3]));
    expect(listener.closed).toBe(0);
    told.resolve();
    await until(() => expect(listener.closed).toBe(1));
  });

  it('says that no VM came when its source knows, who may come to ask', async () => {
    const vm = admitted();
    const told = new Deferred<void>();
    vm.told = told.promise;
    let over = false;
    void incoming.outcome.then(() => (over = true));
    vm.ended.resolve(FAILED);
    comes('control', { generation: 1 });
    await until(() => expect(vm.met).toEqual([1]));
    expect([over, listener.closed, log.at(-1)]).toEqual([false, 0, 'never ran']);
    told.resolve();
    expect(await incoming.outcome).toBe(FAILED);
    expect(listener.closed).toBe(1);
  });

  it('lets in a source that comes again, and page channels of its generation, of no other migration', async () => {
    const vm = admitted();
    const strange = comes('control', { generation: 2, id: OTHER_ID });
    comes('control', { generation: 2 });
    comes('bulk', { generation: 2, index: 1 });
    expect(answer(strange)).toBe('stranger');
    expect([vm.met, vm.attached]).toEqual([[2], ['bulk 1 of 2']]);
  });

  it('has the port for itself no more when the VM has come', async () => {
    const vm = admitted();
    await vm.hooks.takePageWorker();
    vm.ended.resolve(COMPLETED);
    expect(await incoming.outcome).toBe(COMPLETED);
    expect([incoming.complete, workers.map(({ ended }) => ended)]).toEqual([true, [0]]);
    await until(() => expect(listener.closed).toBe(1));
    await incoming.close();
    expect(listener.closed).toBe(1);
  });

  it('tells that a VM failed, and is not complete then', async () => {
    admitted().ended.resolve(FAILED);
    expect(await incoming.outcome).toBe(FAILED);
    expect([incoming.complete, workers.map(({ ended }) => ended)]).toEqual([false, [1]]);
  });

  it('closes while it waits', async () => {
    await incoming.close();
    expect(await incoming.outcome).toMatchObject({
      status: 'failed',
      reason: { message: 'stopped before a VM came' },
    });
    expect([listener.closed, workers.map(({ ended }) => ended)]).toEqual([1, [1]]);
    expect(answer(comes('control'))).toBe('busy');
  });

  it('gives up a VM on its way when it is closed, and says why', async () => {
    const vm = admitted();
    await incoming.close('the guest was stopped');
    expect(vm.cancelled?.message).toBe('the guest was stopped');
    expect([await incoming.outcome, listener.closed]).toEqual([FAILED, 1]);
  });

  it('is closed while a VM is refused, of which nobody is told then', async () => {
    const vm = admitted();
    vm.cancel = () => vm.ended.resolve(REFUSED);
    await incoming.close();
    expect([(await incoming.outcome).status, log]).toEqual(['failed', ['incoming from there:1']]);
  });

  it('fails when it can accept no more, unless a VM is on its way', async () => {
    const vm = admitted();
    listener.emit('failed', new Error('no memory'));
    vm.ended.resolve(REFUSED);
    await until(() => expect(log.at(-1)).toBe('refused: too large'));
    listener.emit('failed', new Error('no memory'));
    expect(await incoming.outcome).toMatchObject({ status: 'failed', reason: { code: 'INTERNAL' } });
  });
});
