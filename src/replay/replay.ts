/**
 * A migration in simulated time, from the moment in which the guest goes on at the destination: a policy pushes pages, by
 * the window that the true push keeps to, and the vCPUs of a trace touch theirs. What is true here is the plan, the window
 * and the books of the source; what is reckoned is the time that all takes (model.ts). Nothing but the model's own delays
 * comes between: no other guest, and no host that is busy.
 */
import { PushDepth } from '../migrate/flow/push-depth.js';
import { planWorkers } from '../migrate/link/worker-plan.js';
import type { PrefetchName } from '../migrate/options.js';
import { planNamed } from '../migrate/prefetch/choose.js';
import { FIRST_REQUESTS, GROUP_PAGES } from '../migrate/prefetch/first-requests.js';
import type { Extent, PagePlan } from '../migrate/prefetch/page-plan.js';
import { RecentPages } from '../migrate/prefetch/recent-pages.js';
import type { Trace } from '../migrate/prefetch/trace.js';
import { WriteHistory } from '../migrate/prefetch/write-history.js';
import { EXTENT_HEADER_BYTES, PAGE_FRAME_BYTES } from '../migrate/wire/page-frames.js';
import { ExtentOutbox } from '../migrate/wire/page-outbox.js';
import { PageBitmap } from '../memory/page-bitmap.js';
import { bytesOfPages } from '../memory/page-size.js';
import { SourcePages } from '../memory/page-states.js';
import { Agenda } from './agenda.js';
import { Guest } from './guest.js';
import type { Model } from './model.js';
import { outcomeOf, type Outcome, type PushedRun } from './outcome.js';
import { Waits } from './waits.js';
import { Wire, Worker } from './worker.js';

/** A trace of touches, and if it is known what the guest has written before: the spans of it, as WriteHistory takes them. */
export type ReplayedTrace = Trace & { written?: readonly Uint32Array[] };

/** Of the policies, `recent` alone has watched the guest. */
export function replay(trace: ReplayedTrace, prefetch: PrefetchName, model: Model): Outcome {
  return new Replay(trace, prefetch, model).run();
}

function recentOf({ pages, written = [] }: ReplayedTrace, prefetch: PrefetchName): RecentPages {
  const recent = new RecentPages(pages);
  const history = new WriteHistory(pages);
  if (prefetch === 'recent') for (const span of written) history.add(span);
  history.tell(recent);
  return recent;
}

class Replay {
  readonly #agenda = new Agenda();
  readonly #waits = new Waits();
  readonly #unsent: SourcePages;
  readonly #missing: PageBitmap;
  readonly #plan: PagePlan;
  readonly #planned: Extent = { first: 0, pages: 0 };
  readonly #depth = new PushDepth();
  readonly #guest: Guest;
  readonly #wire: Wire;
  /** Those that serve faults, and those that push; one of each end does both where CPUs are few. */
  readonly #server: Worker;
  readonly #pusher: Worker;
  readonly #handler: Worker;
  readonly #receiver: Worker;
  readonly #pushed: PushedRun[] = [];
  #pushing = false;
  /** Of the push: pages installed. */
  #received = 0;
  #requests = 0;
  #left: number;
  #endAt = 0;

  constructor(
    readonly trace: ReplayedTrace,
    prefetch: PrefetchName,
    readonly model: Model,
  ) {
    this.#unsent = new SourcePages(trace.pages);
    this.#missing = new PageBitmap(trace.pages);
    this.#left = 0;
    for (let i = 0; i < trace.extents.length; i += 2) {
      const [first, count] = [trace.extents[i] as number, trace.extents[i + 1] as number];
      this.#unsent.offer(first, count);
      this.#left += this.#missing.setRange(first, count);
    }
    this.#plan = planNamed(prefetch)(this.#unsent, recentOf(trace, prefetch));
    this.#guest = new Guest(trace, this.#agenda, this.#missing, this.#waits, (page) => this.#fault(page));
    this.#wire = new Wire(this.#agenda, model.rateBits, model.roundTrip / 2);
    const worker = () => new Worker(this.#agenda, model.costs.wakeUp);
    const shared = planWorkers(1, model.cpus).length === 1;
    this.#server = worker();
    this.#pusher = shared ? this.#server : worker();
    this.#handler = worker();
    this.#receiver = shared ? this.#handler : worker();
  }

  run(): Outcome {
    this.#guest.start();
    this.#push();
    this.#agenda.run();
    return outcomeOf({
      trace: this.trace,
      waits: this.#waits,
      pushed: this.#pushed,
      touchedAt: this.#guest.touchedAt,
      requests: this.#requests,
      endAt: this.#endAt,
    });
  }

  /** At the destination. */
  #fault(page: number): void {
    const { costs, roundTrip } = this.model;
    this.#handler.do(costs.fault, () => {
      if (!this.#missing.has(page)) return;
      this.#agenda.note(this.#agenda.now + roundTrip / 2, () =>
        this.#server.do(costs.answer, () => this.#answer(page)),
      );
    });
  }

  /** At the source. */
  #answer(page: number): void {
    this.#plan.faulted(page);
    if (this.#unsent.claim(page)) this.#sendUrgent(page);
    if (this.#requests++ >= FIRST_REQUESTS) return;
    const first = page - (page % GROUP_PAGES);
    const end = Math.min(first + GROUP_PAGES, this.trace.pages);
    for (let other = first; other < end; other++) if (this.#unsent.claim(other)) this.#sendUrgent(other);
  }

  #sendUrgent(page: number): void {
    const arrived = () => this.#handler.do(this.model.costs.install, () => this.#install(page, 1));
    this.#wire.send(PAGE_FRAME_BYTES, arrived);
  }

  /** Sends batches until the window is full, one after the other: a request that comes meanwhile is answered in between. */
  #push(): void {
    if (this.#pushing) return;
    const runs = this.#gather();
    if (runs.length === 0) return;
    this.#pushing = true;
    const { costs } = this.model;
    const pages = runs.reduce((sum, run) => sum + run.pages, 0);
    this.#pusher.do(costs.sendBatch + costs.sendExtent * runs.length + costs.sendPage * pages, () => {
      this.#pushing = false;
      const arrived = () => this.#receive(runs, pages);
      this.#wire.send(EXTENT_HEADER_BYTES * runs.length + bytesOfPages(pages), arrived);
      this.#push();
    });
  }

  /** As the push does it: as many pages as one extent would have, however scattered they are. */
  #gather(): PushedRun[] {
    const runs: PushedRun[] = [];
    let room = this.#depth.extentPages;
    while (runs.length < ExtentOutbox.FRAMES && room > 0 && this.#depth.open) {
      const run = this.#claim(room);
      if (run === undefined) break;
      runs.push(run);
      room = Math.min(room, this.#depth.extentPages) - run.pages;
    }
    return runs;
  }

  #claim(most: number): PushedRun | undefined {
    const { now } = this.#agenda;
    this.#plan.next(this.#planned, most);
    let first = this.#unsent.nextUnsent(this.#planned.first);
    if (first < 0) first = this.#unsent.nextUnsent(0);
    if (first < 0) return undefined;
    const pages = this.#unsent.claimRun(first, Math.min(this.#planned.pages, most));
    this.#depth.sent(pages, now);
    this.#plan.sent(first, pages);
    const run = { first, pages, at: now };
    this.#pushed.push(run);
    return run;
  }

  #receive(runs: readonly PushedRun[], pages: number): void {
    const { costs, roundTrip } = this.model;
    this.#receiver.do(costs.installBatch + costs.installExtent * runs.length + costs.installPage * pages, () => {
      for (const run of runs) this.#install(run.first, run.pages);
      this.#received += pages;
      const received = this.#received;
      this.#agenda.note(this.#agenda.now + roundTrip / 2, () => {
        this.#depth.acknowledged(received, this.#agenda.now);
        this.#push();
      });
    });
  }

  #install(first: number, pages: number): void {
    this.#left -= this.#missing.clearRange(first, pages);
    if (this.#left === 0 && this.#endAt === 0) this.#endAt = this.#agenda.now;
    this.#guest.installed(first, pages);
  }
}
