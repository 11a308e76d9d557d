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
import type { Trace } from '../migrate/prefetch/trace.js';
import { EXTENT_HEADER_BYTES, PAGE_FRAME_BYTES } from '../migrate/wire/page-frames.js';
import { PageBitmap } from '../memory/page-bitmap.js';
import { bytesOfPages } from '../memory/page-size.js';
import { SourcePages } from '../memory/page-states.js';
import { Agenda } from './agenda.js';
import { Guest } from './guest.js';
import type { Model } from './model.js';
import { outcomeOf, type Outcome, type PushedRun } from './outcome.js';
import { Waits } from './waits.js';
import { Wire, Worker } from './worker.js';

export function replay(trace: Trace, prefetch: PrefetchName, model: Model): Outcome {
  return new Replay(trace, prefetch, model).run();
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
    readonly trace: Trace,
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
    this.#plan = planNamed(prefetch)(this.#unsent);
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

  /** Sends extents until the window is full, one after the other: a request that comes meanwhile is answered in between. */
  #push(): void {
    if (this.#pushing || !this.#depth.open) return;
    const run = this.#claim();
    if (run === undefined) return;
    this.#pushing = true;
    const { costs } = this.model;
    this.#pusher.do(costs.sendExtent + costs.sendPage * run.pages, () => {
      this.#pushing = false;
      const arrived = () => this.#receive(run);
      this.#wire.send(EXTENT_HEADER_BYTES + bytesOfPages(run.pages), arrived);
      this.#push();
    });
  }

  #claim(): PushedRun | undefined {
    const { now } = this.#agenda;
    this.#plan.next(this.#planned, this.#depth.extentPages);
    let first = this.#unsent.nextUnsent(this.#planned.first);
    if (first < 0) first = this.#unsent.nextUnsent(0);
    if (first < 0) return undefined;
    const pages = this.#unsent.claimRun(first, Math.min(this.#planned.pages, this.#depth.extentPages));
    this.#depth.sent(pages, now);
    this.#plan.sent(first, pages);
    const run = { first, pages, at: now };
    this.#pushed.push(run);
    return run;
  }

  #receive({ first, pages }: PushedRun): void {
    const { costs, roundTrip } = this.model;
    this.#receiver.do(costs.installExtent + costs.installPage * pages, () => {
      this.#install(first, pages);
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
