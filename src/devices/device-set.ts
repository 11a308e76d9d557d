import { z } from 'zod';
import { PostcopyError } from '../errors.js';
import { COM1_PORT, COM1_PORTS, VIRTIO_GSIS, VIRTIO_MMIO_BYTES, VIRTIO_MMIO_START } from '../memory/layout.js';
import { AcpiPm, acpiPmStateSchema } from './acpi-pm.js';
import { Bus } from './bus.js';
import { CmosRtc, cmosRtcStateSchema } from './cmos-rtc.js';
import { Pvpanic, pvpanicStateSchema } from './pvpanic.js';
import type { Surroundings } from './surroundings.js';
import { ResetControl, resetControlStateSchema } from './reset-control.js';
import { Serial, serialStateSchema } from './serial.js';
import type { MmioTransport } from './virtio/mmio-transport.js';

export type { Surroundings } from './surroundings.js';

/** Version of DeviceState; a device that changes what it saves counts it up. */
const STATE_VERSION = 2;

const deviceStateSchema = z.strictObject({
  version: z.literal(STATE_VERSION),
  serial: serialStateSchema,
  acpiPm: acpiPmStateSchema,
  resetControl: resetControlStateSchema,
  cmosRtc: cmosRtcStateSchema,
  pvpanic: pvpanicStateSchema.optional(),
  /** In the order of their slots; each transport checks its own. */
  virtio: z.array(z.unknown()).max(VIRTIO_GSIS.length),
});

/** State of all devices as a plain object of numbers, booleans and arrays. */
export type DeviceState = z.infer<typeof deviceStateSchema>;

const QUADWORD_BYTES = 8;
const QUADWORD_ONES = 0xffff_ffff_ffff_ffffn;

/** All device models of a VM. For one thread, the device worker; every call finishes at once. */
export class DeviceSet {
  readonly #ports = new Bus();
  readonly #mmio = new Bus();
  readonly #serial: Serial;
  readonly #acpiPm: AcpiPm;
  readonly #resetControl: ResetControl;
  readonly #cmosRtc: CmosRtc;
  readonly #pvpanic: Pvpanic;
  readonly #virtio: readonly MmioTransport[];

  /** `virtio`: the devices behind the virtio-mmio slots, in order. */
  constructor(surroundings: Surroundings, virtio: readonly MmioTransport[] = []) {
    this.#serial = new Serial(surroundings);
    this.#acpiPm = new AcpiPm(surroundings);
    this.#resetControl = new ResetControl(surroundings);
    this.#cmosRtc = new CmosRtc(surroundings);
    this.#pvpanic = new Pvpanic(surroundings);
    this.#ports.add(COM1_PORT, COM1_PORTS, this.#serial);
    this.#acpiPm.addTo(this.#ports);
    this.#resetControl.addTo(this.#ports);
    this.#cmosRtc.addTo(this.#ports);
    this.#pvpanic.addTo(this.#ports);
    this.#virtio = virtio;
    virtio.forEach((transport, slot) =>
      this.#mmio.add(VIRTIO_MMIO_START + slot * VIRTIO_MMIO_BYTES, VIRTIO_MMIO_BYTES, transport),
    );
  }

  /** `size` is 1, 2 or 4. */
  portRead(port: number, size: number): number {
    return this.#ports.read(port, size);
  }

  portWrite(port: number, size: number, value: number): void {
    this.#ports.write(port, size, value);
  }

  /** A byte that a vCPU has read by what Surroundings.showSerial() showed. */
  portAnswered(port: number, value: number): void {
    this.#ports.answered(port, value);
  }

  /** `size` is 1, 2, 4 or 8; a bigint for 8 only. */
  mmioRead(address: number, size: number): number | bigint {
    return size === QUADWORD_BYTES ? QUADWORD_ONES : this.#mmio.read(address, size);
  }

  /** No device has registers of 8 bytes: such a write is lost. */
  mmioWrite(address: number, size: number, value: number | bigint): void {
    if (size < QUADWORD_BYTES) this.#mmio.write(address, size, Number(value));
  }

  /** Bytes for the guest's serial port; what is beyond serialInputSpace() is dropped. */
  serialInput(bytes: Uint8Array): void {
    this.#serial.input(bytes);
  }

  /** Bytes that serialInput() takes now. It grows when the guest reads, that is after a portRead() or portWrite(). */
  serialInputSpace(): number {
    return this.#serial.inputSpace;
  }

  pressPowerButton(): void {
    this.#acpiPm.pressPowerButton();
  }

  /** Milliseconds until a device has something to do by itself; Infinity if none has. */
  msToTimer(): number {
    return this.#cmosRtc.msToTimer();
  }

  /** Does what is due; early calls do no harm. */
  runTimers(): void {
    this.#cmosRtc.runTimers();
  }

  /**
   * With clocks as they were at that moment (Surroundings.nowMicros()). Changes nothing: the devices can go on if the
   * migration fails.
   */
  save(atMicros: number): DeviceState {
    const pvpanic = this.#pvpanic.save();
    return {
      version: STATE_VERSION,
      serial: this.#serial.save(),
      acpiPm: this.#acpiPm.save(atMicros),
      resetControl: this.#resetControl.save(),
      cmosRtc: this.#cmosRtc.save(),
      ...(pvpanic === undefined ? {} : { pvpanic }),
      virtio: this.#virtio.map((transport) => transport.save()),
    };
  }

  /**
   * After restore(): the clocks had the saved values at `atMicros` (Surroundings.nowMicros()), when the wall clock of the
   * guest's last host was `wallClockMs`, which may be unknown. They go on as if they had run ever since.
   */
  startClocks({ atMicros, wallClockMs }: { atMicros: number; wallClockMs: number | undefined }): void {
    this.#acpiPm.startClocks(atMicros);
    this.#cmosRtc.startClocks(atMicros, wallClockMs);
  }

  /**
   * Takes over saved state, and drives the interrupt lines: call it when the irqchip's state is set already.
   * Virtio devices stay as they are until they are notified. Throws BAD_PEER for state that is
   * none, REFUSED for that of other devices.
   */
  restore(state: unknown): void {
    const parsed = deviceStateSchema.safeParse(state);
    if (!parsed.success) throw unusable(parsed.error);
    const { virtio } = parsed.data;
    if (virtio.length !== this.#virtio.length) {
      throw unusable(new RangeError(`it has ${virtio.length} virtio devices; there are ${this.#virtio.length} here`));
    }
    try {
      this.#virtio.forEach((transport, slot) => transport.restore(virtio[slot]!));
    } catch (error) {
      throw error instanceof PostcopyError ? error : unusable(error);
    }
    this.#serial.restore(parsed.data.serial);
    this.#acpiPm.restore(parsed.data.acpiPm);
    this.#resetControl.restore(parsed.data.resetControl);
    this.#cmosRtc.restore(parsed.data.cmosRtc);
    this.#pvpanic.restore(parsed.data.pvpanic);
  }
}

function unusable(cause: unknown): PostcopyError {
  return new PostcopyError(
    'BAD_PEER',
    'the device state received cannot be used: use the same postcopy version on both hosts',
    cause,
  );
}
