/** Guest RAM of benchmarks. Closed when all stages of the file have run. */
import { MIB, PAGE_SIZE, pagesFor } from '../../src/memory/page-size.js';
import { native, type NativeMemory, type Userfaultfd } from '../../src/native.js';
import { closeLater, isRehearsal } from './stage.js';

/** More than a cache holds, but in a rehearsal: pages that are sent or looked at were written long ago. */
export const COLD_PAGES = pagesFor((isRehearsal ? 8 : 256) * MIB);

/** `page`: what every page holds. */
export function openColdRam(page: Uint8Array): NativeMemory {
  const memory = closeLater(new native.GuestMemory(COLD_PAGES * PAGE_SIZE, 'anonymous'));
  for (let i = 0; i < COLD_PAGES; i++) memory.write(i * PAGE_SIZE, page);
  return memory;
}

/** Anonymous RAM whose pages come by userfaultfd: they are 4 KiB pages, and do not become huge ones by themselves. */
export function openSmallPages(pages: number): { memory: NativeMemory; userfaultfd: Userfaultfd } {
  const memory = closeLater(new native.GuestMemory(pages * PAGE_SIZE, 'anonymous'));
  const userfaultfd = closeLater(new native.Userfaultfd(memory));
  userfaultfd.register(0, pages, false);
  return { memory, userfaultfd };
}
