/**
 * The models of virtio devices, a row for each kind, on the device worker: from what the main thread has opened
 * (host/kinds) to the device. host/kinds/kind.ts says what a new kind brings.
 */
import { VirtioBalloon } from '../devices/virtio/balloon/balloon.js';
import { ReportedPages } from '../devices/virtio/balloon/page-releaser.js';
import { BlockDevice } from '../devices/virtio/block/block-device.js';
import { HostErrorCount, HostErrors, type DiskFailure } from '../devices/virtio/block/host-errors.js';
import { VirtioConsole } from '../devices/virtio/console/console.js';
import { NetDevice } from '../devices/virtio/net/net-device.js';
import { VirtioRng } from '../devices/virtio/rng/rng.js';
import type { VirtioDevice } from '../devices/virtio/virtio-device.js';
import { native, type NativeMemory } from '../native.js';
import { SerialLine } from '../console/serial-line.js';
import type { BackendOf, KindName, VirtioBackend } from '../host/kinds/table.js';

export interface BuiltDevice {
  device: VirtioDevice;
  /** Tells the network that the guest is here now. */
  announce?(): void;
  /** Lets go of what is the worker's own. */
  close?(): void;
}

export interface DeviceSurroundings {
  memory: NativeMemory;
  /** See DeviceJob. */
  releaseFlag: Int32Array;
  /** For the operator. */
  report(this: void, text: string): void;
  /** The guest is to stop for what the host has failed. */
  diskStopped(this: void, failure: DiskFailure): void;
}

type Build<Name extends KindName> = (backend: BackendOf<Name>, surroundings: DeviceSurroundings) => BuiltDevice;

const MODELS: { [Name in KindName]: Build<Name> } = {
  console: ({ fd }, { memory }) => ({
    device: new VirtioConsole(memory, new SerialLine(fd)),
    close: () => native.closeFd(fd),
  }),

  rng: (_, { memory }) => ({ device: new VirtioRng(memory) }),

  balloon: (_, { memory, releaseFlag }) => ({
    device: new VirtioBalloon(memory, new ReportedPages(memory, releaseFlag)),
  }),

  block({ id, readonly, onError, bytes, handle, errors: shared }, { memory, report, diskStopped }) {
    const errors = new HostErrors({ id, onError }, new HostErrorCount(shared), { report, stop: diskStopped });
    const disk = new native.Disk(null, handle);
    return { device: new BlockDevice({ memory, disk, id, readonly, bytes, errors }) };
  },

  net({ mac, mtu, handle }, { memory }) {
    const device = new NetDevice({ memory, tap: new native.Tap(null, handle), mac, mtu });
    return { device, announce: () => device.announce() };
  },
};

export function buildVirtioDevice(backend: VirtioBackend, surroundings: DeviceSurroundings): BuiltDevice {
  const build = MODELS[backend.kind] as Build<KindName>;
  return build(backend, surroundings);
}
