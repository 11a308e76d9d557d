/** The push looks whether pages are zeroes: it reads them up to the first byte that is none. */
import { PAGE_SIZE } from '../../src/memory/page-size.js';
import { EXTENT_PAGES_MAX } from '../../src/migrate/wire/protocol.js';
import type { NativeMemory } from '../../src/native.js';
import { COLD_PAGES, openColdRam } from './ram.js';
import { stage } from './stage.js';

const RUNS = 16;

for (const [kind, firstByte] of [
  ['of data from the first byte on', 0],
  ['of data in the last byte only', PAGE_SIZE - 1],
  ['of zeroes', undefined],
] as const) {
  let memory: NativeMemory;
  let first = 0;
  stage(`zeroRun: 64 ${kind}`, {
    open() {
      const page = new Uint8Array(PAGE_SIZE);
      if (firstByte !== undefined) page[firstByte] = 1;
      memory = openColdRam(page);
    },
    run() {
      for (let i = 0; i < RUNS; i++, first = (first + EXTENT_PAGES_MAX) % COLD_PAGES) {
        memory.zeroRun(first, EXTENT_PAGES_MAX);
      }
    },
    operations: RUNS,
  });
}
