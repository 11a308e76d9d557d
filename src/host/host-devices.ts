/**
 * What a VM's virtio devices need of this host: disks, TAP devices. Opened before the machine is built, kept while the VM
 * lives here, through resets of the guest.
 */
import type { DiskConfig } from '../configure/disk.js';
import type { NetConfig } from '../configure/net.js';
import { PostcopyError } from '../errors.js';
import type { DeviceDescription } from './device-description.js';
import { HostDisks } from './host-disks.js';
import { HostNets } from './host-nets.js';
import type { VirtioBackend } from './virtio-spec.js';

/** A disk's lock follows its VM: so long the other side may take to let go of it. */
const LOCK_WAIT_MS = 2000;

interface Slot {
  description: DeviceDescription;
  backend(consoleFd: number): VirtioBackend;
}

export class HostDevices {
  private constructor(
    readonly disks: HostDisks,
    readonly nets: HostNets,
  ) {}

  /** Throws PostcopyError with nothing left open. Locks nothing. */
  static open(disks: DiskConfig[], nets: NetConfig[]): HostDevices {
    const openDisks = HostDisks.open(disks);
    try {
      return new HostDevices(openDisks, HostNets.open(nets));
    } catch (error) {
      openDisks.close();
      throw error;
    }
  }

  /** As the other host is told of them, by slot. */
  descriptions(): DeviceDescription[] {
    return this.#slots().map(({ description }) => description);
  }

  /** As the device worker gets them, by slot. `consoleFd`: the console's end of its line. */
  backends(consoleFd: number): VirtioBackend[] {
    return this.#slots().map(({ backend }) => backend(consoleFd));
  }

  /** The order decides which disk is the guest's vda. */
  #slots(): Slot[] {
    return [
      { description: { kind: 'console' }, backend: (fd) => ({ kind: 'console', fd }) },
      { description: { kind: 'rng' }, backend: () => ({ kind: 'rng' }) },
      { description: { kind: 'balloon' }, backend: () => ({ kind: 'balloon' }) },
      ...this.disks.describe().map((disk, i): Slot => {
        const { id, readonly } = disk;
        const handle = this.disks.handles[i]!;
        return { description: { kind: 'block', ...disk }, backend: () => ({ kind: 'block', id, readonly, handle }) };
      }),
      ...this.nets.describe().map((net, i): Slot => {
        const { mac, mtu } = net;
        const handle = this.nets.handles[i]!;
        return { description: { kind: 'net', ...net }, backend: () => ({ kind: 'net', mac, mtu, handle }) };
      }),
    ];
  }

  /** The other host having let go: takes the disks' locks, and forgets what this host knew of their content; both or none. */
  async takeOver(): Promise<void> {
    await this.disks.relock(LOCK_WAIT_MS);
    try {
      this.disks.dropCaches();
    } catch (error) {
      this.disks.unlock();
      throw error;
    }
  }

  close(): void {
    this.disks.close();
    this.nets.close();
  }
}

/** What this host's devices must match: throws PostcopyError with what differs. */
export function requireSameDevices(wanted: DeviceDescription[], here: DeviceDescription[]): void {
  const differing = wanted.flatMap((device, slot) => differences(device, here[slot]));
  if (differing.length > 0) throw new PostcopyError('REFUSED', differing.join('; '));
  if (here.length !== wanted.length) {
    throw new PostcopyError(
      'REFUSED',
      `it has ${wanted.length} virtio devices; this release makes ${here.length} of them`,
    );
  }
}

function differences(wanted: DeviceDescription, here: DeviceDescription | undefined): string[] {
  if (here?.kind !== wanted.kind) return [`its device ${wanted.kind} is ${here?.kind ?? 'missing'} in this release`];
  if (wanted.kind !== 'block' || here.kind !== 'block' || wanted.bytes === here.bytes) return [];
  return [
    `disk ${wanted.id} has ${wanted.bytes} bytes at the source, ${here.path} has ${here.bytes} here: ` +
      'give the one that both hosts share (receive --disk id=ID,path=FILE)',
  ];
}
