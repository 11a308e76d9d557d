import { REGISTER, STATUS } from '../../../../src/devices/virtio/mmio-registers.js';
import type { MmioTransport } from '../../../../src/devices/virtio/mmio-transport.js';
import type { FakeRam } from '../../memory/fake-ram.js';
import { FakeRings } from './fake-rings.js';

export const EVENT_IDX = 1n << 29n;

/** Plays the driver of a transport by its registers, as Linux does it. */
export class MmioDriver {
  queues: FakeRings[] = [];

  constructor(
    readonly transport: MmioTransport,
    readonly ram: FakeRam,
  ) {}

  read(register: number): number {
    return this.transport.read(register, 4);
  }

  write(register: number, value: number): void {
    this.transport.write(register, 4, value);
  }

  get status(): number {
    return this.read(REGISTER.status);
  }

  addStatus(bits: number): void {
    this.write(REGISTER.status, this.status | bits);
  }

  get offered(): bigint {
    return [0, 1].reduce((features, half) => {
      this.write(REGISTER.deviceFeaturesSel, half);
      return features | (BigInt(this.read(REGISTER.deviceFeatures)) << BigInt(32 * half));
    }, 0n);
  }

  accept(features: bigint): void {
    for (const half of [0, 1]) {
      this.write(REGISTER.driverFeaturesSel, half);
      this.write(REGISTER.driverFeatures, Number((features >> BigInt(32 * half)) & 0xffffffffn));
    }
  }

  setQueue(index: number, queue: FakeRings): void {
    const { size, descriptorTable, availableRing, usedRing } = queue.rings;
    this.write(REGISTER.queueSel, index);
    this.write(REGISTER.queueNum, size);
    this.#writeAddress(REGISTER.queueDescLow, descriptorTable);
    this.#writeAddress(REGISTER.queueDriverLow, availableRing);
    this.#writeAddress(REGISTER.queueDeviceLow, usedRing);
    this.write(REGISTER.queueReady, 1);
  }

  /** Up to FEATURES_OK. */
  negotiate(features = this.offered): void {
    this.write(REGISTER.status, 0);
    this.addStatus(STATUS.acknowledge);
    this.addStatus(STATUS.driver);
    this.accept(features);
    this.addStatus(STATUS.featuresOk);
  }

  /** Up to DRIVER_OK, with all queues that the device has. */
  start(features = this.offered): void {
    this.negotiate(features);
    this.queues = [];
    for (let index = 0; ; index++) {
      this.write(REGISTER.queueSel, index);
      const size = this.read(REGISTER.queueNumMax);
      if (size === 0) break;
      this.queues.push(new FakeRings(this.ram, 0x10000 * (index + 1), size, (features & EVENT_IDX) !== 0n));
      this.setQueue(index, this.queues[index]!);
    }
    this.addStatus(STATUS.driverOk);
  }

  kick(index = 0): void {
    if (this.queues[index]!.wantsKick()) this.write(REGISTER.queueNotify, index);
  }

  /** Handles an interrupt; its causes. */
  acknowledge(): number {
    const causes = this.read(REGISTER.interruptStatus);
    this.write(REGISTER.interruptAck, causes);
    return causes;
  }

  #writeAddress(low: number, address: number): void {
    this.write(low, address % 2 ** 32);
    this.write(low + 4, Math.floor(address / 2 ** 32));
  }
}
