/** Every kind of virtio device over fakes of what it has of its host, for fuzzing. */
import { constants as os } from 'node:os';
import type { FakeRam } from '../memory/fake-ram.js';
import { VirtioBalloon } from '../../../src/devices/virtio/balloon/balloon.js';
import { BlockDevice } from '../../../src/devices/virtio/block/block-device.js';
import { HostErrorCount, HostErrors } from '../../../src/devices/virtio/block/host-errors.js';
import { VirtioConsole } from '../../../src/devices/virtio/console/console.js';
import { NetDevice } from '../../../src/devices/virtio/net/net-device.js';
import { VirtioRng } from '../../../src/devices/virtio/rng/rng.js';
import type { VirtioDevice } from '../../../src/devices/virtio/virtio-device.js';
import type { KindName } from '../../../src/host/kinds/table.js';
import type { NativeMemory } from '../../../src/native.js';
import { FakeDisk } from '../devices/virtio/block/fake-disk.js';
import { FakeLine } from '../devices/virtio/fake-line.js';
import { FuzzTap } from './fuzz-tap.js';

const { EIO, ENOSPC } = os.errno;

/** A device, and what its host does meanwhile. */
export interface FuzzedDevice {
  device: VirtioDevice;
  happen(number: number): void;
  /** What the device has done to its host that it must never do. */
  readonly wrongs: string[];
}

const SECTORS = 64;
const SECTOR_BYTES = 512;
const MOST_INPUT = 5000;
/** Of one in four requests of a disk: of the guest's to know, and such as stops it. */
const ERRNOS = [EIO, ENOSPC];

/** A disk that tells of requests that it could never do. */
class WatchedDisk extends FakeDisk {
  constructor(readonly wrongs: string[]) {
    super(SECTORS * SECTOR_BYTES);
  }

  override submit(...request: Parameters<FakeDisk['submit']>): void {
    const [, , , segments, count, , length] = request;
    const bytes = segments.subarray(0, 2 * count).reduce((sum, value, i) => (i % 2 === 0 ? sum : sum + value), 0);
    if (count > 0 && bytes !== length) this.wrongs.push(`${length} bytes in segments of ${bytes}`);
    try {
      super.submit(...request);
    } catch (error) {
      this.wrongs.push(String(error));
      throw error;
    }
  }
}

/** From what a device gets for RAM to the device. */
export const KINDS: Record<KindName, (ram: FakeRam) => FuzzedDevice> = {
  console(ram) {
    const line = new FakeLine();
    return {
      device: new VirtioConsole(ram, line),
      happen(number) {
        line.input += 'x'.repeat(Math.min(number % 0x100, MOST_INPUT - line.input.length));
        line.blocked = number % 3 === 0;
        line.open = number % 17 !== 0;
        line.output = '';
      },
      wrongs: [],
    };
  },

  rng: (ram) => ({ device: new VirtioRng(ram), happen: () => {}, wrongs: [] }),

  balloon(ram) {
    const wrongs: string[] = [];
    const releaser = {
      active: true,
      release(first: number, count: number) {
        if (count <= 0 || (first + count) * 4096 > ram.bytes) wrongs.push(`${count} pages at ${first} released`);
      },
    };
    const device = new VirtioBalloon(ram, releaser);
    return {
      device,
      happen(number) {
        releaser.active = number % 5 !== 0;
        device.setTarget(number % 0x1000);
      },
      wrongs,
    };
  },

  block(ram) {
    const wrongs: string[] = [];
    const disk = new WatchedDisk(wrongs);
    const memory = ram as unknown as NativeMemory;
    const hooks = { report: () => {}, stop: () => {} };
    const errors = new HostErrors({ id: 'root', onError: undefined }, new HostErrorCount(), hooks);
    return {
      device: new BlockDevice({ memory, disk, id: 'root', readonly: false, bytes: SECTORS * SECTOR_BYTES, errors }),
      happen(number) {
        if (disk.waiting.length > 0) disk.end(number % disk.waiting.length, ERRNOS[number % 8] ?? 0);
      },
      wrongs,
    };
  },

  net(ram) {
    const tap = new FuzzTap();
    const memory = ram as unknown as NativeMemory;
    const device = new NetDevice({ memory, tap, mac: '52:54:00:00:00:01', mtu: 1500 });
    return {
      device,
      happen(number) {
        tap.arrive(number % 70_000);
        tap.full = number % 3 === 0;
        if (number % 11 === 0) device.announce();
      },
      wrongs: [],
    };
  },
};
