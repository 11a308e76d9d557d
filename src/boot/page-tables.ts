import { viewOf } from '../memory/byte-view.js';
import type { GuestMemory } from '../memory/guest-memory.js';
import { HOLE_END, PAGE_TABLES_ADDRESS, PAGE_TABLES_BYTES } from '../memory/layout.js';
import { GIB, LARGE_PAGE_SIZE, PAGE_SIZE } from '../memory/page-size.js';

// Intel SDM vol. 3, tables 4-15 to 4-18.
const PRESENT = 1 << 0;
const WRITABLE = 1 << 1;
const PAGE_SIZE_BIT = 1 << 7;
const ENTRY_BYTES = 8;
const ENTRIES = PAGE_SIZE / ENTRY_BYTES;

/**
 * Identity map of the first 4 GiB with 2 MiB pages: the 64-bit boot protocol wants at least the kernel, boot_params and
 * the command line; the initrd may be anywhere below the hole. Returns the address for CR3.
 */
export function writePageTables(memory: GuestMemory): number {
  const tables = new Uint8Array(PAGE_TABLES_BYTES);
  const view = viewOf(tables);
  const table = (number: number): number => PAGE_TABLES_ADDRESS + number * PAGE_SIZE;
  const set = (tableNumber: number, index: number, address: number, flags: number): void =>
    view.setBigUint64(tableNumber * PAGE_SIZE + index * ENTRY_BYTES, BigInt(address) + BigInt(flags), true);

  set(0, 0, table(1), PRESENT | WRITABLE);
  const directories = HOLE_END / GIB;
  for (let gib = 0; gib < directories; gib++) {
    set(1, gib, table(2 + gib), PRESENT | WRITABLE);
    for (let index = 0; index < ENTRIES; index++) {
      set(2 + gib, index, gib * GIB + index * LARGE_PAGE_SIZE, PRESENT | WRITABLE | PAGE_SIZE_BIT);
    }
  }
  memory.write(PAGE_TABLES_ADDRESS, tables);
  return PAGE_TABLES_ADDRESS;
}
