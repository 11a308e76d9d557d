import type { Deadline } from '../../basics/deadline.js';
import { describeError, PostcopyError } from '../../errors.js';
import type { RamBytes } from '../../memory/guest-memory.js';
import type { BusDevice } from '../bus.js';
import type { PollSource } from '../poll-source.js';
import { checkVirtioState } from './check-virtio-state.js';
import { readConfig, writeConfig } from './config-space.js';
import { DeviceRunner } from './device-runner.js';
import type { SessionSetup } from './driver-session.js';
import { FeatureRegisters } from './feature-registers.js';
import {
  DRIVER_STATUS_BITS,
  INTERRUPT_CONFIG_CHANGE,
  INTERRUPT_USED_BUFFER,
  MAGIC_VALUE,
  NO_SHARED_MEMORY,
  REGISTER,
  REGISTER_BYTES,
  STATUS,
  VENDOR_ID,
  VERSION,
} from './mmio-registers.js';
import type { QueuePosition } from './queue.js';
import { QueueRegisters } from './queue-registers.js';
import type { VirtioDevice } from './virtio-device.js';
import type { VirtioInterrupt } from './virtio-interrupt.js';
import { isDriven, type VirtioState } from './virtio-state.js';

/** A guest can break its devices as often as it likes; it is reported so many times. */
const REPORTS_MAX = 10;

export interface MmioTransportSetup {
  device: VirtioDevice;
  ram: RamBytes;
  interrupt: VirtioInterrupt;
  /** Is told why the device has stopped: the driver broke a queue, or the model failed. */
  report(message: string): void;
}

/**
 * A virtio device over MMIO, version 2 (virtio 1.2, 4.2): its registers, and through DeviceRunner the device model behind
 * them. No error of the model comes out of an access, notify() or a source: it ends at DEVICE_NEEDS_RESET.
 */
export class MmioTransport implements BusDevice {
  readonly accessBytes = REGISTER_BYTES;
  readonly #device: VirtioDevice;
  readonly #ram: RamBytes;
  readonly #interrupt: VirtioInterrupt;
  readonly #report: (message: string) => void;
  readonly #runner: DeviceRunner;
  readonly #features: FeatureRegisters;
  readonly #queues: readonly QueueRegisters[];
  #queueSel = 0;
  #status = 0;
  #configGeneration = 0;
  #reports = 0;

  constructor(setup: MmioTransportSetup) {
    this.#device = setup.device;
    this.#ram = setup.ram;
    this.#interrupt = setup.interrupt;
    this.#report = (message) => setup.report(message);
    this.#runner = new DeviceRunner(setup.device, (error) => this.#needsReset(error));
    this.#features = new FeatureRegisters(setup.device.features);
    this.#queues = setup.device.queueSizes.map(() => new QueueRegisters());
  }

  /** What the device waits for; empty unless the driver is there. */
  get sources(): readonly PollSource[] {
    return this.#runner.sources;
  }

  /** A queue was notified, in whatever way: the device looks at all of them. */
  notify(): void {
    this.#runner.notify();
  }

  /** Before save(): nothing is in flight after it. Throws if the model cannot do that: go on with resume(). */
  pause(deadline: Deadline): void {
    this.#runner.pause(deadline);
  }

  /** After pause() or restore(). */
  resume(): void {
    this.#runner.resume();
  }

  /** What the host has failed, and the device keeps, is tried again. */
  retry(): void {
    this.#runner.retry();
  }

  /** The state of a paused device; one that runs gives something of the same shape that is of no use. */
  save(): VirtioState {
    return {
      deviceId: this.#device.deviceId,
      status: this.#status,
      features: this.#features.save(),
      queueSel: this.#queueSel,
      queues: this.#queues.map((queue) => queue.save()),
      positions: this.#runner.positions(),
      interruptStatus: this.#interrupt.status(),
      configGeneration: this.#configGeneration,
      device: this.#device.save(),
    };
  }

  /**
   * Takes over what save() gave on another host, and interrupts the guest again for what it has not acknowledged; the
   * device is paused until resume(). Only on a fresh one, which cannot be used if this throws: a PostcopyError, for state
   * that does not fit.
   */
  restore(state: unknown): void {
    const saved = checkVirtioState(state, this.#device);
    this.#status = saved.status;
    this.#features.restore(saved.features);
    this.#queueSel = saved.queueSel;
    this.#queues.forEach((queue, index) => queue.restore(saved.queues[index]!));
    this.#configGeneration = saved.configGeneration;
    this.#restoreDevice(saved);
    // Once too often is no harm; an interrupt that the irqchip did not have yet would be missing.
    this.#interrupt.setStatus(0);
    if (saved.interruptStatus !== 0) this.#interrupt.raise(saved.interruptStatus);
  }

  read(offset: number, size: number): number {
    if (offset >= REGISTER.config) return this.#readConfig(offset - REGISTER.config, size);
    // Registers are accessed whole (4.2.2.2).
    return size === REGISTER_BYTES ? this.#readRegister(offset) : 0;
  }

  write(offset: number, size: number, value: number): void {
    if (offset >= REGISTER.config) {
      this.#runner.guard(() => writeConfig(this.#device, offset - REGISTER.config, size, value));
    } else if (size === REGISTER_BYTES) {
      this.#writeRegister(offset, value);
    }
  }

  #restoreDevice(saved: VirtioState): void {
    try {
      this.#runner.restore(saved.device);
      if (isDriven(saved.status)) this.#runner.start(this.#session(saved.positions));
    } catch (error) {
      if (error instanceof PostcopyError) throw error;
      const type = this.#device.deviceId;
      throw new PostcopyError('BAD_PEER', `the state of a virtio device (type ${type}) cannot be used here`, error);
    }
  }

  #readConfig(offset: number, size: number): number {
    let value = 0;
    this.#runner.guard(() => (value = readConfig(this.#device, offset, size)));
    return value;
  }

  #readRegister(offset: number): number {
    switch (offset) {
      case REGISTER.magicValue:
        return MAGIC_VALUE;
      case REGISTER.version:
        return VERSION;
      case REGISTER.deviceId:
        return this.#device.deviceId;
      case REGISTER.vendorId:
        return VENDOR_ID;
      case REGISTER.deviceFeatures:
        return this.#features.readOffered();
      case REGISTER.queueNumMax:
        return this.#device.queueSizes[this.#queueSel] ?? 0;
      case REGISTER.queueReady:
        return this.#queues[this.#queueSel]?.ready === true ? 1 : 0;
      case REGISTER.interruptStatus:
        return this.#interrupt.status();
      case REGISTER.status:
        return this.#status;
      case REGISTER.shmLenLow:
      case REGISTER.shmLenHigh:
      case REGISTER.shmBaseLow:
      case REGISTER.shmBaseHigh:
        return NO_SHARED_MEMORY;
      case REGISTER.configGeneration:
        return this.#configGeneration;
      default:
        return 0;
    }
  }

  #writeRegister(offset: number, value: number): void {
    switch (offset) {
      case REGISTER.deviceFeaturesSel:
        this.#features.deviceFeaturesSel = value;
        break;
      case REGISTER.driverFeaturesSel:
        this.#features.driverFeaturesSel = value;
        break;
      case REGISTER.driverFeatures:
        // They cannot change any more once both sides have agreed (2.2.1).
        if ((this.#status & STATUS.featuresOk) === 0) this.#features.writeAccepted(value);
        break;
      case REGISTER.queueSel:
        this.#queueSel = value;
        break;
      case REGISTER.queueReady:
        this.#writeQueueReady(value);
        break;
      case REGISTER.queueNotify:
        this.notify();
        break;
      case REGISTER.interruptAck:
        this.#interrupt.setStatus(this.#interrupt.status() & ~value);
        break;
      case REGISTER.status:
        this.#writeStatus(value);
        break;
      default:
        this.#queues[this.#queueSel]?.write(offset, value);
    }
  }

  /** A queue can be taken away at any time, but not added once the driver has said that it is ready (3.1.1). */
  #writeQueueReady(value: number): void {
    const queue = this.#queues[this.#queueSel];
    if (value === 1 && queue !== undefined && !this.#runner.hasDriver) queue.ready = true;
    if (value !== 0 || queue === undefined) return;
    this.#runner.stopQueue(this.#queueSel);
    queue.ready = false;
  }

  /** The driver only ever adds bits, in the order of 3.1.1, or resets (2.1.1). */
  #writeStatus(value: number): void {
    if (value === 0) return this.#reset();
    const added = value & DRIVER_STATUS_BITS & ~this.#status;
    this.#status |= added & ~(STATUS.featuresOk | STATUS.driverOk);
    if ((added & STATUS.featuresOk) !== 0 && this.#features.acceptable) this.#status |= STATUS.featuresOk;
    if ((added & STATUS.driverOk) !== 0 && (this.#status & STATUS.featuresOk) !== 0) this.#driverOk();
  }

  #driverOk(): void {
    if ((this.#status & STATUS.deviceNeedsReset) !== 0) return;
    this.#status |= STATUS.driverOk;
    this.#runner.guard(() => this.#runner.start(this.#session()));
    this.notify();
  }

  /** All but ConfigGeneration, which has only to differ after a change. */
  #reset(): void {
    this.#status = 0;
    this.#features.reset();
    this.#queueSel = 0;
    for (const queue of this.#queues) queue.reset();
    this.#runner.reset();
    this.#interrupt.setStatus(0);
  }

  /** The device "MUST send a device configuration change notification" if DRIVER_OK is set (2.1.2). */
  #needsReset(error: unknown): void {
    this.#status |= STATUS.deviceNeedsReset;
    if ((this.#status & STATUS.driverOk) !== 0) this.#interrupt.raise(INTERRUPT_CONFIG_CHANGE);
    if (this.#reports++ >= REPORTS_MAX) return;
    this.#report(`a virtio device (type ${this.#device.deviceId}) waits for a reset: ${describeError(error)}`);
  }

  #session(positions?: readonly (QueuePosition | null)[]): SessionSetup {
    return {
      ram: this.#ram,
      features: this.#features.accepted,
      queues: this.#queues,
      queueSizes: this.#device.queueSizes,
      ...(positions === undefined ? {} : { positions }),
      usedBuffer: () => this.#interrupt.raise(INTERRUPT_USED_BUFFER),
      configChanged: () => {
        this.#configGeneration = (this.#configGeneration + 1) >>> 0;
        this.#interrupt.raise(INTERRUPT_CONFIG_CHANGE);
      },
    };
  }
}
