/**
 * A fault's whole way: read, requested, looked up, sent, received, installed. Both ends run in this thread, so one page
 * is on its way at a time and nobody is woken but the thread that faults.
 */
import { beforeAll } from 'vitest';
import { PageBitmap } from '../../src/memory/page-bitmap.js';
import { PAGE_SIZE } from '../../src/memory/page-size.js';
import { putSource, serveChannels, type ChannelTask } from '../../src/migrate/channel-loop.js';
import { Counters } from '../../src/migrate/counters.js';
import { FaultHandler } from '../../src/migrate/destination/pages/fault-handler.js';
import { PageInstaller } from '../../src/migrate/destination/pages/page-installer.js';
import { PendingFaults } from '../../src/migrate/destination/pages/pending-faults.js';
import { LinkSwitch } from '../../src/migrate/link-switch.js';
import { PageServer } from '../../src/migrate/source/page-server.js';
import { BlockRelease } from '../../src/migrate/source/release.js';
import { SentPages } from '../../src/migrate/source/sent-pages.js';
import { WaitHistogram } from '../../src/migrate/wait-histogram.js';
import { native, POLLIN, type NativeMemory, type Userfaultfd } from '../../src/native.js';
import { openChannel, type Channel } from './channel.js';
import { closeLater, stage } from './stage.js';
import { Toucher } from './workers.js';

const PAGES = 64;
const content = new Uint8Array(PAGES * PAGE_SIZE).fill(1);
let source: NativeMemory;
let destination: NativeMemory;
let userfaultfd: Userfaultfd;
let toucher: Toucher;
let channel: Channel;

beforeAll(async () => {
  source = closeLater(new native.GuestMemory(PAGES * PAGE_SIZE, 'anonymous'));
  destination = closeLater(new native.GuestMemory(PAGES * PAGE_SIZE, 'anonymous'));
  toucher = closeLater(await Toucher.start(destination));
  userfaultfd = closeLater(new native.Userfaultfd(destination));
  userfaultfd.register(0, PAGES, false);
});

interface Move {
  tasks: ChannelTask[];
  link: LinkSwitch;
  left: Int32Array;
}

/** A channel of its own each time: the last RECEIVED of one move would be a wrong one in the next. */
function openMove(faults: Userfaultfd): Move {
  channel = openChannel();
  source.write(0, content);
  destination.release(0, PAGES);
  const link = new LinkSwitch();
  link.handOver();
  const missing = new PageBitmap(PAGES);
  const unsent = new PageBitmap(PAGES);
  const left = Int32Array.of(missing.setRange(0, PAGES));
  unsent.setRange(0, PAGES);
  const blocks = new BlockRelease(source, PAGES);
  blocks.add(0, PAGES);
  const parts = { missing, pending: new PendingFaults(), waits: new WaitHistogram(), counters: new Counters() };
  const installer = new PageInstaller({ userfaultfd: faults, left, ...parts }, () => {});
  const sent = new SentPages(blocks);
  const sourceChannel = { memory: source, socket: channel.source, unsent, link, counters: new Counters(), sent };
  const tasks = [new FaultHandler(channel.destination, installer, link), new PageServer(sourceChannel)];
  return { tasks, link, left };
}

function closeMove({ left }: Move): void {
  channel.close();
  if (left[0] !== 0) throw new Error(`${left[0]} pages did not come`);
}

let move: Move;

stage('round trip: a fault that nobody waits for, 1 thread', {
  prepare: () => void (move = openMove(pretendedFaults(() => move.left[0]!))),
  run: () => serveChannels([...move.tasks, new StopWhen(() => move.left[0] === 0, move.link)], move.link, -1, 0),
  settle: () => closeMove(move),
  operations: PAGES,
});

/** As the thread that faults sees it: it touches the next page when it has the one before. */
stage('round trip: a thread that faults', {
  prepare: () => void (move = openMove(userfaultfd)),
  run() {
    toucher.touch(0, PAGES);
    serveChannels([...move.tasks, new StopWhen(() => toucher.done, move.link, toucher.doneFd)], move.link, -1, 0);
  },
  settle() {
    toucher.waitDone();
    closeMove(move);
  },
  operations: PAGES,
});

/** Ends the loop in its turn after the others. `fd`, if any, is readable then. */
class StopWhen implements ChannelTask {
  constructor(
    readonly isOver: () => boolean,
    readonly link: LinkSwitch,
    readonly fd = -1,
  ) {}

  step(): boolean {
    if (this.isOver()) this.link.stop();
    return false;
  }

  sources(set: Int32Array, at: number): number {
    return putSource(set, at, this.fd, POLLIN);
  }

  idle(): void {}
}

/** Reports the next page as touched when the one before is there; installs where the true one does. */
function pretendedFaults(left: () => number): Userfaultfd {
  let next = 0;
  return {
    fd: -1, // which poll(2) passes over
    readFaults(into: Uint32Array): number {
      if (next === PAGES || next > PAGES - left()) return 0;
      into[0] = next++;
      return 1;
    },
    copy: (first: number, count: number, from: Uint8Array, offset: number) =>
      userfaultfd.copy(first, count, from, offset),
  } as unknown as Userfaultfd;
}
