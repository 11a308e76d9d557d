/** A VM living in this process: booted here, or received from another host; perhaps sent on to a third. */
import { Socket as NodeSocket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { NetPlace } from '../configure/net-setting.js';
import type { VmConfig } from '../configure/vm-config.js';
import type {
  MigrateRequest,
  MigrationProgress,
  MigrationSummary,
  VmEnd,
  VmService,
  VmState,
  VmStatus,
} from '../control/service.js';
import { describeError, PostcopyError, type ErrorCode } from '../errors.js';
import { giveBackHugePages } from '../migrate/destination/huge-pages.js';
import { Incoming } from '../migrate/destination/incoming.js';
import type { Hello } from '../migrate/message.js';
import type { SourceJob } from '../migrate/source/jobs.js';
import type { PageWorker } from '../migrate/page-worker.js';
import { rehearseCodec } from '../migrate/rehearse.js';
import { startPageWorker } from '../migrate/source/page-channels.js';
import { SendVm } from '../migrate/source/send-vm.js';
import { native } from '../native.js';
import { VERSION } from '../version.js';
import { bootMachine, type BootFile, type BootPlan } from './boot-machine.js';
import { DeviceLink } from './device-link.js';
import { Machine } from './machine.js';
import { requireKvm, requireUserfaultfd } from './require-host.js';
import type { SerialBackend } from './serial-backend.js';
import { describeStop } from './vcpu-stop.js';

export interface VmProcess extends VmService {
  /** Resolves once, when the VM is over here; never rejects. All its resources are released by then. */
  readonly ended: Promise<VmEnd>;
}

export interface ReceiveOptions {
  name: string;
  host: string;
  port: number;
  /** What its network interfaces get on this host. */
  nets?: NetPlace[];
}

/** Told to the operator while the VM lives: resets, moves. */
export type Notice = (text: string) => void;

/** Builds and boots a VM in this process. Throws PostcopyError with nothing left behind. */
export async function startVm(config: VmConfig, serial: SerialBackend, notice: Notice = () => {}): Promise<VmProcess> {
  requireKvm();
  const vm = new LocalVm(config.name, serial, notice);
  await vm.boot({ ...config }, config.reboot);
  return vm;
}

/** Listens for one VM and runs it in this process once it has come. Throws PostcopyError if this host can do neither. */
export async function receiveVm(
  options: ReceiveOptions,
  serial: SerialBackend,
  notice: Notice = () => {},
): Promise<VmProcess> {
  requireKvm();
  requireUserfaultfd();
  const vm = new LocalVm(options.name, serial, notice);
  vm.receive(options.host, options.port);
  return vm;
}

const BULK_CHANNELS = 1;
const PREPARE_AFTER_MS = 5000;

class LocalVm implements VmProcess {
  readonly ended: Promise<VmEnd>;
  readonly #startedAt = native.monotonicMicros();
  #settleEnded!: (end: VmEnd) => void;
  #ending = false;
  #state: VmState = 'waiting';
  #problem: string | undefined;
  #peer: string | undefined;
  #machine: Machine | undefined;
  /** A device worker that waits for the machine that comes. */
  #idleDevices: DeviceLink | undefined;
  #plan: BootPlan | undefined;
  #reboot = true;
  #files: BootFile[] = [];
  #cpuid: Uint8Array[] = [];
  /** Hand-overs of this VM so far, on all hosts. */
  #epoch = 0;
  #incoming: Incoming | undefined;
  #pausing: Promise<void> | undefined;
  #sending: SendVm | undefined;
  /** Until the machine that has come ends, or moves on. */
  #givesHugePages = false;
  /** For a migration to come: what can be made ready before is. */
  #pageWorker: Promise<PageWorker<SourceJob>> | undefined;

  constructor(
    readonly name: string,
    readonly serial: SerialBackend,
    readonly notice: Notice,
  ) {
    this.ended = new Promise((resolve) => (this.#settleEnded = resolve));
  }

  async boot(plan: BootPlan, reboot: boolean): Promise<void> {
    const { machine, cpuid, files } = await bootMachine(plan, () => this.#serialPort());
    if (this.#ending) {
      await machine.close();
      return;
    }
    this.#plan = { ...plan };
    this.#reboot = reboot;
    this.#cpuid = cpuid;
    this.#files = files;
    this.#adopt(machine);
    this.#state = 'running';
    machine.resume();
    this.#prepareToSend();
  }

  #prepareToSend(): void {
    rehearseCodec();
    this.#pageWorker ??= startPageWorker();
    this.#pageWorker.catch(() => {}); // told when it is taken
  }

  #takePageWorker(): Promise<PageWorker<SourceJob>> {
    this.#prepareToSend();
    const worker = this.#pageWorker!;
    this.#pageWorker = undefined;
    return worker;
  }

  receive(host: string, port: number): void {
    rehearseCodec();
    const incoming = new Incoming(host, port, {
      createMachine: (hello) => {
        const shape = { memoryBytes: hello.memoryBytes, cpuid: hello.cpuid, tscKhz: hello.tscKhz };
        const devices = this.#idleDevices;
        this.#idleDevices = undefined;
        return Machine.create(shape, this.#serialPort(), devices);
      },
      onIncoming: (peer) => {
        this.#state = 'incoming';
        this.#peer = peer;
      },
      onRefused: (reasons) => {
        this.#state = 'waiting';
        this.notice(`refused a VM from ${this.#peer}: ${reasons.join('; ')}`);
      },
      onNotBegun: (reason) => {
        this.#state = 'waiting';
        this.notice(`no VM came from ${this.#peer}: ${describeError(reason)}; still waiting for one`);
      },
      onRunning: (machine, hello) => this.#arrived(machine, hello),
    });
    this.#incoming = incoming;
    this.#idleDevices = new DeviceLink();
    void incoming.outcome.then((outcome) => {
      if (outcome.status === 'completed') {
        this.notice(`all of the VM has arrived from ${this.#peer}`);
        this.#givesHugePages = !this.#ending;
        void giveBackHugePages(outcome.machine.memory, outcome.wholeBlocks, () => !this.#givesHugePages);
        // Not at once: a guest that has just come has use for the CPU.
        setTimeout(() => {
          if (!this.#ending) this.#prepareToSend();
        }, PREPARE_AFTER_MS).unref();
      } else if (outcome.status === 'failed') {
        void this.#fail('MIGRATION_FAILED', `no VM came: ${describeError(outcome.reason)}`);
      } else {
        this.#linkLost(
          `the link to ${this.#peer} was lost while ${outcome.pagesMissing} pages of the VM were still there (${describeError(outcome.reason)}). ` +
            'The VM is halted; its state here is kept until `postcopy stop`',
        );
      }
    });
  }

  #arrived(machine: Machine, hello: Hello): void {
    const kernel = hello.files.find((file) => file.role === 'kernel');
    const initrd = hello.files.find((file) => file.role === 'initrd');
    this.#plan = {
      kernel: kernel?.path ?? '',
      ...(initrd === undefined ? {} : { initrd: initrd.path }),
      cmdline: hello.cmdline,
      memoryBytes: hello.memoryBytes,
      cpus: hello.cpuid.length,
    };
    this.#reboot = hello.reboot;
    this.#cpuid = hello.cpuid;
    this.#files = hello.files;
    this.#epoch = hello.epoch;
    this.#adopt(machine);
    this.#state = 'running';
    this.notice(`the VM has come from ${this.#peer} and runs here`);
  }

  #adopt(machine: Machine): void {
    this.#machine = machine;
    // The first that happens counts: a guest goes on for a moment behind its own reset, and may even fault there.
    let over = false;
    const once = (action: () => Promise<void>): void => {
      if (over) return;
      over = true;
      void this.#afterArrival(action);
    };
    machine.devices.on('power-off', () => once(() => this.#powerOff()));
    machine.devices.on('reset', (source) => once(() => this.#reset(source)));
    machine.devices.on('vcpu-stopped', (stop) => {
      if (over || this.#ending) return;
      const text = machine.vcpus[stop.vcpu]!.waitParked(1000)
        ? describeStop(stop, machine.vcpus[stop.vcpu]!)
        : `the guest cannot go on: vCPU ${stop.vcpu} stopped for KVM exit ${stop.reason}`;
      once(() => this.#fail('GUEST_FAILED', text));
    });
    machine.devices.on(
      'failed',
      (error) => void this.#fail('INTERNAL', `the device worker failed: ${describeError(error)}`),
    );
  }

  /** What ends or rebuilds a machine waits until all of its pages are here: page workers write into its RAM. */
  async #afterArrival(action: () => Promise<void>): Promise<void> {
    const outcome = await this.#incoming?.outcome;
    if (outcome === undefined || outcome.status === 'completed') await action();
  }

  async #powerOff(): Promise<void> {
    await this.#cancelSending('the guest powered itself off');
    await this.#end({ reason: 'power-off', message: 'the guest powered itself off' });
  }

  async #reset(source: string): Promise<void> {
    if (this.#ending) return;
    this.#givesHugePages = false;
    await this.#cancelSending('the guest reset itself');
    const plan = this.#plan!;
    if (!this.#reboot) {
      return this.#end({ reason: 'reset', message: `the guest asked for a reset (${source})` });
    }
    this.notice(`the guest asked for a reset (${source}): it starts again`);
    try {
      await this.#machine?.close();
      if (!this.#ending) await this.boot(plan, this.#reboot);
    } catch (error) {
      await this.#fail('INTERNAL', `the guest could not be started again: ${describeError(error)}`);
    }
  }

  async #cancelSending(why: string): Promise<void> {
    const sending = this.#sending;
    if (sending === undefined) return;
    sending.cancel(new PostcopyError('MIGRATION_FAILED', why));
    await sending.outcome;
  }

  /** A fresh serial line between the machine and the backend; the machine's end. */
  #serialPort(): number {
    const [ours, machines] = native.socketPair();
    this.serial.attach(new NodeSocket({ fd: ours }));
    return machines;
  }

  status(): VmStatus {
    const migration = this.#sending?.progress();
    return {
      name: this.name,
      pid: process.pid,
      version: VERSION,
      state: this.#state,
      ...(this.#problem === undefined ? {} : { problem: this.#problem }),
      memoryBytes: this.#plan?.memoryBytes ?? 0,
      cpus: this.#plan?.cpus ?? 0,
      uptimeMs: (native.monotonicMicros() - this.#startedAt) / 1000,
      ...(this.#incoming === undefined ? {} : { listen: this.#incoming.listen }),
      ...(this.#peer === undefined ? {} : { peer: this.#peer }),
      ...(migration === undefined ? {} : { migration }),
    };
  }

  async pause(): Promise<void> {
    if (this.#state === 'paused') return;
    this.#require('running', 'paused');
    // vCPUs take their time to park, perhaps for a page; nothing else may begin meanwhile.
    this.#pausing ??= this.#park().finally(() => (this.#pausing = undefined));
    await this.#pausing;
  }

  async #park(): Promise<void> {
    await this.#machine!.pause();
    if (this.#state === 'running') this.#state = 'paused';
  }

  async resume(): Promise<void> {
    await this.#pausing;
    if (this.#state === 'running') return;
    this.#require('paused', 'resumed');
    this.#machine!.resume();
    this.#state = 'running';
  }

  async stop(): Promise<void> {
    if (this.#state === 'handed-over') {
      throw new PostcopyError(
        'WRONG_STATE',
        `${this.name} runs at ${this.#peer}, which still pulls its memory from here: to end this process now would destroy it`,
      );
    }
    await this.#cancelSending('the VM was stopped');
    setImmediate(() => void this.#end({ reason: 'stopped', message: `${this.name} was stopped` }));
  }

  attachConsole(stream: Duplex): void {
    this.serial.addConsole(stream);
  }

  async migrate(request: MigrateRequest, onProgress: (progress: MigrationProgress) => void): Promise<MigrationSummary> {
    await this.#pausing;
    this.#require('running', 'migrated');
    if (this.#incoming !== undefined && !this.#incoming.complete) {
      throw new PostcopyError(
        'WRONG_STATE',
        `${this.name} is still arriving from ${this.#peer}: wait until all of it is here`,
      );
    }
    const peer = `${request.host}:${request.port}`;
    this.#givesHugePages = false;
    this.#sending = new SendVm({
      machine: this.#machine!,
      hello: this.#hello(),
      pageWorker: this.#takePageWorker(),
      ...request,
      onProgress,
      onCommit: () => {
        this.#state = 'handed-over';
        this.#peer = peer;
      },
    });
    this.#state = 'migrating';
    this.#problem = undefined;
    const summary = await this.#sending.run();
    this.#sending = undefined;
    this.#afterSending(summary, peer);
    return summary;
  }

  #afterSending(summary: MigrationSummary, peer: string): void {
    if (summary.status === 'completed') {
      this.#state = 'migrated';
      setImmediate(() => void this.#end({ reason: 'migrated', message: `${this.name} has moved to ${peer}` }));
    } else if (summary.status === 'link-lost') {
      this.#linkLost(
        `the link to ${peer} was lost after the VM was handed over (${summary.error?.message}). ` +
          'The VM does not run here; what is left of its memory here is kept until `postcopy stop`',
      );
    } else if (!this.#ending) {
      this.#state = 'running';
      this.#problem = summary.error?.message;
      this.#prepareToSend();
      this.notice(`the migration to ${peer} failed, the VM runs on here: ${summary.error?.message}`);
    }
  }

  #hello(): Hello {
    const plan = this.#plan!;
    const machine = this.#machine!;
    return {
      release: VERSION,
      name: this.name,
      epoch: this.#epoch + 1,
      memoryBytes: plan.memoryBytes,
      cpuid: this.#cpuid,
      tscKhz: machine.tscKhz,
      xsaveBytes: machine.xsaveBytes,
      files: this.#files,
      cmdline: plan.cmdline,
      reboot: this.#reboot,
      bulkChannels: BULK_CHANNELS,
    };
  }

  #require(state: VmState, wish: string): void {
    if (this.#state === state) return;
    throw new PostcopyError('WRONG_STATE', `${this.name} is ${this.#state}: only a VM that is ${state} can be ${wish}`);
  }

  #linkLost(text: string): void {
    this.#state = 'link-lost';
    this.#problem = text;
    this.notice(text);
  }

  async #fail(code: ErrorCode, message: string): Promise<void> {
    if (this.#state === 'handed-over' || this.#state === 'link-lost') {
      // This process holds what may be the only copy of the VM's memory: whatever happens to its machine, it stays.
      this.#problem = message;
      return this.notice(message);
    }
    await this.#cancelSending(message);
    await this.#end({ reason: 'failed', message, code });
  }

  async #end(end: VmEnd): Promise<void> {
    if (this.#ending) return;
    this.#ending = true;
    this.#givesHugePages = false;
    this.#state = end.reason === 'failed' ? 'failed' : end.reason === 'migrated' ? 'migrated' : 'stopped';
    await this.#incoming?.close();
    await this.#idleDevices?.close();
    await (await this.#pageWorker?.catch(() => undefined))?.end();
    await this.#machine?.close();
    this.#settleEnded(end);
  }
}
