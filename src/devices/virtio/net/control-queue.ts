import type { RamBytes } from '../../../memory/guest-memory.js';
import { readSegments, writeSegments } from '../segment.js';
import type { DeviceQueue } from '../virtio-device.js';

/** struct virtio_net_ctrl (virtio 1.2, 5.1.6.5): class and command, then data; a byte for the answer. */
const COMMAND_BYTES = 2;
const VIRTIO_NET_OK = 0;
const VIRTIO_NET_ERR = 1;
const VIRTIO_NET_CTRL_ANNOUNCE = 3;
const VIRTIO_NET_CTRL_ANNOUNCE_ACK = 0;

/** Commands of the driver. Of what the features offered allow, there is but the answer to an announcement. */
export class ControlQueue {
  readonly #ram: RamBytes;
  readonly #queue: DeviceQueue;
  readonly #announceAck: () => boolean;
  readonly #command = new Uint8Array(COMMAND_BYTES);

  /** `announceAck`: the driver has announced itself; false if nothing of the kind was negotiated. */
  constructor(ram: RamBytes, queue: DeviceQueue, announceAck: () => boolean) {
    this.#ram = ram;
    this.#queue = queue;
    this.#announceAck = announceAck;
  }

  /** No more than the queue holds: the driver sees none returned before all are. */
  run(): void {
    for (let chain = this.#queue.pop(); chain !== undefined; chain = this.#queue.pop()) {
      const complete = readSegments(this.#ram, chain.readable, this.#command) === COMMAND_BYTES;
      const done = complete && this.#execute(this.#command[0]!, this.#command[1]!);
      const answer = Uint8Array.of(done ? VIRTIO_NET_OK : VIRTIO_NET_ERR);
      this.#queue.push(chain.head, writeSegments(this.#ram, chain.writable, answer));
    }
    this.#queue.signal();
  }

  #execute(commandClass: number, command: number): boolean {
    if (commandClass !== VIRTIO_NET_CTRL_ANNOUNCE || command !== VIRTIO_NET_CTRL_ANNOUNCE_ACK) return false;
    return this.#announceAck();
  }
}
