/** Disks on a file system that has no room left: the guest stops, and nothing of what it wrote is lost or failed. */
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { BlockDevice } from '../../src/devices/virtio/block/block-device.js';
import { HostErrorCount, HostErrors, type DiskFailure } from '../../src/devices/virtio/block/host-errors.js';
import { native, type NativeDisk } from '../../src/native.js';
import type { FakeRam } from '../unit/memory/fake-ram.js';
import { FakeRingDriver } from '../unit/devices/virtio/fake-ring-driver.js';
import { KIB, makeDirectory, makeMemory, MIB, openDisk, pattern } from './disks.js';
import { PATIENCE_MS } from './threads.js';

const DISK_BYTES = 8 * MIB;
const WRITE_BYTES = 256 * KIB;
const WRITES = DISK_BYTES / WRITE_BYTES;
const MANY_WRITES_AT_ONCE = 8;
const OUT = 1;
const OK = 0;

/** A sparse image that does not fit, and a file whose removal makes it fit. */
function crowdedStorage(): { image: string; makeRoom: () => void } {
  const directory = makeDirectory();
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_BYTES + MIB}`, 'none', directory]);
  onTestFinished(() => void execFileSync('umount', ['--lazy', directory]));
  const filler = join(directory, 'filler');
  writeFileSync(filler, new Uint8Array(DISK_BYTES / 2));
  const image = join(directory, 'disk.img');
  writeFileSync(image, '');
  truncateSync(image, DISK_BYTES);
  return { image, makeRoom: () => rmSync(filler) };
}

class Guest {
  readonly memory = makeMemory(128 * MIB);
  readonly stops: DiskFailure[] = [];
  readonly count = new HostErrorCount();
  device: BlockDevice;
  driver: FakeRingDriver;
  readonly statuses: number[] = [];
  #disk!: NativeDisk;

  constructor(readonly image: string) {
    this.device = this.#open();
    this.driver = new FakeRingDriver(this.device, { ram: this.memory as unknown as FakeRam });
    this.driver.start();
  }

  write(index: number): void {
    const header = new DataView(new ArrayBuffer(16));
    header.setUint32(0, OUT, true);
    header.setBigUint64(8, BigInt((index * WRITE_BYTES) / 512), true);
    this.driver.sides[0]!.add({
      readable: [new Uint8Array(header.buffer), pattern(WRITE_BYTES, index)],
      writable: [1],
    });
    if (this.driver.sides[0]!.wantsKick()) this.device.process();
  }

  /** Has the device do what it can do now. */
  settle(): void {
    const [source] = this.device.sources;
    const set = Int32Array.of(source!.fd, source!.events, 0);
    for (;;) {
      if (!this.#disk.waitIdle(PATIENCE_MS)) throw new Error('requests are still in flight');
      if (native.poll(set, 1, 0) === 0) return;
      source!.run(set[2]!);
      this.statuses.push(...this.driver.sides[0]!.collect().map(({ bytes }) => bytes[0]!));
    }
  }

  moveToAnotherDevice(): void {
    this.device = this.#open();
    this.driver = this.driver.moveTo(this.device);
  }

  #open(): BlockDevice {
    const hooks = { report: () => {}, stop: (failure: DiskFailure) => void this.stops.push(failure) };
    const errors = new HostErrors({ id: 'root', onError: undefined }, this.count, hooks);
    const disk = (this.#disk = openDisk(this.image));
    return new BlockDevice({ memory: this.memory, disk, id: 'root', readonly: false, bytes: disk.bytes, errors });
  }
}

it.each([
  ['on this host', false],
  ['on the host that it has moved to', true],
])('what did not fit is written when there is room again, %s', (_, moves) => {
  const { image, makeRoom } = crowdedStorage();
  const guest = new Guest(image);
  for (let index = 0; index < WRITES; index++) {
    guest.write(index);
    if (index % MANY_WRITES_AT_ONCE === 0 && guest.stops.length === 0) guest.settle();
  }
  guest.settle();
  expect(guest.stops).toEqual([{ id: 'root', error: 'no space left on device', kept: true }]);
  expect(guest.count.read()?.count).toBeGreaterThan(0);
  expect(guest.statuses.length).toBeLessThan(WRITES);
  guest.device.retry();
  guest.settle();
  expect(guest.stops.length, 'without room it stops again').toBe(2);
  if (moves) guest.moveToAnotherDevice();
  makeRoom();
  guest.device.retry();
  guest.settle();
  expect(guest.statuses).toEqual(new Array(WRITES).fill(OK));
  const written = readFileSync(image);
  for (let index = 0; index < WRITES; index++) {
    const found = written.subarray(index * WRITE_BYTES, (index + 1) * WRITE_BYTES);
    expect(Buffer.compare(found, pattern(WRITE_BYTES, index)), `write ${index}`).toBe(0);
  }
});
