/**
 * Takes vCPU exits from the exit queue and gives each to the device that owns its address. Runs on the device worker,
 * one exit at a time, so devices need no locks.
 */
import type { ExitQueue } from '../native.js';
import type { BearableErrors } from './bearable-errors.js';

/** struct ExitRecord in native/kvm/exit_queue.h, little-endian. */
const RECORD_BYTES = 32;
const RECORD = { vcpu: 0, kind: 4, isWrite: 8, size: 12, address: 16, data: 24 } as const;
const KIND_PORT = 1;
const KIND_MMIO = 2;
const KIND_STOPPED = 3;
const KIND_PORT_ANSWERED = 4;

/** Exits taken at a time. */
const BATCH = 64;
/** What vCPUs that have parked can have left in the queue, kMaxPosted in native/kvm/exit_queue.h, and some more. */
const DRAIN_BATCHES = 16;
/** What a vCPU reads where no device answers. */
const ONES = 0xffff_ffff;

export interface DeviceBus {
  portRead(port: number, size: number): number;
  portWrite(port: number, size: number, value: number): void;
  /** A byte that the vCPU has read already. */
  portAnswered(port: number, value: number): void;
  mmioRead(address: number, size: number): number | bigint;
  mmioWrite(address: number, size: number, value: number | bigint): void;
}

/** A vCPU that cannot go on: the KVM exit reason (0xffffffff: KVM_RUN itself failed, detail is the errno). */
export interface VcpuStop {
  vcpu: number;
  reason: number;
  detail: number;
}

export class ExitDispatch {
  readonly #records = new Uint8Array(BATCH * RECORD_BYTES);
  readonly #view = new DataView(this.#records.buffer);

  constructor(
    readonly queue: ExitQueue,
    readonly bus: DeviceBus,
    readonly stopped: (stop: VcpuStop) => void,
    readonly errors: BearableErrors,
  ) {}

  /** Handles what waits, one batch of it: a guest that never pauses must not keep the device worker. True if it was full. */
  run(): boolean {
    const count = this.queue.take(this.#records);
    for (let at = 0; at < count * RECORD_BYTES; at += RECORD_BYTES) this.#handle(at);
    return count === BATCH;
  }

  /** Handles all that parked vCPUs have posted. vCPUs that run, and post more all the time, are no obstacle. */
  drain(): void {
    for (let batches = 0; batches < DRAIN_BATCHES && this.run(); batches++);
  }

  #handle(at: number): void {
    const view = this.#view;
    const vcpu = view.getUint32(at + RECORD.vcpu, true);
    const kind = view.getUint32(at + RECORD.kind, true);
    const address = Number(view.getBigUint64(at + RECORD.address, true));
    if (kind === KIND_STOPPED) {
      this.stopped({ vcpu, reason: address, detail: Number(view.getBigUint64(at + RECORD.data, true)) });
    } else {
      this.#access(at, kind, vcpu, address);
    }
  }

  /** A vCPU whose access fails goes on, as if nobody had been there. */
  #access(at: number, kind: number, vcpu: number, address: number): void {
    try {
      if (kind === KIND_PORT) this.#port(at, vcpu, address);
      else if (kind === KIND_MMIO) this.#mmio(at, vcpu, address);
      else if (kind === KIND_PORT_ANSWERED)
        this.bus.portAnswered(address, this.#view.getUint32(at + RECORD.data, true));
      this.errors.wentWell();
    } catch (error) {
      this.errors.bear(`access to 0x${address.toString(16)}`, error);
      const waits = kind !== KIND_PORT_ANSWERED && this.#view.getUint32(at + RECORD.isWrite, true) === 0;
      if (waits) this.queue.complete(vcpu, ONES, ONES);
    }
  }

  #port(at: number, vcpu: number, port: number): void {
    const size = this.#view.getUint32(at + RECORD.size, true);
    if (this.#view.getUint32(at + RECORD.isWrite, true) !== 0) {
      this.bus.portWrite(port, size, this.#view.getUint32(at + RECORD.data, true));
    } else {
      this.queue.complete(vcpu, this.bus.portRead(port, size) >>> 0, 0);
    }
  }

  #mmio(at: number, vcpu: number, address: number): void {
    const size = this.#view.getUint32(at + RECORD.size, true);
    if (this.#view.getUint32(at + RECORD.isWrite, true) !== 0) {
      const raw = this.#view.getBigUint64(at + RECORD.data, true);
      this.bus.mmioWrite(address, size, size > 4 ? raw : Number(raw & 0xffffffffn));
    } else {
      const value = BigInt.asUintN(64, BigInt(this.bus.mmioRead(address, size)));
      this.queue.complete(vcpu, Number(value & 0xffffffffn), Number(value >> 32n));
    }
  }
}
