/**
 * Guest RAM of this host. A VM that boots takes its memory bit by bit, and untouched RAM may well be promised twice: it is
 * refused only what can never be had, and the operator is warned of the rest. A VM that comes brings its content: it is
 * refused what is not there now, because a page that finds no place here is lost.
 */
import { formatSize } from '../basics/size.js';
import { harmlessly } from '../basics/harmless.js';
import { PostcopyError } from '../errors.js';
import { MIB } from '../memory/page-size.js';
import { promiseMemory, type MemoryPromise } from './memory-ledger.js';
import { memoryRooms, type MemoryRoom, type ReadText } from './memory-rooms.js';

/** What a process needs besides guest RAM: its heaps and threads, socket buffers, and page tables by the size of RAM. */
const PROCESS_BYTES = 64 * MIB;
const TABLES_SHARE = 1 / 256;

/** For a VM that boots here. `warn` is told what it may come to lack. */
export function promiseToBoot(
  memoryBytes: number,
  warn: (text: string) => void,
  read?: ReadText,
): Promise<MemoryPromise> {
  return promiseMemory(
    memoryBytes,
    (promised) =>
      shortages(memoryBytes, promised, read).forEach((shortage) =>
        warn(`the guest may run out of memory: it has ${shortage}`),
      ),
    ledgerProblem,
  );
}

/** For a VM that comes here. Throws HOST_LACKS if not all of it can be had now. */
export function promiseToReceive(memoryBytes: number, read?: ReadText): Promise<MemoryPromise> {
  return promiseMemory(
    memoryBytes,
    (promised) => {
      const short = shortages(memoryBytes, promised, read);
      if (short.length > 0)
        throw new PostcopyError('HOST_LACKS', short.map((shortage) => `it has ${shortage}`).join('; '));
    },
    ledgerProblem,
  );
}

/** What is too small for it, in words. */
function shortages(memoryBytes: number, promised: (room: MemoryRoom) => number, read?: ReadText): string[] {
  const needed = memoryBytes + PROCESS_BYTES + Math.ceil(memoryBytes * TABLES_SHARE);
  return memoryRooms(read).flatMap((room) => {
    const others = promised(room);
    if (room.available - others >= needed) return [];
    const less = others > 0 ? `, less ${formatSize(others)} that other VMs may still use` : '';
    const of = room.limit === undefined ? '' : ` of ${formatSize(room.limit)}`;
    return [
      `${formatSize(memoryBytes)} of RAM and needs ${formatSize(needed)}; ` +
        `${room.where} has ${formatSize(room.available)}${of} available${less}`,
    ];
  });
}

/** VMs come and go without the ledger as well. */
function ledgerProblem(error: unknown): void {
  harmlessly('writing down how much memory VMs were promised', () => {
    throw error;
  });
}
