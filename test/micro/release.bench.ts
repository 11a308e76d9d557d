/** The source gives back to the host what the destination has. */
import { BLOCK_PAGES, PAGE_SIZE } from '../../src/memory/page-size.js';
import { SourcePages } from '../../src/memory/page-states.js';
import { EXTENT_PAGES_MAX } from '../../src/migrate/wire/protocol.js';
import { BlockRelease } from '../../src/migrate/source/release.js';
import { native, type NativeMemory, type Userfaultfd } from '../../src/native.js';
import { openSmallPages } from './ram.js';
import { closeLater, stage } from './stage.js';

const BLOCKS = 4;
const PAGES = BLOCKS * BLOCK_PAGES;
const content = new Uint8Array(BLOCK_PAGES * PAGE_SIZE).fill(1);
let blocks: BlockRelease;

let large: NativeMemory;
stage('release: block of 512, huge page', {
  open: () => void (large = closeLater(new native.GuestMemory(PAGES * PAGE_SIZE, 'anonymous'))),
  prepare() {
    for (let page = 0; page < PAGES; page += BLOCK_PAGES) large.write(page * PAGE_SIZE, content);
    large.collapse(0, PAGES); // where the kernel has no huge page to give, this stage measures small ones
    blocks = offer(large);
  },
  run: acknowledge,
  operations: BLOCKS,
});

let small: { memory: NativeMemory; userfaultfd: Userfaultfd } | undefined;
function fillSmall(): NativeMemory {
  small ??= openSmallPages(PAGES);
  for (let page = 0; page < PAGES; page += BLOCK_PAGES) small.userfaultfd.copy(page, BLOCK_PAGES, content, 0);
  return small.memory;
}

stage('release: block of 512, 4 KiB pages', {
  prepare: () => void (blocks = offer(fillSmall())),
  run: acknowledge,
  operations: BLOCKS,
});

stage('release: 64 of 4 KiB', {
  prepare: () => void fillSmall(),
  run() {
    for (let page = 0; page < PAGES; page += EXTENT_PAGES_MAX) small!.memory.release(page, EXTENT_PAGES_MAX);
  },
  operations: PAGES / EXTENT_PAGES_MAX,
});

function offer(memory: NativeMemory): BlockRelease {
  const release = new BlockRelease(memory, new SourcePages(PAGES));
  release.offer(0, PAGES);
  return release;
}

/** By extents, as the destination does; the last of each block releases it. */
function acknowledge(): void {
  for (let page = 0; page < PAGES; page += EXTENT_PAGES_MAX) blocks.acknowledged(page, EXTENT_PAGES_MAX);
}
