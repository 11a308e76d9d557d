import { newMigrationKey } from '../../../src/configure/security.js';
import type { MigrationSummary } from '../../../src/migrate/report/summary.js';
import type { DebianRelease } from './debian-packages.js';
import { GuestConsole, joinSerial } from './guest-console.js';
import type { ExecResult, LabHost } from './host.js';
import { inHost } from './paths.js';
import type { RemoteProcess } from './remote-process.js';

const START_LIMIT_MS = 150_000;
const MIGRATE_LIMIT_MS = 400_000;
const CONTROL_LIMIT_MS = 150_000;

export interface GuestSettings {
  cpus: number;
  /** Whose kernel it has; default bookworm. */
  debian?: DebianRelease;
  memoryMib?: number;
  /** Pattern memory in the guest. */
  patternMib?: number;
  /** Each pattern process sleeps this long after every 64 pages; more leaves more of the emulated CPU to others. */
  restUs?: number;
  /** Of its kernel, besides the lab's. */
  parameters?: string;
}

export interface Migration {
  /** Of `postcopy migrate`. */
  code: number;
  summary: MigrationSummary;
  stderr: string;
}

export const serialSocket = (name: string): string => `/run/${name}.serial`;

/** One stock Linux guest under `postcopy`, and the processes it lives in on its way between hosts. */
export class GuestVm {
  readonly console = new GuestConsole();
  /** The `postcopy run` or `receive` process on each host the VM was on, in order; the last one has it. */
  readonly processes: { host: LabHost; process: RemoteProcess }[] = [];

  /** Of its migrations. */
  readonly key = newMigrationKey();

  /** `plain`: moves without encryption, which an emulated host is slow at. */
  constructor(
    readonly name: string,
    readonly plain = false,
  ) {}

  /** As `migrate` and `receive` have to be told. */
  get secured(): string {
    return this.plain ? '--plain' : `--key ${this.key}`;
  }

  /** Boots the lab's own guest; resolves when it ticks. */
  async run(host: LabHost, settings: GuestSettings): Promise<void> {
    const { cpus, debian = 'bookworm', memoryMib = 192, patternMib = 24, restUs = 5000, parameters = '' } = settings;
    // The kernel's own messages go into its log, which is asked for: on the console they would tear the guest's lines.
    // Ten ticks a second, a kilobyte, keep the vCPU that drives the serial port busy on an emulated host with one core.
    const work = `lab.pattern_mib=${patternMib} lab.rest_us=${restUs} lab.tick_ms=300`;
    const cmdline = `console=ttyS0 panic=-1 loglevel=1 ${work} ${parameters}`.trim();
    const boot = `--kernel ${inHost.guestKernel(debian)} --initrd ${inHost.guestInitrd} --cmdline '${cmdline}'`;
    const size = `--memory ${memoryMib}M --cpus ${cpus} --serial unix:${serialSocket(this.name)}`;
    await this.spawn(host, `postcopy run --name ${this.name} ${boot} ${size}`);
    await this.orItsEnd(this.console.moreTicks(1, START_LIMIT_MS));
  }

  /** Starts a VM's process, whatever VMM it is, whose serial port is at serialSocket(); joins its console. */
  async spawn(host: LabHost, command: string): Promise<void> {
    this.processes.push({ host, process: host.spawn(command) });
    this.console.follow(await this.orItsEnd(this.joinConsole(host)));
  }

  /** `wait`, or an error if the VM's process ends first. */
  orItsEnd<T>(wait: Promise<T>): Promise<T> {
    return Promise.race([wait, this.#failOnEnd(this.here.process)]);
  }

  /** Starts `postcopy receive` on the host; resolves when it listens. */
  async receive(host: LabHost, port: number): Promise<RemoteProcess> {
    const process = host.spawn(this.receiveCommand(port));
    const listening = host.run(`until netstat -ltn | grep -q ':${port} '; do sleep 0.2; done`, {
      timeoutMs: START_LIMIT_MS,
    });
    await Promise.race([listening, this.#failOnEnd(process)]);
    return process;
  }

  /**
   * `postcopy migrate` to a host whose `receive` was started; follows the console there if it went well. `outageMs`: how
   * long it may be held up from outside.
   */
  async migrate(to: LabHost, port: number, receiver: RemoteProcess, words = '', outageMs = 0): Promise<Migration> {
    const command = `postcopy migrate ${this.name} ${to.address}:${port} ${this.secured} ${words} --json`;
    const { stdout, stderr, code } = await this.moveBy(command, to, receiver, outageMs);
    return { code, stderr, summary: JSON.parse(stdout || 'null') as MigrationSummary };
  }

  /** The state in `postcopy status --json` on a host. */
  async state(host: LabHost): Promise<string> {
    return (JSON.parse(await this.statusAt(host, '--json')) as { state: string }).state;
  }

  statusAt(host: LabHost, options = ''): Promise<string> {
    return host.run(`postcopy status ${this.name} ${options}`, { timeoutMs: CONTROL_LIMIT_MS });
  }

  get here(): { host: LabHost; process: RemoteProcess } {
    const here = this.processes.at(-1);
    if (here === undefined) throw new Error(`${this.name} was not started.`);
    return here;
  }

  protected receiveCommand(port: number): string {
    const serial = `--serial unix:${serialSocket(this.name)}`;
    return `postcopy receive --name ${this.name} --listen 0.0.0.0:${port} ${this.secured} ${serial}`;
  }

  protected joinConsole(host: LabHost): Promise<RemoteProcess> {
    return joinSerial(host, serialSocket(this.name));
  }

  /** Runs the command where the VM is; if it went well, the VM is at the other host. */
  protected async moveBy(command: string, to: LabHost, receiver: RemoteProcess, outageMs = 0): Promise<ExecResult> {
    const end = await this.joinConsole(to);
    const result = await this.here.host.exec(command, { timeoutMs: MIGRATE_LIMIT_MS + outageMs });
    if (result.code === 0) {
      this.processes.push({ host: to, process: receiver });
      this.console.follow(end);
    }
    return result;
  }

  // For a race only: never resolves.
  #failOnEnd(process: RemoteProcess): Promise<never> {
    return new Promise((_resolve, reject) => {
      const fail = (): void => reject(new Error(`"${process.command}" ended early: ${process.describeOutput()}`));
      if (process.code === undefined && process.lost === undefined) process.once('end', fail);
      else fail();
    });
  }
}
