/**
 * What it costs to know which pages are written, by userfaultfd: to begin, to ask, and to write the first time after that. The
 * writer is this process; what a vCPU's write costs more is KVM's own. Linux 6.7.
 */
import { BLOCK_PAGES, GIB, MIB, PAGE_SIZE, pagesFor } from '../../src/memory/page-size.js';
import { native, type NativeDirtyLog, type NativeMemory } from '../../src/native.js';
import { closeLater, isRehearsal, stage } from './stage.js';

const byte = Uint8Array.of(1);

/** Full, of small pages: the log breaks huge ones at the first write. */
function openFull(pages: number): NativeMemory {
  const memory = closeLater(new native.GuestMemory(pages * PAGE_SIZE, 'anonymous'));
  const block = new Uint8Array(BLOCK_PAGES * PAGE_SIZE).fill(1);
  for (let page = 0; page < pages; page += BLOCK_PAGES) memory.write(page * PAGE_SIZE, block);
  return memory;
}

function openLog(memory: NativeMemory): NativeDirtyLog {
  const log = new native.DirtyLog('userfaultfd', memory);
  closeLater({ close: () => log.end() });
  return log;
}

const ROUND_PAGES = pagesFor((isRehearsal ? 16 : 256) * MIB);

/** Every `step`th page. */
function writeSome(memory: NativeMemory, step: number): void {
  for (let page = 0; page < ROUND_PAGES; page += step) memory.write(page * PAGE_SIZE, byte);
}

for (const [written, step] of [
  ['1 %', 100],
  ['50 %', 2],
] as const) {
  let memory: NativeMemory;
  let log: NativeDirtyLog;
  const open = () => {
    memory = openFull(ROUND_PAGES);
    log = openLog(memory);
    log.collectNow();
  };
  stage(`dirty log: a round of ${ROUND_PAGES / 256} MiB, ${written} written`, {
    open,
    prepare: () => writeSome(memory, step),
    run: () => void log.collectNow(),
    share: 0.1,
  });
  stage(`dirty log: a page's first write in a round, ${written} written`, {
    open,
    prepare: () => void log.collectNow(),
    run: () => writeSome(memory, step),
    operations: Math.ceil(ROUND_PAGES / step),
    share: 0.1,
  });
}

/** The first answer protects all that is there, as begin() does. */
{
  let memory: NativeMemory;
  let log: NativeDirtyLog;
  const bytes = isRehearsal ? 16 * MIB : GIB;
  stage(`dirty log: begin, ${bytes / MIB} MiB of huge pages`, {
    open: () => void (memory = openFull(pagesFor(bytes))),
    prepare: () => void (log = new native.DirtyLog('userfaultfd', memory)),
    run: () => void log.collectNow(),
    settle: () => log.end(),
    share: 0.1,
  });
  stage(`dirty log: end, ${bytes / MIB} MiB of huge pages`, {
    open: () => void (memory = openFull(pagesFor(bytes))),
    prepare() {
      log = new native.DirtyLog('userfaultfd', memory);
      log.collectNow();
    },
    run: () => log.end(),
    share: 0.1,
  });
}
