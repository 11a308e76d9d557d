/**
 * A rehearsal for page workers: both ends of both channels, in one thread, move a few pages back and forth before there
 * is a VM. The code that faults and the push run is compiled then, and not while a guest waits for it: cold, it takes
 * several times as long, and its compilation takes the cores that move the pages.
 */
import { PAGE_SIZE } from '../../memory/page-size.js';
import { DestinationPages, SourcePages } from '../../memory/page-states.js';
import { native, type NativeMemory, type Socket, type Userfaultfd } from '../../native.js';
import { serveChannels, type ChannelTask } from '../../threads/channel-loop.js';
import { auto } from '../prefetch/auto.js';
import { FaultTrail } from '../prefetch/fault-trail.js';
import { RecentPages } from '../prefetch/recent-pages.js';
import { RateLimit } from '../flow/rate-limit.js';
import { Counters } from '../report/counters.js';
import { BulkReceiver } from '../destination/pages/bulk-receiver.js';
import { FaultHandler } from '../destination/pages/fault-handler.js';
import { PageInstaller, type InstallerParts } from '../destination/pages/page-installer.js';
import { PendingFaults } from '../destination/pages/pending-faults.js';
import { UrgentSupply } from '../destination/pages/urgent-supply.js';
import { GoSignal } from '../../threads/go-signal.js';
import { REHEARSES } from '../../threads/rehearses.js';
import { BackgroundPush } from '../source/background-push.js';
import { PageServer } from '../source/page-server.js';
import { BlockRelease } from '../source/release.js';
import { RoundSignal } from '../source/round-signal.js';
import { SentPages } from '../source/sent-pages.js';
import type { SourceChannel } from '../source/source-channel.js';
import { WaitHistogram } from '../report/wait-histogram.js';

const PAGES = 256;
/** Runs of two pages, so that little is copied for much code. */
const RUN = 2;
const ROUNDS = 200;
/** An emulated host would take many seconds for them. */
const LONGEST_MICROS = 500_000;
/** Of the runs, one of so many is asked for instead of pushed. */
const FAULT_ONE_OF = 4;

interface Stage {
  source: NativeMemory;
  destination: NativeMemory;
  content: Uint8Array;
  userfaultfd: Userfaultfd;
  urgent: [Socket, Socket];
  bulk: [Socket, Socket];
}

/** Takes what is to be closed at the end. */
type Keep = <T extends { close(): void }>(resource: T) => T;

export function rehearsePages(): void {
  const kept: { close(): void }[] = [];
  const keep: Keep = (resource) => {
    kept.push(resource);
    return resource;
  };
  try {
    const stage = setStage(keep);
    const end = native.monotonicMicros() + LONGEST_MICROS;
    for (let round = 0; round < ROUNDS && native.monotonicMicros() < end; round++) moveOnce(stage, round);
  } finally {
    for (const resource of kept.reverse()) resource.close();
  }
}

/** What a host lacks for it, userfaultfd for one, is told when it is needed: a source does without. */
export function rehearsePagesIfPossible(): void {
  if (!REHEARSES) return;
  try {
    rehearsePages();
  } catch {
    // cold, then
  }
}

function setStage(keep: Keep): Stage {
  const memory = () => keep(new native.GuestMemory(PAGES * PAGE_SIZE, 'anonymous'));
  const destination = memory();
  const userfaultfd = keep(new native.Userfaultfd(destination));
  userfaultfd.register(0, PAGES, false);
  const content = new Uint8Array(PAGES * PAGE_SIZE);
  return { source: memory(), destination, content, userfaultfd, urgent: pair(keep), bulk: pair(keep) };
}

function pair(keep: Keep): [Socket, Socket] {
  const [a, b] = native.socketPair();
  return [keep(new native.Socket('adopt', a)), keep(new native.Socket('adopt', b))];
}

/** Pages of zeroes, which are told and not sent, in some rounds. */
function fill({ source, destination, content }: Stage, round: number): void {
  for (let page = 0; page < PAGES; page += 2 * RUN) {
    content.fill(round % 4 === 3 && page % (4 * RUN) === 0 ? 0 : 1, page * PAGE_SIZE, (page + RUN) * PAGE_SIZE);
  }
  source.write(0, content);
  destination.release(0, PAGES);
}

function moveOnce(stage: Stage, round: number): void {
  fill(stage, round);
  const signal = new GoSignal();
  signal.handOver();
  const rounds = new RoundSignal();
  const pages = new SourcePages(PAGES);
  const coming = new DestinationPages(PAGES);
  const blocks = new BlockRelease(stage.source, pages);
  const trail = new FaultTrail();
  const recent = new RecentPages(PAGES);
  recent.add(Uint32Array.of(PAGES / 2, PAGES / 4));
  for (let first = 0; first < PAGES; first += 2 * RUN) {
    blocks.offer(first, RUN);
    coming.expect(first, RUN);
  }
  const sender = (socket: Socket): SourceChannel => {
    const sent = new SentPages(blocks);
    return {
      memory: stage.source,
      socket,
      pages,
      trail,
      recent,
      signal,
      rounds,
      counters: new Counters(),
      limit: new RateLimit(),
      sent,
      tellsLost: true,
    };
  };
  const pending = new PendingFaults();
  // The true userfaultfd has no faults here; with the pretended one alone, the code would not fit the true one.
  const userfaultfd = round % 2 === 0 ? stage.userfaultfd : pretendedFaults();
  const parts = (): InstallerParts => {
    return { userfaultfd, pages: coming, pending, waits: new WaitHistogram(), counters: new Counters() };
  };
  const installer = () =>
    new PageInstaller(parts(), { allInstalled: () => {}, memoryShort: () => {}, pageLost: () => {} });
  const tasks = [
    new FaultHandler(parts(), new UrgentSupply(stage.urgent[0], installer(), signal), signal),
    new BulkReceiver(stage.bulk[0], installer(), signal),
    new PageServer(sender(stage.urgent[1])),
    new BackgroundPush(sender(stage.bulk[1]), auto),
  ];
  serveChannels([...tasks, new StopWhenIdle(coming, signal)], signal, -1);
}

/** Ends the round when no page is left and nobody has anything to do: what was on its way has arrived. */
class StopWhenIdle implements ChannelTask {
  constructor(
    readonly pages: DestinationPages,
    readonly signal: GoSignal,
  ) {}

  step(): boolean {
    return false;
  }

  sources(): void {
    if (this.pages.left === 0) this.signal.stop();
  }

  idle(): void {}
}

/** Reports a page as touched now and then; installs nowhere. */
function pretendedFaults(): Userfaultfd {
  let next = 0;
  const installed = (_first: number, count: number) => count;
  return {
    fd: -1, // which poll(2) passes over
    readFaults(into: Uint32Array): number {
      if (next >= PAGES) return 0;
      into[0] = next;
      next += 2 * RUN * FAULT_ONE_OF;
      return 1;
    },
    copy: installed,
    zero: installed,
    wake: () => {},
  } as unknown as Userfaultfd;
}
