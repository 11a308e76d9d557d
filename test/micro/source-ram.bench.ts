/** What the source asks of its RAM: which pages hold data, which of them zeroes, and to have it back. */
import { PAGE_SIZE, pagesFor, GIB, MIB } from '../../src/memory/page-size.js';
import { BLOCK_PAGES, BlockRelease } from '../../src/migrate/source/release.js';
import { native, type NativeMemory, type Userfaultfd } from '../../src/native.js';
import { closeLater, isRehearsal, stage } from './stage.js';

const EXTENT = 64;
const BLOCKS = 4;
const PAGES = BLOCKS * BLOCK_PAGES;
const content = new Uint8Array(BLOCK_PAGES * PAGE_SIZE).fill(1);

let memory: NativeMemory;
let userfaultfd: Userfaultfd | undefined;

/** `small`: userfaultfd installs 4 KiB pages, and none of them becomes part of a huge one by itself. */
function open(small: boolean): void {
  memory = closeLater(new native.GuestMemory(PAGES * PAGE_SIZE, 'anonymous'));
  userfaultfd = small ? closeLater(new native.Userfaultfd(memory)) : undefined;
  userfaultfd?.register(0, PAGES, false);
}

function fill(): void {
  for (let page = 0; page < PAGES; page += BLOCK_PAGES) {
    if (userfaultfd !== undefined) userfaultfd.copy(page, BLOCK_PAGES, content, 0);
    else memory.write(page * PAGE_SIZE, content);
  }
}

for (const kind of ['huge page', '4 KiB pages'] as const) {
  let blocks: BlockRelease;
  stage(`release: block of 512, ${kind}`, {
    open: () => open(kind === '4 KiB pages'),
    prepare() {
      fill();
      // Where the kernel has no huge page to give, this measures small ones.
      if (kind === 'huge page') memory.collapse(0, PAGES);
      blocks = new BlockRelease(memory, PAGES);
      blocks.add(0, PAGES);
    },
    run() {
      for (let page = 0; page < PAGES; page += EXTENT) blocks.acknowledged(page, EXTENT);
    },
    operations: BLOCKS,
  });
}

stage('release: 64 of 4 KiB', {
  open: () => open(true),
  prepare: fill,
  run() {
    for (let page = 0; page < PAGES; page += EXTENT) memory.release(page, EXTENT);
  },
  operations: PAGES / EXTENT,
});

/** More than a cache holds: a page that is looked at was written long ago. */
const COLD_PAGES = pagesFor((isRehearsal ? 8 : 256) * MIB);
const RUNS = 16;

/** Data is told by the first of its bytes that is none, so by how much of a page must be read for it. */
for (const [kind, firstByte] of [
  ['of data from the first byte on', 0],
  ['of data in the last byte only', PAGE_SIZE - 1],
  ['of zeroes', undefined],
] as const) {
  let ram: NativeMemory;
  let first = 0;
  stage(`zeroRun: 64 ${kind}`, {
    open() {
      ram = closeLater(new native.GuestMemory(COLD_PAGES * PAGE_SIZE, 'anonymous'));
      const page = new Uint8Array(PAGE_SIZE);
      if (firstByte !== undefined) page[firstByte] = 1;
      for (let i = 0; i < COLD_PAGES; i++) ram.write(i * PAGE_SIZE, page);
    },
    run() {
      for (let i = 0; i < RUNS; i++, first = (first + EXTENT) % COLD_PAGES) ram.zeroRun(first, EXTENT);
    },
    operations: RUNS,
  });
}

/** A rehearsal does with less RAM. */
const SPACE = pagesFor(isRehearsal ? 16 * MIB : GIB);

for (const kind of ['empty', 'full of huge pages', 'every second page of 4 KiB'] as const) {
  let space: NativeMemory;
  stage(`dataExtents: 1 GiB, ${kind}`, {
    open() {
      space = closeLater(new native.GuestMemory(SPACE * PAGE_SIZE, 'anonymous'));
      if (kind === 'full of huge pages') {
        for (let page = 0; page < SPACE; page += BLOCK_PAGES) space.write(page * PAGE_SIZE, content);
      } else if (kind !== 'empty') {
        const fault = closeLater(new native.Userfaultfd(space));
        fault.register(0, SPACE, false);
        for (let page = 0; page < SPACE; page += 2) fault.copy(page, 1, content, 0);
      }
    },
    run: () => void space.dataExtents(0, SPACE),
    share: 0.1,
  });
}
