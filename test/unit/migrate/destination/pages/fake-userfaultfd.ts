/** Guest RAM at the destination without a kernel behind it: faults come when the test says so, pages go into an array. */
import { PageBitmap } from '../../../../../src/memory/page-bitmap.js';
import { PAGE_SIZE } from '../../../../../src/memory/page-size.js';
import { DestinationPages } from '../../../../../src/memory/page-states.js';
import { Counters } from '../../../../../src/migrate/report/counters.js';
import { PageInstaller, type InstallerParts } from '../../../../../src/migrate/destination/pages/page-installer.js';
import { PendingFaults } from '../../../../../src/migrate/destination/pages/pending-faults.js';
import { WaitHistogram } from '../../../../../src/migrate/report/wait-histogram.js';
import type { Userfaultfd } from '../../../../../src/native.js';

type Call = [name: 'copy' | 'zero' | 'poison' | 'wake', first: number, count: number];

class FakeUserfaultfd {
  readonly fd: number;
  readonly ram: Buffer;
  readonly present = new Set<number>();
  /** In order. */
  readonly calls: Call[] = [];
  /** Pages that threads wait for and that have not been told of. */
  readonly faults: number[] = [];
  /** Pages that the host has memory for. */
  room = Infinity;
  /** Looks on when a call comes, before it does anything. */
  onCall: (...call: Call) => void = () => {};

  constructor(pages: number, fd = -1) {
    this.ram = Buffer.alloc(pages * PAGE_SIZE);
    this.fd = fd;
  }

  readFaults(into: Uint32Array): number {
    const told = this.faults.splice(0, into.length);
    into.set(told);
    return told.length;
  }

  copy(first: number, count: number, from: Uint8Array, offset: number): number {
    this.#called('copy', first, count);
    const pages = Math.min(count, this.room);
    this.ram.set(from.subarray(offset, offset + pages * PAGE_SIZE), first * PAGE_SIZE);
    return this.#put(first, count);
  }

  zero(first: number, count: number): number {
    this.#called('zero', first, count);
    return this.#put(first, count);
  }

  poison(first: number, count: number): number {
    this.#called('poison', first, count);
    return this.#put(first, count);
  }

  wake(first: number, count: number): void {
    this.#called('wake', first, count);
  }

  content(page: number): Buffer {
    return this.ram.subarray(page * PAGE_SIZE, (page + 1) * PAGE_SIZE);
  }

  /** RAM is as it was at first. */
  release(): void {
    this.ram.fill(0);
    this.present.clear();
  }

  #called(...call: Call): void {
    this.onCall(...call);
    this.calls.push(call);
  }

  #put(first: number, count: number): number {
    let fresh = 0;
    const pages = Math.min(count, this.room);
    this.room -= pages;
    for (let page = first; page < first + pages; page++) {
      if (!this.present.has(page)) fresh++;
      this.present.add(page);
    }
    if (pages < count) throw Object.assign(new Error('no memory'), { code: 'ENOMEM', pages, installed: fresh });
    return fresh;
  }
}

export interface Destination {
  userfaultfd: FakeUserfaultfd;
  /** As the installer's pages have it. */
  missing: PageBitmap;
  pending: PendingFaults;
  left: Int32Array;
  waits: WaitHistogram;
  counters: Counters;
  /** What is told to the main thread. */
  reports: string[];
  /** Of the installer. */
  parts: InstallerParts;
  installer: PageInstaller;
  /** These pages are to come. */
  expectPages(first: number, count: number): void;
  /** The installer of another channel. */
  another(): PageInstaller;
}

export function fakeDestination(pages: number, fd?: number): Destination {
  const userfaultfd = new FakeUserfaultfd(pages, fd);
  const states = new DestinationPages(pages);
  const missing = new PageBitmap(pages, states.maps.missing);
  const left = new Int32Array(states.maps.left);
  const reports: string[] = [];
  const shared = { userfaultfd: userfaultfd as unknown as Userfaultfd, pages: states, pending: new PendingFaults() };
  const create = (parts: InstallerParts) =>
    new PageInstaller(parts, {
      allInstalled: () => reports.push('all-installed'),
      memoryShort: () => reports.push('memory-short'),
      pageLost: (page) => reports.push(`page ${page} is lost`),
    });
  const [counters, waits] = [new Counters(), new WaitHistogram()];
  const parts = { ...shared, counters, waits };
  return {
    ...{ userfaultfd, missing, left, reports, counters, waits },
    pending: shared.pending,
    parts,
    installer: create(parts),
    expectPages: (first, count) => states.expect(first, count),
    another: () => create({ ...shared, counters: new Counters(), waits: new WaitHistogram() }),
  };
}
