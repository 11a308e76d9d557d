/** Two guests' interfaces with real TAP devices in one bridge. */
import { describe, expect, it, onTestFinished } from 'vitest';
import { NetDevice } from '../../src/devices/virtio/net/net-device.js';
import type { Driver } from '../../src/devices/virtio/virtio-device.js';
import { native, type NativeTap } from '../../src/native.js';
import { FakeQueue } from '../unit/devices/virtio/net/fake-queue.js';
import { HEADER_BYTES, isOurs, makeBridge, openTap, freshName, ourFrame } from './host-bridge.js';
import { isTcp, tcpFrame } from './tcp-frame.js';

const MIB = 0x100000;
const BUFFERS = 256;

class Guest implements Driver {
  readonly memory = new native.GuestMemory(64 * MIB, 'anonymous');
  readonly device: NetDevice;
  readonly features: bigint;
  readonly queues = [0, 1, 2].map((n) => new FakeQueue(this.memory, n * 16 * MIB));
  configChanges = 0;

  constructor(
    readonly tap: NativeTap,
    mac: string,
    readonly bufferSizes: number[],
  ) {
    onTestFinished(() => this.memory.close());
    this.device = new NetDevice({ memory: this.memory, tap, mac, mtu: 1500 });
    this.features = this.device.features;
    this.device.start(this);
    this.device.process();
  }

  configChanged(): void {
    this.configChanges++;
  }

  send(...parts: Uint8Array[]): void {
    this.queues[1]!.add(parts);
    this.device.process();
  }

  /** Frames that are there now, put together from their buffers. */
  receive(): Uint8Array[] {
    const queue = this.queues[0]!;
    const chains = Array.from({ length: BUFFERS }, () => queue.add([], this.bufferSizes));
    queue.used.length = 0;
    this.device.process();
    for (;;) {
      const [source] = this.device.sources;
      const set = Int32Array.of(source!.fd, source!.events, 0);
      if (native.poll(set, 1, 50) === 0) break;
      source!.run(set[2]!);
    }
    const byHead = new Map(chains.map((chain) => [chain.head, chain]));
    const frames: number[][] = [];
    let buffers = 0;
    for (const { head, written } of queue.used) {
      const bytes = queue.contents(byHead.get(head)!, written);
      if (buffers === 0) {
        frames.push([]);
        buffers = bytes[10]! + 256 * bytes[11]!;
      }
      frames.at(-1)!.push(...bytes);
      buffers--;
    }
    expect(buffers).toBe(0);
    return frames.map((bytes) => Uint8Array.from(bytes));
  }
}

function guests(...bufferSizes: number[]): [Guest, Guest] {
  const bridge = makeBridge();
  const [a, b] = [openTap(freshName(), bridge), openTap(freshName(), bridge)];
  return [new Guest(a, '02:00:00:00:00:01', bufferSizes), new Guest(b, '02:00:00:00:00:02', bufferSizes)];
}

/** With no header: the kernel writes what it found. */
const bodies = (frames: Uint8Array[], wanted: (frame: Uint8Array) => boolean) =>
  frames.filter(wanted).map((frame) => Buffer.from(frame.subarray(HEADER_BYTES)).toString('hex'));

describe.each([[[2048]], [[12, 700]], [[100, 1, 99]]])('buffers of %j', (sizes) => {
  it('carry frames of all sizes', () => {
    const [one, two] = guests(...sizes);
    const frames = [0, 1, 45, 46, 173, 174, 699, 700, 701, 1000, 1486].map((length, n) =>
      ourFrame(1, ...Array.from({ length }, (_, i) => (i + n) & 0xff)),
    );
    for (const frame of frames) one.send(frame.subarray(0, 5), frame.subarray(5, 20), frame.subarray(20));
    expect(bodies(two.receive(), isOurs)).toEqual(bodies(frames, () => true));
    expect(one.queues[1]!.inFlight).toBe(0);
  });

  it('carry segments as large as TCP makes them', () => {
    const [one, two] = guests(...sizes);
    const frame = tcpFrame(30_000, 1448);
    one.send(frame.subarray(0, HEADER_BYTES), frame.subarray(HEADER_BYTES));
    expect(bodies(two.receive(), isTcp)).toEqual(bodies([frame], () => true));
  });
});

it('an announcement reaches the others', () => {
  const [one, two] = guests(2048);
  one.device.announce();
  const isRarp = (frame: Uint8Array) => frame[HEADER_BYTES + 12] === 0x80 && frame[HEADER_BYTES + 13] === 0x35;
  expect(two.receive().filter(isRarp)).toHaveLength(1);
  expect(one.configChanges).toBe(1);
});

it('a frame that nobody can send harms nobody', () => {
  const [one, two] = guests(2048);
  const bad = tcpFrame(3000, 1448);
  bad[HEADER_BYTES + 14] = 0xff; // no IPv4 header
  one.send(bad);
  one.send(ourFrame(1, 1));
  expect(one.queues[1]!.used).toHaveLength(2);
  expect(bodies(two.receive(), isOurs)).toHaveLength(1);
  expect(one.device.sources[0]!.events).toBe(0);
});
