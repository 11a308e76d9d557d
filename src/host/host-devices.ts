/**
 * What a VM needs of this host: the disks and TAP devices of its virtio devices, and that its RAM is written down in the
 * host's ledger. Opened before the machine is built, kept while the VM lives here, through resets of the guest.
 */
import { Deadline } from '../basics/deadline.js';
import { PostcopyError, type Problem } from '../errors.js';
import type { WhoUses } from './disk-errors.js';
import type { DiskSample } from './disk-sample.js';
import type { HostDisks } from './host-disks.js';
import type { HostNets } from './host-nets.js';
import { NO_PROMISE, type MemoryPromise } from './memory-ledger.js';
import type { DeviceLines } from './kinds/kind.js';
import {
  HOST_KINDS,
  type DeviceConfigs,
  type DeviceDescription,
  type DeviceStatus,
  type KindName,
  type OpenByKind,
  type VirtioBackend,
} from './kinds/table.js';

/** A disk's lock follows its VM: so long the other side may take to let go of it. */
const LOCK_WAIT_MS = 2000;
/** For storage to forget what this host knows of it, while a guest stands still; little is left of it then. */
const FORGET_WAIT_MS = 3000;
/** The same while the guest still runs at the other host, where this host may know gigabytes of it. */
const FORGET_AHEAD_MS = 15_000;

export class HostDevices {
  readonly #open: OpenByKind;
  /** Of guest RAM. */
  readonly memory: MemoryPromise;

  private constructor(open: OpenByKind, memory: MemoryPromise) {
    this.#open = open;
    this.memory = memory;
  }

  /**
   * Throws PostcopyError with nothing left open, and `memory` released. Locks nothing. `whoUses` is asked when a disk is in
   * use: this floor knows of no other VM.
   */
  static open(
    configs: DeviceConfigs,
    whoUses: WhoUses = async () => undefined,
    memory: MemoryPromise = NO_PROMISE,
  ): HostDevices {
    const open: Partial<OpenByKind> = {};
    try {
      for (const [name, kind] of Object.entries(HOST_KINDS)) {
        Object.assign(open, { [name]: kind.open(configs, { whoUses }) });
      }
    } catch (error) {
      for (const devices of Object.values(open)) devices.close();
      memory.release();
      throw error;
    }
    return new HostDevices(open as OpenByKind, memory);
  }

  get disks(): HostDisks {
    return this.#open.block.disks;
  }

  get nets(): HostNets {
    return this.#open.net.nets;
  }

  /** As the other host is told of them, by slot. */
  descriptions(): DeviceDescription[] {
    return this.#bySlot().flatMap((devices): DeviceDescription[] => devices.describe());
  }

  /** As the device worker gets them, by slot. */
  backends(lines: DeviceLines): VirtioBackend[] {
    return this.#bySlot().flatMap((devices): VirtioBackend[] => devices.backends(lines));
  }

  /** As `postcopy status` shows them. */
  status(): DeviceStatus {
    return Object.assign({}, ...this.#bySlot().map((devices) => devices.status())) as DeviceStatus;
  }

  /** The other host having let go: takes the disks' locks, and forgets what this host knew of their content; both or none. */
  async takeOver(): Promise<void> {
    await this.disks.relock(LOCK_WAIT_MS, LOCK_WAIT_MS);
    try {
      await this.disks.dropCaches(Deadline.in(FORGET_WAIT_MS));
    } catch (error) {
      await this.disks.unlock().catch(() => {}); // what went wrong first is what is told
      throw error;
    }
  }

  /** After takeOver(): see HostDisks. */
  async requireSamples(samples: readonly DiskSample[]): Promise<void> {
    await this.disks.requireSamples(samples, Deadline.in(FORGET_WAIT_MS));
  }

  /**
   * So that little is left of it for takeOver(), while the guest stands still; and storage that does not answer here is found
   * out. Rejects with HOST_LACKS, or with what `signal` was aborted with.
   */
  async forgetAhead(signal: AbortSignal): Promise<void> {
    await this.disks.dropCaches(Deadline.in(FORGET_AHEAD_MS), signal);
  }

  /**
   * Throws REFUSED, with all that differs, unless these are those of a VM that comes; the source still has them. `sameHost`:
   * it comes from a process of this host. Rejects with what `signal` was aborted with.
   */
  async requireSame(wanted: readonly DeviceDescription[], sameHost: boolean, signal: AbortSignal): Promise<void> {
    const here = this.descriptions();
    const problems = wanted.flatMap((device, slot) => kindProblem(device, here[slot]));
    if (problems.length === 0 && here.length !== wanted.length) {
      const text = `it has ${wanted.length} virtio devices; this release makes ${here.length} of them`;
      problems.push({ text, facts: [] });
    }
    if (problems.length === 0) problems.push(...(await this.#objections(wanted, sameHost, signal)));
    if (problems.length === 0) return;
    const text = problems.map((problem) => problem.text).join('; ');
    throw new PostcopyError(
      'REFUSED',
      text,
      undefined,
      problems.flatMap(({ facts }) => facts),
    );
  }

  close(): void {
    for (const devices of this.#bySlot()) devices.close();
    this.memory.release();
  }

  async #objections(wanted: readonly DeviceDescription[], sameHost: boolean, signal: AbortSignal): Promise<Problem[]> {
    const found = Object.entries(this.#open).map(([name, devices]) =>
      // Each kind gets those of its own: the compiler cannot follow that.
      devices.objections(wanted.filter(({ kind }) => kind === name) as never, sameHost, signal),
    );
    return (await Promise.all(found)).flat();
  }

  #bySlot(): OpenByKind[KindName][] {
    return Object.values(this.#open);
  }
}

/** What in its kind stands against a device here in the place of the one that comes. */
function kindProblem(wanted: DeviceDescription, here: DeviceDescription | undefined): Problem[] {
  if (here?.kind === wanted.kind) return [];
  return [{ text: `its device ${wanted.kind} is ${here?.kind ?? 'missing'} in this release`, facts: [] }];
}
