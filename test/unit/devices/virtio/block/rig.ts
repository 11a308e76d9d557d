import type { Segment } from '../../../../../src/devices/virtio/segment.js';
import { writeSegments } from '../../../../../src/devices/virtio/segment.js';
import { HostErrorCount, HostErrors, type DiskFailure } from '../../../../../src/devices/virtio/block/host-errors.js';
import type { DiskErrorAction } from '../../../../../src/configure/disk.js';
import { BlockDevice } from '../../../../../src/devices/virtio/block/block-device.js';
import type { NativeMemory } from '../../../../../src/native.js';
import { FakeRam } from '../../../memory/fake-ram.js';
import { FakeDriver, FakeQueue } from '../fake-driver.js';
import { FakeDisk } from './fake-disk.js';

export const SECTORS = 64;
const STATUS_NOT_WRITTEN = 0xee;

export interface Parts {
  type: number;
  sector?: number | bigint;
  out?: Uint8Array;
  inBytes?: number;
  /** Lengths of the readable segments, header included, and of the writable ones with the status; one of each if not given. */
  readableCuts?: number[];
  writableCuts?: number[];
}

/** A device with its driver, over RAM and a disk of 64 sectors. */
export class Rig {
  readonly ram = new FakeRam(1 << 24);
  readonly memory = this.ram as unknown as NativeMemory;
  readonly disk = new FakeDisk(SECTORS * 512);
  readonly queue = new FakeQueue();
  readonly device: BlockDevice;
  #next = 4096;
  readonly #chains = new Map<number, Segment[]>();

  /** What the operator was told, and what stopped the guest. */
  readonly reports: string[] = [];
  readonly stops: DiskFailure[] = [];
  readonly errorCount = new HostErrorCount();

  constructor(options: { readonly?: boolean; features?: bigint; id?: string; onError?: DiskErrorAction } = {}) {
    const { readonly = false, id = 'disk0' } = options;
    const errors = new HostErrors({ id, onError: options.onError }, this.errorCount, {
      report: (text) => void this.reports.push(text),
      stop: (failure) => void this.stops.push(failure),
    });
    this.device = new BlockDevice({ memory: this.memory, disk: this.disk, id, readonly, bytes: SECTORS * 512, errors });
    this.device.start(new FakeDriver([this.queue], options.features ?? this.device.features));
  }

  /** Makes a request available; its head. */
  add({ type, sector = 0, out = new Uint8Array(0), inBytes = 0, readableCuts, writableCuts }: Parts): number {
    const bytes = new Uint8Array(16 + out.length);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, type, true);
    view.setUint32(4, 0xffffffff, true); // reserved
    view.setBigUint64(8, BigInt(sector), true);
    bytes.set(out, 16);
    const readable = this.segments(readableCuts ?? [bytes.length]);
    writeSegments(this.ram, readable, bytes);
    const writable = this.segments(writableCuts ?? [inBytes + 1]);
    const status = writable.at(-1)!;
    this.ram.write(status.ramOffset + status.length - 1, Uint8Array.of(STATUS_NOT_WRITTEN));
    return this.addChain(readable, writable);
  }

  addChain(readable: Segment[], writable: Segment[]): number {
    const head = this.queue.add(readable, writable);
    this.#chains.set(head, writable);
    return head;
  }

  /** Scattered over RAM, with a gap before each. */
  segments(lengths: number[]): Segment[] {
    return lengths.map((length) => {
      const segment = { ramOffset: this.#next + 3, length };
      this.#next += length + 7;
      return segment;
    });
  }

  /** Adds it, has the disk end everything, and gives its status. */
  run(parts: Parts): number {
    const head = this.add(parts);
    this.device.process();
    while (this.disk.waiting.length > 0) this.disk.end(0);
    this.poll();
    return this.status(head);
  }

  poll(): void {
    for (const source of this.device.sources) source.run(1);
  }

  /** Of a request that was returned. */
  status(head: number): number {
    const last = this.#chains.get(head)!.at(-1)!;
    return this.bytes([{ ramOffset: last.ramOffset + last.length - 1, length: 1 }])[0]!;
  }

  /** The writable bytes but for the status. */
  dataIn(head: number): Uint8Array {
    return this.bytes(this.#chains.get(head)!).slice(0, -1);
  }

  bytes(segments: readonly Segment[]): Uint8Array {
    return Uint8Array.from(
      segments.flatMap(({ ramOffset, length }) => {
        const part = new Uint8Array(length);
        this.ram.read(ramOffset, part);
        return [...part];
      }),
    );
  }
}

export function range(sector: number | bigint, sectors: number, flags = 0): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(sector), true);
  view.setUint32(8, sectors, true);
  view.setUint32(12, flags, true);
  return bytes;
}
