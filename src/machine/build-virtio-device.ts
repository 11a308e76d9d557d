/** From what the main thread has opened to a device model, on the device worker. */
import { VirtioBalloon } from '../devices/virtio/balloon/balloon.js';
import { ReportedPages } from '../devices/virtio/balloon/page-releaser.js';
import { BlockDevice } from '../devices/virtio/block/block-device.js';
import { VirtioConsole } from '../devices/virtio/console/console.js';
import { NetDevice } from '../devices/virtio/net/net-device.js';
import { VirtioRng } from '../devices/virtio/rng/rng.js';
import type { VirtioDevice } from '../devices/virtio/virtio-device.js';
import { native, type NativeMemory } from '../native.js';
import { SerialLine } from '../console/serial-line.js';
import type { VirtioBackend } from '../host/virtio-spec.js';

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
}

export function buildVirtioDevice(backend: VirtioBackend, { memory, releaseFlag }: DeviceSurroundings): BuiltDevice {
  switch (backend.kind) {
    case 'console': {
      const device = new VirtioConsole(memory, new SerialLine(backend.fd));
      return { device, close: () => native.closeFd(backend.fd) };
    }
    case 'rng':
      return { device: new VirtioRng(memory) };
    case 'balloon':
      return { device: new VirtioBalloon(memory, new ReportedPages(memory, releaseFlag)) };
    case 'block': {
      const disk = new native.Disk(null, backend.handle);
      return { device: new BlockDevice({ memory, disk, id: backend.id, readonly: backend.readonly }) };
    }
    case 'net': {
      const { handle, mac, mtu } = backend;
      const device = new NetDevice({ memory, tap: new native.Tap(null, handle), mac, mtu });
      return { device, announce: () => device.announce() };
    }
  }
}
