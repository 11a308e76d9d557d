/**
 * A rehearsal for page workers: both ends of both channels, in one thread, move a few pages back and forth before there
 * is a VM. The code that faults and the push run is compiled then, and not while a guest waits for it: cold, it takes
 * several times as long, and its compilation takes the cores that move the pages.
 */
import { PageBitmap } from '../memory/page-bitmap.js';
import { PAGE_SIZE } from '../memory/page-size.js';
import { native, type NativeMemory, type Socket, type Userfaultfd } from '../native.js';
import { Counters } from './counters.js';
import { BulkReceiver } from './destination/pages/bulk-receiver.js';
import { FaultHandler } from './destination/pages/fault-handler.js';
import { PageInstaller } from './destination/pages/page-installer.js';
import { PendingFaults } from './destination/pages/pending-faults.js';
import { LinkSwitch } from './link-switch.js';
import { BackgroundPush } from './source/background-push.js';
import { PageServer } from './source/page-server.js';
import { BlockRelease } from './source/release.js';
import { SentPages } from './source/sent-pages.js';
import { WaitHistogram } from './wait-histogram.js';

const PAGES = 256;
/** Runs of two pages, so that little is copied for much code. */
const RUN = 2;
const ROUNDS = 60;
/** Of the runs, one of so many is asked for instead of pushed. */
const FAULT_ONE_OF = 4;

interface Bench {
  memory: NativeMemory;
  urgent: [Socket, Socket];
  bulk: [Socket, Socket];
}

export function rehearsePages(): void {
  const bench: Bench = { memory: new native.GuestMemory(PAGES * PAGE_SIZE, 'anonymous'), urgent: pair(), bulk: pair() };
  try {
    const content = new Uint8Array(PAGE_SIZE).fill(1);
    for (let round = 0; round < ROUNDS; round++) {
      // Odd pages hold zeroes in some rounds: told, not sent.
      for (let page = 0; page < PAGES; page += round % 4 === 3 ? 2 : 1) bench.memory.write(page * PAGE_SIZE, content);
      moveOnce(bench);
    }
  } finally {
    for (const socket of [...bench.urgent, ...bench.bulk]) socket.close();
    bench.memory.close();
  }
}

function pair(): [Socket, Socket] {
  const [a, b] = native.socketPair();
  return [new native.Socket('adopt', a), new native.Socket('adopt', b)];
}

function moveOnce({ memory, urgent, bulk }: Bench): void {
  const link = new LinkSwitch();
  link.handOver();
  const unsent = new PageBitmap(PAGES);
  const missing = new PageBitmap(PAGES);
  const left = new Int32Array(new SharedArrayBuffer(4));
  const blocks = new BlockRelease(memory, PAGES);
  for (let first = 0; first < PAGES; first += 2 * RUN) {
    blocks.add(first, RUN);
    unsent.setRange(first, RUN);
    left[0]! += missing.setRange(first, RUN);
  }
  const source = (socket: Socket) => ({
    ...{ memory, socket, unsent, link, counters: new Counters(), sent: new SentPages(blocks) },
  });
  const pending = new PendingFaults();
  const installer = () =>
    new PageInstaller(
      {
        userfaultfd: pretendedFaults(),
        ...{ missing, pending, left, waits: new WaitHistogram(), counters: new Counters() },
      },
      () => {},
    );
  const faults = new FaultHandler(urgent[0], installer(), link);
  const tasks = [faults, new PageServer(source(urgent[1])), new BackgroundPush(source(bulk[1]))];
  const receiver = new BulkReceiver(bulk[0], installer(), link);
  while (left[0]! > 0) {
    for (const task of tasks) task.step();
    while (receiver.step());
  }
  faults.idle();
  // What is still on its way is for this round's objects: END, and the last acknowledgements.
  for (const task of [...tasks, receiver, ...tasks, receiver]) while (task.step());
}

/** Reports a page as touched now and then; installs nowhere. */
function pretendedFaults(): Userfaultfd {
  let next = 0;
  const installed = (_first: number, count: number) => count;
  return {
    readFaults(into: Uint32Array): number {
      if (next >= PAGES) return 0;
      into[0] = next;
      next += 2 * RUN * FAULT_ONE_OF;
      return 1;
    },
    copy: installed,
    zero: installed,
    continue: installed,
    wake: () => {},
  } as unknown as Userfaultfd;
}
