/**
 * A page's whole way through the code that moves it. Both ends run in this thread, as in rehearse-pages.ts, but over TCP:
 * nobody is woken but the thread that faults.
 */
import { beforeAll } from 'vitest';
import { PAGE_SIZE } from '../../src/memory/page-size.js';
import { DestinationPages, SourcePages } from '../../src/memory/page-states.js';
import { serveChannels, type ChannelTask } from '../../src/threads/channel-loop.js';
import type { PollSet } from '../../src/threads/poll-set.js';
import { FaultTrail } from '../../src/migrate/prefetch/fault-trail.js';
import { inOrder } from '../../src/migrate/prefetch/in-order.js';
import { RecentPages } from '../../src/migrate/prefetch/recent-pages.js';
import { RateLimit } from '../../src/migrate/flow/rate-limit.js';
import { Counters } from '../../src/migrate/report/counters.js';
import { BulkReceiver } from '../../src/migrate/destination/pages/bulk-receiver.js';
import { FaultHandler } from '../../src/migrate/destination/pages/fault-handler.js';
import { PageInstaller } from '../../src/migrate/destination/pages/page-installer.js';
import { PendingFaults } from '../../src/migrate/destination/pages/pending-faults.js';
import { UrgentSupply } from '../../src/migrate/destination/pages/urgent-supply.js';
import { GoSignal } from '../../src/threads/go-signal.js';
import { BackgroundPush } from '../../src/migrate/source/background-push.js';
import { PageServer } from '../../src/migrate/source/page-server.js';
import { BlockRelease } from '../../src/migrate/source/release.js';
import { RoundSignal } from '../../src/migrate/source/round-signal.js';
import { SentPages } from '../../src/migrate/source/sent-pages.js';
import { WaitHistogram } from '../../src/migrate/report/wait-histogram.js';
import { native, POLLIN, type NativeMemory, type Userfaultfd } from '../../src/native.js';
import { openChannel, type Channel } from './channel.js';
import { closeLater, stage } from './stage.js';
import { Toucher } from './workers.js';

const FAULTS = 64;
const PUSHED = 1024;
/** Of a push between whose runs is as much that others have sent. */
const [LONG_RUN, SHORT_RUN] = [64, 1];
const RAM_PAGES = 2 * PUSHED;
const content = new Uint8Array(RAM_PAGES * PAGE_SIZE).fill(1);
let source: NativeMemory;
let destination: NativeMemory;
let userfaultfd: Userfaultfd;
let toucher: Toucher;

beforeAll(async () => {
  source = closeLater(new native.GuestMemory(RAM_PAGES * PAGE_SIZE, 'anonymous'));
  destination = closeLater(new native.GuestMemory(RAM_PAGES * PAGE_SIZE, 'anonymous'));
  toucher = closeLater(await Toucher.start(destination));
  userfaultfd = closeLater(new native.Userfaultfd(destination));
  userfaultfd.register(0, RAM_PAGES, false);
  closeLater({ close: () => channel?.close() });
});

/** Of the sample under way. A new one each time: what one sample acknowledges last would be wrong in the next. */
let channel: Channel | undefined;
let signal: GoSignal;
let coming: DestinationPages;
let tasks: ChannelTask[];

type Kind = 'urgent' | 'bulk';

/** `run`: pages in a row that move, and then as many that do not; all of them if there is none. */
function openMove(kind: Kind, pages: number, faults: Userfaultfd, run?: number): void {
  const runs = runsOf(pages, run);
  const size = run === undefined ? pages : 2 * pages;
  source.write(0, content.subarray(0, size * PAGE_SIZE));
  destination.release(0, size);
  signal = new GoSignal();
  signal.handOver();
  channel = openChannel();
  tasks = [openDestination(kind, channel, size, runs, faults), openSource(kind, channel, size, runs)];
}

type Runs = readonly (readonly [first: number, pages: number])[];

function runsOf(pages: number, run = pages): Runs {
  return Array.from({ length: pages / run }, (_, i) => [2 * i * run, run] as const);
}

function openDestination(kind: Kind, { destination: socket }: Channel, pages: number, runs: Runs, faults: Userfaultfd) {
  coming = new DestinationPages(pages);
  for (const [first, count] of runs) coming.expect(first, count);
  const own = { pending: new PendingFaults(), waits: new WaitHistogram(), counters: new Counters() };
  const parts = { userfaultfd: faults, pages: coming, ...own };
  const installer = new PageInstaller(parts, { allInstalled: () => {}, memoryShort: () => {}, pageLost: () => {} });
  return kind === 'urgent'
    ? new FaultHandler(parts, new UrgentSupply(socket, installer, signal), signal)
    : new BulkReceiver(socket, installer, signal);
}

function openSource(kind: Kind, { source: socket }: Channel, pages: number, runs: Runs) {
  const states = new SourcePages(pages);
  const blocks = new BlockRelease(source, states);
  for (const [first, count] of runs) blocks.offer(first, count);
  const sent = new SentPages(blocks);
  const sourceChannel = {
    memory: source,
    socket,
    pages: states,
    trail: new FaultTrail(),
    recent: new RecentPages(0),
    limit: new RateLimit(),
    signal,
    rounds: new RoundSignal(),
    counters: new Counters(),
    sent,
    tellsLost: true,
  };
  return kind === 'urgent' ? new PageServer(sourceChannel, 0) : new BackgroundPush(sourceChannel, inOrder);
}

function serveUntil(isOver: () => boolean, fd?: number): void {
  serveChannels([...tasks, new StopWhen(isOver, signal, fd)], signal, -1);
}

function closeMove(): void {
  channel?.close();
  if (coming.left !== 0) throw new Error(`${coming.left} pages did not come`);
}

const allInstalled = () => coming.left === 0;

/** Read, requested, looked up, sent, received, installed: all of it without waking anybody. */
stage('round trip: a fault, all in 1 thread', {
  prepare: () => openMove('urgent', FAULTS, pretendedFaults()),
  run: () => serveUntil(allInstalled),
  settle: closeMove,
  operations: FAULTS,
});

/** As the thread sees it that faults: it touches the next page when it has the one before. */
stage('round trip: a fault of another thread', {
  prepare: () => openMove('urgent', FAULTS, userfaultfd),
  run() {
    toucher.touch(0, FAULTS);
    serveUntil(() => toucher.done, toucher.doneFd);
  },
  settle() {
    toucher.waitDone();
    closeMove();
  },
  operations: FAULTS,
});

/** Claimed, looked at for zeroes, sent, received, installed, acknowledged, and released but for the last block. */
stage('round trip: a page of the push, all in 1 thread', {
  prepare: () => openMove('bulk', PUSHED, userfaultfd),
  run: () => serveUntil(allInstalled),
  settle: closeMove,
  operations: PUSHED,
});

for (const run of [LONG_RUN, SHORT_RUN]) {
  stage(`round trip: a page of a push in runs of ${run}, all in 1 thread`, {
    prepare: () => openMove('bulk', PUSHED, userfaultfd, run),
    run: () => serveUntil(allInstalled),
    settle: closeMove,
    operations: PUSHED,
  });
}

/** Ends the loop in its turn after the others. `fd`, if any, is readable then. */
class StopWhen implements ChannelTask {
  constructor(
    readonly isOver: () => boolean,
    readonly signal: GoSignal,
    readonly fd = -1,
  ) {}

  step(): boolean {
    if (this.isOver()) this.signal.stop();
    return false;
  }

  sources(set: PollSet): void {
    set.add(this.fd, POLLIN);
  }

  idle(): void {}
}

/** Reports the next page as touched when the one before is there; installs where the true one does. */
function pretendedFaults(): Userfaultfd {
  let next = 0;
  return {
    fd: -1, // which poll(2) passes over
    readFaults(into: Uint32Array): number {
      if (next === FAULTS || next > FAULTS - coming.left) return 0;
      into[0] = next++;
      return 1;
    },
    copy: (first: number, count: number, from: Uint8Array, offset: number) =>
      userfaultfd.copy(first, count, from, offset),
  } as unknown as Userfaultfd;
}
