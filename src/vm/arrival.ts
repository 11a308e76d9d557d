/** A VM that this process waits for: the port it comes on, and what it needs of this host. */
import type { MachineName } from '../configure/machine-setting.js';
import { rememberOutput } from '../console/moving-output.js';
import type { Security } from '../configure/security.js';
import { describeError, factsOf, type Fact } from '../errors.js';
import { bootId } from '../host/boot-id.js';
import type { WhoUses } from '../host/disk-errors.js';
import { promiseToReceive } from '../host/guest-memory.js';
import { HostDevices } from '../host/host-devices.js';
import { NO_PROMISE } from '../host/memory-ledger.js';
import { localDevices, type DeviceOverrides } from '../host/local-devices.js';
import { bytesOfPages } from '../memory/page-size.js';
import type { ArrivalProgress } from './service.js';
import { openLines, type Consoles } from '../machine/console-lines.js';
import { DeviceLink } from '../machine/device-link.js';
import { Machine, MACHINE_KINDS } from '../machine/machine.js';
import { ArrivalRate } from './arrival-rate.js';
import { Incoming, type IncomingOutcome } from '../migrate/destination/incoming.js';
import type { Hello } from '../migrate/wire/message.js';
import { rehearseCodec } from '../migrate/wire/rehearse-codec.js';

export interface ArrivalOptions extends DeviceOverrides {
  machine: MachineName;
  host: string;
  port: number;
  security: Security;
  whoUses: WhoUses;
}

export interface ArrivalHooks {
  announced(peer: string): void;
  /** The VM that was announced does not come, or was refused: another may come. */
  notTaken(reasons: string[], refused: boolean, facts: readonly Fact[]): void;
  /** The guest runs here. */
  running(machine: Machine, hello: Hello): void;
  /** Pages of the VM wait for memory of this host. */
  memoryShort(): void;
  /** A page of the VM was lost to a memory error of the host that it comes from. */
  pageLost(page: number): void;
  /** The link to the source broke, or `undefined`, it has come again. */
  interrupted(reason: string | undefined): void;
  over(outcome: IncomingOutcome): void;
}

/** The source is away. `since`: milliseconds since 1970. */
interface Interruption {
  since: number;
  reason: string;
}

export class Arrival {
  readonly #options: ArrivalOptions;
  readonly #consoles: Consoles;
  readonly #incoming: Incoming;
  /** A device worker that waits for the machine that comes. */
  #idleDevices: DeviceLink | undefined;
  #hostDevices: HostDevices | undefined;
  #peer = 'the other host';
  #interruption: Interruption | undefined;
  readonly #rate = new ArrivalRate(() => this.pagesMissing);
  /** Why what the VM that was announced needs of this host could not be opened. */
  #refusal: unknown;

  /** Throws if it cannot listen there. */
  constructor(options: ArrivalOptions, consoles: Consoles, hooks: ArrivalHooks) {
    this.#options = options;
    this.#consoles = consoles;
    rehearseCodec();
    this.#incoming = new Incoming(options.host, options.port, {
      machine: options.machine,
      security: options.security,
      createMachine: (hello) => this.#createMachine(hello),
      openDevices: (hello, signal) => this.#openDevices(hello, signal),
      onIncoming: (peer) => {
        this.#peer = peer;
        this.#refusal = undefined;
        hooks.announced(peer);
      },
      onRefused: (reasons) => {
        this.#closeDevices();
        hooks.notTaken(reasons, true, factsOf(this.#refusal));
      },
      onNotBegun: (reason) => {
        this.#closeDevices();
        hooks.notTaken([describeError(reason)], false, []);
      },
      onNeverRan: () => this.#closeDevices(),
      onRunning: (machine, hello) => {
        this.#rate.start();
        hooks.running(machine, hello);
      },
      onOutput: (output) => rememberOutput(consoles, output),
      onMemoryShort: () => hooks.memoryShort(),
      onPageLost: (page) => hooks.pageLost(page),
      onInterrupted: (reason) => {
        this.#interruption = { since: Date.now(), reason: describeError(reason) };
        hooks.interrupted(this.#interruption.reason);
      },
      onMet: () => {
        this.#interruption = undefined;
        hooks.interrupted(undefined);
      },
    });
    try {
      this.#idleDevices = new DeviceLink();
    } catch (error) {
      void this.#incoming.close();
      throw error;
    }
    void this.#incoming.outcome.then((outcome) => {
      this.#rate.stop();
      hooks.over(outcome);
    });
  }

  /** host:port */
  get listen(): string {
    return this.#incoming.listen;
  }

  /** The last host that announced a VM. */
  get peer(): string {
    return this.#peer;
  }

  get pagesMissing(): number {
    return this.#incoming.pagesMissing;
  }

  /** How much of a VM that runs here is still to come. */
  get progress(): ArrivalProgress {
    const pagesMissing = this.pagesMissing;
    const { bytesPerSecond, leftMs } = this.#rate;
    return {
      ...{ pagesMissing, bytesMissing: bytesOfPages(pagesMissing), bytesPerSecond },
      ...(leftMs === undefined ? {} : { leftMs }),
      faultsWaiting: this.faultsWaiting,
    };
  }

  get faultsWaiting(): number {
    return this.#incoming.faultsWaiting;
  }

  /** Set while the guest runs here and the source is away. */
  get interruption(): Interruption | undefined {
    return this.#interruption;
  }

  /** The guest is over: the rest of its pages need not come. */
  drop(): void {
    this.#incoming.drop();
  }

  /** What the VM that comes needs of this host, once it is open; the machine's as soon as there is one. */
  get hostDevices(): HostDevices | undefined {
    return this.#hostDevices;
  }

  /** Gives up what has not come yet; `why` is for the other host. Resolves to the machine that is here, if one is. */
  async close(why?: string): Promise<Machine | undefined> {
    await this.#incoming.close(why);
    await this.#idleDevices?.close();
    const outcome = await this.#incoming.outcome;
    return outcome.status === 'failed' ? undefined : outcome.machine;
  }

  #createMachine({ memoryBytes, cpuid }: Hello): Promise<Machine> {
    const devices = this.#idleDevices;
    this.#idleDevices = undefined;
    const hostDevices = this.#hostDevices;
    if (hostDevices === undefined)
      throw new Error('the machine of a VM that comes is built after its devices are open');
    const kind = MACHINE_KINDS[this.#options.machine];
    return Machine.create(kind, { memoryBytes, cpuid }, openLines(this.#consoles), hostDevices, devices);
  }

  /** What is in the way of opening what the VM that comes needs of this host. */
  async #openDevices(hello: Hello, signal: AbortSignal): Promise<string[]> {
    const reasons: string[] = [];
    const memory = await promiseToReceive(hello.memoryBytes).catch((error: unknown) => {
      reasons.push(describeError(error));
      return NO_PROMISE;
    });
    try {
      this.#hostDevices = HostDevices.open(localDevices(hello.devices, this.#options), this.#options.whoUses, memory);
      await this.#hostDevices.requireSame(hello.devices, hello.bootId === bootId(), signal);
      await this.#hostDevices.forgetAhead(signal);
      return reasons;
    } catch (error) {
      this.#refusal = error;
      return [...reasons, describeError(error)];
    }
  }

  #closeDevices(): void {
    this.#hostDevices?.close();
    this.#hostDevices = undefined;
  }
}
