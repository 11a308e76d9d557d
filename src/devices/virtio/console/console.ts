import { z } from 'zod';
import type { RamBytes } from '../../../memory/guest-memory.js';
import { POLLIN, POLLOUT } from '../../../native.js';
import type { PollSource } from '../../poll-source.js';
import { readSegments, segmentsLength, sliceSegments, writeSegments, type Segment } from '../segment.js';
import type { DescriptorChain, DeviceQueue, Driver, VirtioDevice } from '../virtio-device.js';
import type { ConsoleLine } from './console-line.js';

/** Console Device (virtio 1.2, 5.3) with one port: hvc0 in Linux. */
const DEVICE_ID = 3;
const [RECEIVEQ, TRANSMITQ] = [0, 1];
/** Linux keeps the receive queue full with buffers of a page each. */
const QUEUE_SIZE = 64;

const OUTPUT_BYTES = 16 * 1024;
/** Of one chain, whose descriptors may name far more than all of RAM. What is beyond is dropped: no driver sends it. */
const MOST_OUTPUT = 1024 * 1024;

/** Neither input nor output is kept here: input is taken from the host only into a buffer of the driver's. */
const stateSchema = z.strictObject({ version: z.literal(1) });
export type ConsoleState = z.infer<typeof stateSchema>;

export class VirtioConsole implements VirtioDevice {
  readonly deviceId = DEVICE_ID;
  /** Neither SIZE (nobody tells the size of the terminal), nor MULTIPORT, nor EMERG_WRITE. */
  readonly features = 0n;
  readonly queueSizes = [QUEUE_SIZE, QUEUE_SIZE];
  readonly sources: readonly PollSource[];
  readonly #ram: RamBytes;
  readonly #line: ConsoleLine;
  readonly #output = new Uint8Array(OUTPUT_BYTES);
  #driver: Driver | undefined;
  /** A buffer of the driver's that waits for input. */
  #buffer: DescriptorChain | undefined;

  constructor(ram: RamBytes, line: ConsoleLine) {
    this.#ram = ram;
    this.#line = line;
    this.sources = [this.#source()];
  }

  /** Each of its fields belongs to a feature that is not offered (5.3.4). */
  config(): Uint8Array {
    return new Uint8Array(0);
  }

  start(driver: Driver): void {
    this.#driver = driver;
  }

  process(): void {
    this.#transmit(this.#driver?.queues[TRANSMITQ]);
    this.#takeBuffer(this.#driver?.queues[RECEIVEQ]);
  }

  reset(): void {
    this.#driver = undefined;
    this.#buffer = undefined;
  }

  /** Input that waits stays with the host, in the line. */
  pause(): void {
    if (this.#buffer !== undefined) this.#driver?.queues[RECEIVEQ]?.unpop(1);
    this.#buffer = undefined;
    this.#line.flush();
  }

  save(): ConsoleState {
    return { version: 1 };
  }

  restore(state: unknown): void {
    stateSchema.parse(state);
  }

  #source(): PollSource {
    const events = (): number => this.#events();
    const line = this.#line;
    return {
      fd: line.fd,
      get events() {
        return events();
      },
      run: () => {
        line.flush();
        this.#receive(this.#driver?.queues[RECEIVEQ]);
      },
    };
  }

  #events(): number {
    if (!this.#line.open) return 0;
    return (this.#buffer !== undefined ? POLLIN : 0) | (this.#line.blocked ? POLLOUT : 0);
  }

  /** One buffer; poll() tells when there is more input. */
  #receive(queue: DeviceQueue | undefined): void {
    const buffer = this.#buffer;
    if (buffer === undefined || queue === undefined) return;
    const input = this.#line.read(segmentsLength(buffer.writable));
    if (input === undefined) return;
    this.#buffer = undefined;
    queue.push(buffer.head, writeSegments(this.#ram, buffer.writable, input));
    queue.signal();
    this.#takeBuffer(queue);
  }

  /** Signals last: a driver that got its chains back one by one could add them again for ever. */
  #takeBuffer(queue: DeviceQueue | undefined): void {
    let returned = 0;
    while (queue !== undefined && this.#buffer === undefined) {
      const chain = queue.pop();
      if (chain === undefined) break;
      if (chain.writable.length > 0) {
        this.#buffer = chain;
      } else {
        queue.push(chain.head, 0); // no place for input: nothing to keep it for
        returned++;
      }
    }
    if (returned > 0) queue?.signal();
  }

  #transmit(queue: DeviceQueue | undefined): void {
    if (queue === undefined) return;
    let sent = 0;
    for (let chain = queue.pop(); chain !== undefined; chain = queue.pop()) {
      this.#send(chain.readable);
      queue.push(chain.head, 0);
      sent++;
    }
    if (sent > 0) queue.signal();
  }

  #send(readable: readonly Segment[]): void {
    for (let sent = 0; sent < MOST_OUTPUT; sent += OUTPUT_BYTES) {
      const bytes = readSegments(this.#ram, sliceSegments(readable, sent), this.#output);
      if (bytes === 0) return;
      this.#line.write(this.#output.subarray(0, bytes));
    }
  }
}
