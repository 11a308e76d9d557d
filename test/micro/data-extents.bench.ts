/** Which pages of a guest hold data: asked twice in a migration, the second time while the guest stands still. */
import { GIB, MIB, PAGE_SIZE, pagesFor } from '../../src/memory/page-size.js';
import { native, type NativeMemory } from '../../src/native.js';
import { openSmallPages } from './ram.js';
import { closeLater, isRehearsal, stage } from './stage.js';

/** A rehearsal does with less RAM. */
const PAGES = pagesFor(isRehearsal ? 16 * MIB : GIB);
const WRITE_PAGES = 512;
const content = new Uint8Array(WRITE_PAGES * PAGE_SIZE).fill(1);

function openEmpty(): NativeMemory {
  return closeLater(new native.GuestMemory(PAGES * PAGE_SIZE, 'anonymous'));
}

function openFull(): NativeMemory {
  const memory = openEmpty();
  for (let page = 0; page < PAGES; page += WRITE_PAGES) memory.write(page * PAGE_SIZE, content);
  return memory;
}

/** The worst case: as many extents as there can be. */
function openAlternating(): NativeMemory {
  const { memory, userfaultfd } = openSmallPages(PAGES);
  for (let page = 0; page < PAGES; page += 2) userfaultfd.copy(page, 1, content, 0);
  return memory;
}

for (const [kind, open] of [
  ['empty', openEmpty],
  ['full of huge pages', openFull],
  ['every second page of 4 KiB', openAlternating],
] as const) {
  let memory: NativeMemory;
  stage(`dataExtents: 1 GiB, ${kind}`, {
    open: () => void (memory = open()),
    run: () => void memory.dataExtents(0, PAGES),
    share: 0.1,
  });
}

/** A guest that has given pages back: huge pages with holes between them. */
const HOLES = isRehearsal ? 4 : 2000;
const HOLE_PAGES = 8;
{
  const known = Uint32Array.from({ length: 2 * HOLES }, (_, i) => {
    const each = PAGES / HOLES;
    return i % 2 === 0 ? Math.floor((i / 2) * each) : Math.floor(each) - HOLE_PAGES;
  });
  let memory: NativeMemory;
  stage(`dataExtentsOutside: 1 GiB, ${HOLES} holes`, {
    open: () => void (memory = openEmpty()),
    run: () => void memory.dataExtentsOutside(known),
    share: 0.1,
  });
}
