/** A network device with all around it that it knows, played by the test. */
import { NetDevice } from '../../../../../src/devices/virtio/net/net-device.js';
import { NET_FEATURES } from '../../../../../src/devices/virtio/net/features.js';
import type { Driver } from '../../../../../src/devices/virtio/virtio-device.js';
import type { NativeMemory } from '../../../../../src/native.js';
import { FakeRam } from '../../../memory/fake-ram.js';
import { FakeQueue } from './fake-queue.js';
import { FakeTap } from './fake-tap.js';

const MIB = 0x100000;
const MAC = '52:54:00:12:34:56';

export class Rig implements Driver {
  readonly ram = new FakeRam(64 * MIB);
  readonly tap = new FakeTap();
  readonly device: NetDevice;
  readonly receiveq = new FakeQueue(this.ram, 0);
  readonly transmitq = new FakeQueue(this.ram, 32 * MIB);
  readonly controlq = new FakeQueue(this.ram, 48 * MIB);
  readonly queues: (FakeQueue | undefined)[] = [this.receiveq, this.transmitq, this.controlq];
  configChanges = 0;

  constructor(
    readonly features: bigint = NET_FEATURES,
    mtu = 0,
  ) {
    this.device = new NetDevice({ memory: this.ram as unknown as NativeMemory, tap: this.tap, mac: MAC, mtu });
  }

  configChanged(): void {
    this.configChanges++;
  }

  start(): this {
    this.device.start(this);
    this.device.process();
    return this;
  }

  get source() {
    return this.device.sources[0]!;
  }

  /** One turn of the device worker, if poll(2) would tell of any of this. */
  turn(ready: number): void {
    const revents = ready & this.source.events;
    if (revents !== 0) this.source.run(revents);
  }
}

/** A frame of so many bytes with its header, which numbers its bytes. */
export function frameOf(bytes: number, first = 0): Uint8Array {
  const frame = Uint8Array.from({ length: bytes }, (_, i) => (first + i) & 0xff);
  frame.fill(0, 0, 12);
  return frame;
}
