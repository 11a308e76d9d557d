/**
 * What a VM's virtio devices need of this host: disks, TAP devices. Opened before the machine is built, kept while the VM
 * lives here, through resets of the guest.
 */
import { Deadline } from '../basics/deadline.js';
import { PostcopyError, type Problem } from '../errors.js';
import type { WhoUses } from './disk-errors.js';
import type { HostDisks } from './host-disks.js';
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

  private constructor(open: OpenByKind) {
    this.#open = open;
  }

  /**
   * Throws PostcopyError with nothing left open. Locks nothing. `whoUses` is asked when a disk is in use: this floor knows of
   * no other VM.
   */
  static open(configs: DeviceConfigs, whoUses: WhoUses = async () => undefined): HostDevices {
    const open: Partial<OpenByKind> = {};
    try {
      for (const [name, kind] of Object.entries(HOST_KINDS)) {
        Object.assign(open, { [name]: kind.open(configs, { whoUses }) });
      }
    } catch (error) {
      for (const devices of Object.values(open)) devices.close();
      throw error;
    }
    return new HostDevices(open as OpenByKind);
  }

  get disks(): HostDisks {
    return this.#open.block.disks;
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

  /**
   * So that little is left of it for takeOver(), while the guest stands still; and storage that does not answer here is found
   * out. Rejects with HOST_LACKS, or with what `signal` was aborted with.
   */
  async forgetAhead(signal: AbortSignal): Promise<void> {
    await this.disks.dropCaches(Deadline.in(FORGET_AHEAD_MS), signal);
  }

  close(): void {
    for (const devices of this.#bySlot()) devices.close();
  }

  #bySlot(): OpenByKind[KindName][] {
    return Object.values(this.#open);
  }
}

/** What this host's devices must match: throws PostcopyError with what differs. */
export function requireSameDevices(wanted: DeviceDescription[], here: DeviceDescription[]): void {
  const differing = wanted.flatMap((device, slot) => differences(device, here[slot]));
  if (differing.length > 0) {
    const facts = differing.flatMap((difference) => difference.facts);
    throw new PostcopyError('REFUSED', differing.map(({ text }) => text).join('; '), undefined, facts);
  }
  if (here.length !== wanted.length) {
    throw new PostcopyError(
      'REFUSED',
      `it has ${wanted.length} virtio devices; this release makes ${here.length} of them`,
    );
  }
}

function differences(wanted: DeviceDescription, here: DeviceDescription | undefined): Problem[] {
  if (here?.kind !== wanted.kind) {
    return [{ text: `its device ${wanted.kind} is ${here?.kind ?? 'missing'} in this release`, facts: [] }];
  }
  // Both are of this kind: the compiler cannot follow that.
  return HOST_KINDS[wanted.kind].differences(wanted as never, here as never);
}
