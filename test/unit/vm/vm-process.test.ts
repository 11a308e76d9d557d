import { EventEmitter } from 'node:events';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { Deferred } from '../../../src/basics/deferred.js';
import type { VmConfig } from '../../../src/configure/vm-config.js';
import type { MigrationProgress, MigrationSummary } from '../../../src/migrate/report/summary.js';
import type { Happening } from '../../../src/watch/events.js';
import { PostcopyError } from '../../../src/errors.js';
import { Incoming, type IncomingHooks, type IncomingOutcome } from '../../../src/migrate/destination/incoming.js';
import { SendVm, type SendOptions } from '../../../src/migrate/source/send-vm.js';
import { bootMachine, type Booted } from '../../../src/machine/boot-machine.js';
import { HostDevices } from '../../../src/host/host-devices.js';
import type { Machine } from '../../../src/machine/machine.js';
import type { Consoles } from '../../../src/machine/console-lines.js';
import { receiveVm, startVm, type ReceiveOptions, type VmProcess } from '../../../src/vm/vm-process.js';

vi.mock('../../../src/host/require-host.js', () => ({ requireMachine: () => {}, requireUserfaultfd: () => {} }));
const PROMISE = vi.hoisted(() => ({ release: () => {} }));
vi.mock('../../../src/host/guest-memory.js', () => ({
  promiseToBoot: async () => PROMISE,
  promiseToReceive: async () => PROMISE,
}));
vi.mock('../../../src/machine/boot-machine.js', () => ({ bootMachine: vi.fn() }));
vi.mock('../../../src/host/host-devices.js', () => ({ HostDevices: { open: vi.fn() }, requireSameDevices: () => {} }));
vi.mock('../../../src/migrate/wire/rehearse-codec.js', () => ({ rehearseCodec: () => {} }));
vi.mock('../../../src/machine/device-link.js', () => ({
  DeviceLink: class {
    close = async () => true;
  },
}));
vi.mock('../../../src/migrate/destination/incoming.js', () => ({ Incoming: vi.fn() }));
vi.mock('../../../src/migrate/source/send-vm.js', () => ({ SendVm: vi.fn() }));
/** Time passes when a test says so. */
const delay = vi.hoisted(() => vi.fn());
vi.mock('node:timers/promises', () => ({ setTimeout: delay }));
vi.mock('../../../src/vm/vm-record.js', () => ({
  recordOfHello: (hello: object) => ({ plan: {}, reboot: true, epoch: 0, ...hello }),
  recordOfBoot: (plan: object, reboot: boolean) => ({ plan, reboot, epoch: 0 }),
  helloOf: (_name: string, { epoch }: { epoch: number }) => ({ epoch: epoch + 1 }),
}));
vi.mock('../../../src/vm/ready-to-send.js', () => ({
  ReadyToSend: class {
    prepare = async () => {};
    takePageWorker = () => undefined;
    end = async () => {};
  },
}));

const disks = { lock: vi.fn(), unlock: vi.fn() };
const hostDevices = {
  nets: { silent: (): string[] => [] },
  ...{ disks, status: () => ({ disks: [], nets: [] }), descriptions: () => [] },
  takeOver: vi.fn(async () => {}),
  close: vi.fn(),
};
class FakeMachine {
  readonly hostDevices = hostDevices;
  readonly lostPages = { count: 0 };
  readonly devices = Object.assign(new EventEmitter(), {
    ...{ allowRelease: () => {}, pressPowerButton: async () => {} },
    retry: vi.fn(async () => {}),
  });
  readonly pause = vi.fn(async () => 0);
  readonly resume = vi.fn();
  readonly goOn = vi.fn(async () => {});
  readonly halt = vi.fn();
  readonly close = vi.fn(async () => true);
}

let machines: FakeMachine[] = [];
let sends: { options: SendOptions; cancel: () => void; finish: (summary: Partial<MigrationSummary>) => void }[] = [];

beforeEach(() => {
  machines = [];
  sends = [];
  vi.clearAllMocks();
  delay.mockReturnValue(new Promise(() => {}));
  disks.lock.mockResolvedValue(undefined);
  vi.mocked(HostDevices.open).mockReturnValue(hostDevices as unknown as HostDevices);
  vi.mocked(bootMachine).mockImplementation(async () => {
    machines.push(new FakeMachine());
    return { machine: machines.at(-1), cpuid: [], files: [] } as unknown as Booted;
  });
  vi.mocked(SendVm).mockImplementation(function (options: SendOptions) {
    let finish!: (summary: MigrationSummary) => void;
    const outcome = new Promise<MigrationSummary>((resolve) => (finish = resolve));
    const cancel = vi.fn();
    sends.push({ options, cancel, finish: (summary) => finish(summary as MigrationSummary) });
    return { run: () => outcome, outcome, cancel, progress: () => undefined } as unknown as SendVm;
  });
});

const start = (): Promise<VmProcess> =>
  startVm({ name: 'vm', machine: 'kvm', disks: [], nets: [], reboot: true } as unknown as VmConfig, {} as Consoles);
const migrate = (vm: VmProcess) => vm.migrate({ host: 'there', port: 1, plain: true }, () => {});
const error = new PostcopyError('DISK_IN_USE', 'another host has it');

/** A migration has failed, and another host had a disk. */
async function held(): Promise<VmProcess> {
  const vm = await start();
  const migration = migrate(vm);
  await vi.waitFor(() => expect(sends).toHaveLength(1));
  sends[0]!.options.onHeld(error);
  sends[0]!.finish({ status: 'failed', error });
  await migration;
  expect(vm.status().state).toBe('paused');
  return vm;
}

it('takes the disks over again before a guest goes on that stood still because another host had them', async () => {
  const vm = await held();
  hostDevices.takeOver.mockRejectedValueOnce(error);
  const danger =
    /^another host has it\. vm stays paused: .* would destroy its file systems\. See first that it runs on no/;
  expect(vm.status().problem).toMatch(danger);
  await expect(vm.resume()).rejects.toMatchObject({ code: 'DISK_IN_USE', message: expect.stringMatching(danger) });
  expect([vm.status().state, machines[0]!.goOn.mock.calls.length]).toEqual(['paused', 0]);
  await vm.resume();
  expect([vm.status().state, machines[0]!.goOn.mock.calls.length]).toEqual(['running', 1]);
  expect(vm.status().problem).toBe(undefined);
});

it('says to who opens its disks who knows which VM uses a file', async () => {
  const whoUses = async () => 'web';
  const config = { name: 'vm', machine: 'kvm', disks: [], nets: [], reboot: true } as unknown as VmConfig;
  await startVm(config, {} as Consoles, () => {}, whoUses);
  expect(HostDevices.open).toHaveBeenCalledWith(config, whoUses, PROMISE);
});

/** A migration that broke behind COMMIT. */
async function lost(summary: object): Promise<VmProcess> {
  const vm = await start();
  const migration = migrate(vm);
  await vi.waitFor(() => expect(sends).toHaveLength(1));
  sends[0]!.options.onCommit();
  sends[0]!.finish({ status: 'link-lost', error, ...summary });
  await migration;
  expect(vm.status().state).toBe('link-lost');
  return vm;
}

it('lets a guest that the other host may not have run go on by force alone, with its disks', async () => {
  const vm = await lost({ inDoubt: true });
  expect(vm.status().problem).toMatch(/only there:1 knows .* can be resumed here, by force/);
  expect(vm.status().facts).toEqual([{ kind: 'in-doubt', name: 'vm' }]);
  await expect(vm.resume()).rejects.toMatchObject({ code: 'WRONG_STATE' });
  hostDevices.takeOver.mockRejectedValueOnce(error);
  await expect(vm.resume({ force: true })).rejects.toBe(error);
  expect([vm.status().state, machines[0]!.goOn.mock.calls.length]).toEqual(['link-lost', 0]);
  await vm.resume({ force: true });
  expect([vm.status().state, machines[0]!.goOn.mock.calls.length]).toEqual(['running', 1]);
  expect(vm.status().problem).toBe(undefined);
  void migrate(vm);
  await vi.waitFor(() => expect(sends).toHaveLength(2));
  // A COMMIT of the first that is still on its way is not one of this.
  expect(sends[1]!.options.hello.epoch).toBe(sends[0]!.options.hello.epoch + 1);
});

it('lets it go on once, whoever asks', async () => {
  const vm = await lost({ inDoubt: true });
  const asked = await Promise.allSettled([vm.resume({ force: true }), vm.resume({ force: true })]);
  expect(asked.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled']);
  expect(machines[0]!.goOn).toHaveBeenCalledTimes(1);
});

it('lets none go on whose machine fails while it waits for its disks, and keeps none of them', async () => {
  const vm = await lost({ inDoubt: true });
  hostDevices.takeOver.mockImplementationOnce(async () => {
    machines[0]!.devices.emit('failed', new Error('it broke'));
  });
  await expect(vm.resume({ force: true })).rejects.toMatchObject({
    code: 'WRONG_STATE',
    message: expect.stringContaining('it broke'),
  });
  expect(disks.unlock).toHaveBeenCalledTimes(1);
  expect(machines[0]!.goOn).not.toHaveBeenCalled();
});

it('lets no guest go on by force that has run at the other host, or whose machine has failed', async () => {
  for (const summary of [{}, { inDoubt: true }]) {
    sends.length = 0;
    const vm = await lost(summary);
    if ('inDoubt' in summary) machines.at(-1)!.devices.emit('failed', new Error('it broke'));
    await expect(vm.resume({ force: true })).rejects.toMatchObject({ code: 'WRONG_STATE' });
    expect(machines.at(-1)!.goOn).not.toHaveBeenCalled();
  }
});

it('remembers that the machine has failed before the link was lost', async () => {
  const vm = await start();
  const migration = migrate(vm);
  await vi.waitFor(() => expect(sends).toHaveLength(1));
  sends[0]!.options.onCommit();
  machines[0]!.devices.emit('failed', new Error('it broke'));
  await aMoment();
  sends[0]!.finish({ status: 'link-lost', error, inDoubt: true });
  await migration;
  expect(vm.status().problem).not.toContain('resumed');
  expect(vm.status().facts).not.toContainEqual({ kind: 'in-doubt', name: 'vm' });
  await expect(vm.resume({ force: true })).rejects.toMatchObject({ code: 'WRONG_STATE' });
  expect(machines[0]!.goOn).not.toHaveBeenCalled();
});

it('starts a guest that has reset itself only with its disks', async () => {
  const vm = await held();
  disks.lock.mockRejectedValueOnce(error);
  machines[0]!.devices.emit('reset', 'port 0x64');
  const end = await vm.ended;
  expect(end).toMatchObject({ reason: 'failed', message: expect.stringContaining('another host has it') });
  expect(machines).toHaveLength(1);
});

it('does nothing with a machine that is on its way out because the guest has reset itself', async () => {
  const vm = await start();
  let closed!: (all: boolean) => void;
  machines[0]!.close.mockReturnValue(new Promise((resolve) => (closed = resolve)));
  machines[0]!.devices.emit('reset', 'port 0x64');
  await vi.waitFor(() => expect(machines[0]!.close).toHaveBeenCalled());
  await expect(migrate(vm)).rejects.toMatchObject({ code: 'WRONG_STATE' });
  await expect(vm.pause()).rejects.toMatchObject({ code: 'WRONG_STATE' });
  closed(true);
  await vi.waitFor(() => expect(machines).toHaveLength(2));
  await vi.waitFor(() => vm.pause());
  expect(machines[1]!.pause).toHaveBeenCalled();
});

it('does not start a guest again while devices of the old machine still wait for a disk', async () => {
  const vm = await start();
  machines[0]!.close.mockResolvedValue(false);
  machines[0]!.devices.emit('reset', 'port 0x64');
  expect(await vm.ended).toMatchObject({ reason: 'failed', stuck: true });
  expect(machines).toHaveLength(1);
});

it('migrates no guest that is just being paused', async () => {
  const vm = await start();
  const migration = migrate(vm);
  const pause = vm.pause();
  sends[0]?.finish({ status: 'failed', error });
  expect((await Promise.allSettled([migration, pause])).map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
  expect(machines[0]!.pause).not.toHaveBeenCalled();
});

it('is stopped by force though its migration cannot even be cancelled', async () => {
  const vm = await start();
  void migrate(vm);
  await vi.waitFor(() => expect(sends).toHaveLength(1));
  delay.mockResolvedValueOnce(undefined);
  await vm.stop({ force: true });
  expect((await vm.ended).reason).toBe('stopped');
});

const aMoment = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));

it('keeps the memory of a guest that is handed over while a stop waits for its migration', async () => {
  const vm = await start();
  void migrate(vm);
  await vi.waitFor(() => expect(sends).toHaveLength(1));
  delay.mockResolvedValueOnce(undefined);
  const stop = vm.stop({ force: true });
  sends[0]!.options.onCommit();
  await expect(stop).rejects.toMatchObject({ code: 'WRONG_STATE' });
  await aMoment();
  expect(machines[0]!.close).not.toHaveBeenCalled();
});

it('keeps the memory of a guest that is handed over while its machine here fails', async () => {
  const vm = await start();
  const migration = migrate(vm);
  await vi.waitFor(() => expect(sends).toHaveLength(1));
  machines[0]!.devices.emit('failed', new Error('it broke'));
  expect(sends[0]!.cancel).toHaveBeenCalledTimes(1);
  sends[0]!.options.onCommit();
  sends[0]!.finish({ status: 'link-lost', error });
  await migration;
  await aMoment();
  expect(vm.status().state).toBe('link-lost');
  expect(machines[0]!.close).not.toHaveBeenCalled();
});

describe('a guest that is over while its pages still arrive', () => {
  /** It runs here, and 7 pages are missing. */
  async function arriving(hello: object = {}) {
    let settle!: (outcome: IncomingOutcome) => void;
    let hooks!: IncomingHooks;
    const closed: (string | undefined)[] = [];
    const incoming = {
      outcome: new Promise<IncomingOutcome>((resolve) => (settle = resolve)),
      pagesMissing: 7,
      complete: false,
      listen: 'here:1',
      close: async (why?: string) => {
        closed.push(why);
        lose();
      },
    };
    vi.mocked(Incoming).mockImplementationOnce(function (_host: string, _port: number, given: IncomingHooks) {
      hooks = given;
      return incoming as unknown as Incoming;
    } as never);
    const notices: string[] = [];
    const options = { name: 'vm', host: 'localhost', port: 1, disks: [], nets: [] } as unknown as ReceiveOptions;
    const vm = await receiveVm(options, {} as Consoles, (text) => notices.push(text));
    const machine = new FakeMachine() as FakeMachine & Machine;
    machines.push(machine);
    vi.mocked(HostDevices.open).mockReturnValue(hostDevices as unknown as HostDevices);
    hooks.onIncoming('there:1');
    void hooks.openDevices({ devices: [] } as never, new AbortController().signal);
    hooks.onRunning(machine, hello as never);
    const complete = (): void => {
      incoming.complete = true;
      settle({ status: 'completed', machine, wholeBlocks: {} } as never);
    };
    const lose = (): void =>
      settle({ status: 'lost', reason: new Error('silence'), machine, pagesMissing: 7 } as never);
    return { vm, machine, notices, complete, lose, closed };
  }

  it('stands still at once, and says what is awaited', async () => {
    const { vm, machine, notices, complete } = await arriving();
    machine.devices.emit('power-off');
    expect(machine.halt).toHaveBeenCalledTimes(1);
    const awaited =
      'the guest powered itself off and stands still; ' +
      'as soon as there:1 knows that its last 7 pages are not needed, it is over';
    expect(vm.status()).toMatchObject({ state: 'ending', awaits: awaited });
    expect(notices).toContain(awaited);
    const refused = { code: 'WRONG_STATE', message: expect.stringContaining(awaited) };
    await expect(vm.pause()).rejects.toMatchObject(refused);
    await expect(vm.resume()).rejects.toMatchObject(refused);
    await expect(migrate(vm)).rejects.toMatchObject(refused);
    expect(machine.pause).not.toHaveBeenCalled();
    const stopped = vm.stop();
    complete();
    expect(await vm.ended).toMatchObject({ reason: 'power-off' });
    await stopped;
  });

  it('is told of by a stop that waits in vain, and given up by one by force', async () => {
    const { vm, machine, closed } = await arriving();
    machine.devices.emit('power-off');
    delay.mockResolvedValueOnce(undefined);
    await expect(vm.stop()).rejects.toMatchObject({
      code: 'WRONG_STATE',
      facts: [{ kind: 'can-be-cut', name: 'vm' }],
    });
    await vm.stop({ force: true });
    expect(await vm.ended).toMatchObject({ reason: 'stopped' });
    expect(closed).toEqual(['the guest powered itself off there, and the destination was stopped']);
  });

  it('has powered itself off, whatever becomes of its pages', async () => {
    const { vm, machine, notices, lose } = await arriving();
    machine.devices.emit('power-off');
    lose();
    expect(await vm.ended).toMatchObject({ reason: 'power-off' });
    expect(notices.at(-1)).toMatch(/^the link to there:1 was lost with 7 pages .*silence.*Nothing is lost/);
  });

  it('starts again after its reset, with the pages or without, and is not arriving then', async () => {
    for (const end of ['complete', 'lose'] as const) {
      machines = [];
      const arrival = await arriving();
      arrival.machine.devices.emit('reset', 'port 0x64');
      expect(arrival.vm.status().awaits).toContain('starts again');
      await expect(arrival.vm.stop()).rejects.toMatchObject({ code: 'WRONG_STATE' });
      arrival[end]();
      await vi.waitFor(() => expect(arrival.vm.status().state).toBe('running'));
      expect(machines).toHaveLength(2);
      expect(arrival.vm.status().awaits).toBe(undefined);
      machines[1]!.devices.emit('power-off');
      expect(await arrival.vm.ended).toMatchObject({ reason: 'power-off' });
    }
  });

  it('says with one line why it failed', async () => {
    const { vm, machine, complete } = await arriving();
    Object.assign(machine, { vcpus: [{ waitParked: () => false }] });
    machine.devices.emit('vcpu-stopped', { vcpu: 0, reason: 8, detail: 0 });
    expect(vm.status().awaits).toMatch(/^the guest cannot go on: .*KVM exit 8 and stands still; .* its last 7 pages/);
    complete();
    expect(await vm.ended).toMatchObject({ reason: 'failed', code: 'GUEST_FAILED' });
  });
});

it('tells what happens to it, and the progress of a migration to whoever asked for that as well', async () => {
  const vm = await start();
  const told: Happening[] = [];
  vm.events.subscribe((happening) => told.push(happening));
  const shown: string[] = [];
  const migration = vm.migrate({ host: 'there', port: 1, plain: true }, ({ phase }) => shown.push(phase));
  await vi.waitFor(() => expect(sends).toHaveLength(1));
  for (const phase of ['connecting', 'connecting', 'pulling'] as const) {
    sends[0]!.options.onProgress({ phase } as MigrationProgress);
  }
  sends[0]!.options.onCommit();
  sends[0]!.finish({ status: 'completed' });
  await migration;
  expect(shown).toEqual(['connecting', 'connecting', 'pulling']);
  sends[0]!.options.onProgress({ phase: 'complete' } as MigrationProgress);
  expect(shown).toHaveLength(3); // that migration is over
  const end = await vm.ended;
  expect(told.map(({ type }) => type)).toEqual([
    ...['state', 'phase', 'progress', 'progress', 'phase', 'progress', 'state', 'completed', 'state', 'ended'],
    ...['phase', 'progress'],
  ]);
  expect(told.filter(({ type }) => type === 'state').map((it) => 'state' in it && it.state)).toEqual([
    'migrating',
    'handed-over',
    'migrated',
  ]);
  expect(end).toMatchObject({ reason: 'migrated', message: 'vm has moved to there:1' });
});

it('is resumed by whoever asked for it while it was being paused', async () => {
  const vm = await start();
  const parked = new Deferred<number>();
  machines[0]!.pause.mockReturnValueOnce(parked.promise);
  const asked = [vm.pause(), vm.resume()];
  parked.resolve(0);
  await Promise.all(asked);
  expect([vm.status().state, machines[0]!.pause.mock.calls.length]).toEqual(['running', 1]);
});

const FULL = { id: 'root', error: 'no space left on device', kept: true };

it('stops a guest whose host fails a disk, says why, and does again what failed when it is resumed', async () => {
  const vm = await start();
  const told: Happening[] = [];
  vm.events.subscribe((it) => told.push(it));
  machines[0]!.devices.emit('disk-stopped', FULL);
  await vi.waitFor(() => expect(vm.status().state).toBe('paused'));
  const problem = expect.stringMatching(/^disk root: no space left on device\. The guest of vm is stopped; .* is kept/);
  expect(vm.status()).toMatchObject({ problem, facts: [{ kind: 'disk-stopped', name: 'vm' }] });
  expect(told).toMatchObject([
    { type: 'problem', text: problem },
    { type: 'state', state: 'paused' },
  ]);
  expect(machines[0]!.devices.retry).not.toHaveBeenCalled();
  await vm.resume();
  expect(machines[0]!.devices.retry).toHaveBeenCalledTimes(1);
  expect(vm.status()).toMatchObject({ state: 'running' });
  expect(vm.status().problem).toBeUndefined();
});

it('runs on with what is wrong if a guest whose disk has failed cannot be stopped', async () => {
  const vm = await start();
  machines[0]!.pause.mockRejectedValueOnce(new Error('its vCPU is gone'));
  machines[0]!.devices.emit('disk-stopped', FULL);
  await vi.waitFor(() => expect(machines[0]!.pause).toHaveBeenCalled());
  await vi.waitFor(() => expect(vm.status()).toMatchObject({ state: 'running', problem: expect.any(String) }));
});

it('stops a guest whose disk has failed while it was leaving, if it stays', async () => {
  const vm = await start();
  const migration = migrate(vm);
  await vi.waitFor(() => expect(sends).toHaveLength(1));
  machines[0]!.devices.emit('disk-stopped', FULL);
  expect([vm.status().state, machines[0]!.pause.mock.calls]).toEqual(['migrating', []]);
  sends[0]!.finish({ status: 'failed', error });
  await migration;
  await vi.waitFor(() => expect(vm.status().state).toBe('paused'));
  expect(vm.status().problem).toMatch(/^disk root: no space/);
});

it('ends at once by force while a disk has stopped it', async () => {
  const vm = await start();
  machines[0]!.devices.emit('disk-stopped', FULL);
  await vi.waitFor(() => expect(vm.status().state).toBe('paused'));
  await expect(vm.stop()).rejects.toMatchObject({ code: 'WRONG_STATE' });
  await vm.stop({ force: true });
  expect((await vm.ended).reason).toBe('stopped');
});

it('ends though not all of it can be closed, and closes the rest', async () => {
  const vm = await start();
  const problems: string[] = [];
  vm.events.subscribe((it) => it.type === 'problem' && problems.push(it.text));
  hostDevices.close.mockClear();
  machines[0]!.close.mockRejectedValue(new Error('no such descriptor'));
  await vm.stop({ force: true });
  expect(await vm.ended).toMatchObject({ reason: 'stopped', stuck: true });
  expect(hostDevices.close).toHaveBeenCalled();
  expect(problems).toEqual(['not all of vm could be closed: no such descriptor']);
});

it('says no to a pause on whose way the guest has powered itself off, or reset itself', async () => {
  for (const [event, state] of [
    ['power-off', 'stopped'],
    ['reset', 'just starting again'],
  ] as const) {
    machines = [];
    const vm = await start();
    let park!: (at: number) => void;
    machines[0]!.pause.mockReturnValue(new Promise((resolve) => (park = resolve)));
    machines[0]!.close.mockReturnValue(new Promise(() => {}));
    const pause = vm.pause();
    machines[0]!.devices.emit(event, 'port 0x64');
    park(0);
    await expect(pause).rejects.toMatchObject({ code: 'WRONG_STATE', message: expect.stringContaining(state) });
  }
});

it('ends, where its migration was given back after its machine had failed', async () => {
  const vm = await start();
  void migrate(vm);
  await vi.waitFor(() => expect(sends).toHaveLength(1));
  sends[0]!.options.onCommit();
  machines[0]!.devices.emit('failed', new Error('it broke'));
  expect(vm.status()).toMatchObject({ state: 'handed-over', problem: expect.stringContaining('it broke') });
  sends[0]!.finish({ status: 'failed', error });
  expect(await vm.ended).toMatchObject({ reason: 'failed', code: 'INTERNAL' });
});

it('shows where it is, and no more where it was to go once it is given back', async () => {
  const vm = await start();
  const migration = migrate(vm);
  await vi.waitFor(() => expect(sends).toHaveLength(1));
  sends[0]!.options.onCommit();
  expect(vm.status()).toMatchObject({ state: 'handed-over', peer: 'there:1' });
  sends[0]!.finish({ status: 'failed', error });
  await migration;
  expect(vm.status()).toMatchObject({ state: 'running', problem: 'another host has it' });
  expect(vm.status().peer).toBe(undefined);
});
