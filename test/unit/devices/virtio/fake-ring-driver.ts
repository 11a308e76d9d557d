import {
  VIRTIO_F_EVENT_IDX,
  VIRTIO_F_INDIRECT_DESC,
  VIRTIO_F_VERSION_1,
} from '../../../../src/devices/virtio/features.js';
import { Virtqueue, type QueuePosition } from '../../../../src/devices/virtio/queue.js';
import type { Driver, VirtioDevice } from '../../../../src/devices/virtio/virtio-device.js';
import { FakeRam } from '../../memory/fake-ram.js';
import { FakeRings } from './fake-rings.js';

export { FakeRings } from './fake-rings.js';
import { SOON } from './soon.js';

const MIB = 0x100000;
/** Rings and buffers of queue n begin at (n + 1) times this. */
const QUEUE_AREA = 4 * MIB;

export interface FakeRingDriverOptions {
  /** Of the device; those of ring and transport come on top. Default: all it offers. */
  features?: bigint;
  eventIdx?: boolean;
  /** Queues that the driver uses; default: all. */
  enabled?: (index: number) => boolean;
  ram?: FakeRam;
}

/**
 * Plays the driver of a device model, without a transport between them:
 * `const driver = new FakeRingDriver(device); driver.start(); driver.sides[0].add({...}); driver.kick();
 * driver.sides[0].collect()`.
 */
export class FakeRingDriver implements Driver {
  readonly features: bigint;
  readonly ram: FakeRam;
  /** The driver's side of each queue. */
  readonly sides: FakeRings[];
  /** What the device sees. */
  readonly queues: readonly (Virtqueue | undefined)[];
  /** Used buffer notifications. */
  interrupts = 0;
  configChanges = 0;

  constructor(
    readonly device: VirtioDevice,
    readonly options: FakeRingDriverOptions = {},
    moved?: { sides: FakeRings[]; positions: (QueuePosition | undefined)[] },
  ) {
    const eventIdx = options.eventIdx ?? false;
    this.features =
      (options.features ?? device.features) |
      VIRTIO_F_VERSION_1 |
      VIRTIO_F_INDIRECT_DESC |
      (eventIdx ? VIRTIO_F_EVENT_IDX : 0n);
    this.ram = options.ram ?? new FakeRam(128 * MIB);
    this.sides =
      moved?.sides ?? device.queueSizes.map((size, n) => new FakeRings(this.ram, (n + 1) * QUEUE_AREA, size, eventIdx));
    this.queues = this.sides.map((_, index) => this.#connect(index, moved?.positions[index]));
  }

  configChanged(): void {
    this.configChanges++;
  }

  /** DRIVER_OK. */
  start(): void {
    this.device.start(this);
  }

  /** Notifies the device if it wants that; whether it did. */
  kick(): boolean {
    const wanted = this.sides.map((queue) => queue.wantsKick()).some((wants) => wants);
    if (wanted) this.device.process();
    return wanted;
  }

  /** Pauses the device and goes on with `other`, a device of another host with the same RAM. process() is to come. */
  moveTo(other: VirtioDevice): FakeRingDriver {
    this.device.pause(SOON);
    const positions = this.queues.map((queue) => queue?.save());
    const moved = new FakeRingDriver(other, { ...this.options, ram: this.ram }, { sides: this.sides, positions });
    other.restore(structuredClone(this.device.save()));
    other.start(moved);
    return moved;
  }

  #connect(index: number, position?: QueuePosition): Virtqueue | undefined {
    if (this.options.enabled?.(index) === false) return undefined;
    return new Virtqueue(this.ram, {
      rings: this.sides[index]!.rings,
      maxSize: this.device.queueSizes[index]!,
      features: this.features,
      interrupt: () => void this.interrupts++,
      ...(position === undefined ? {} : { position }),
    });
  }
}
