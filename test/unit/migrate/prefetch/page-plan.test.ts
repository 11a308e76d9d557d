import { describe, expect, it } from 'vitest';
import { checkMigrateOptions, PREFETCH_POLICIES } from '../../../../src/migrate/options.js';
import { planNamed } from '../../../../src/migrate/prefetch/choose.js';
import { inOrder } from '../../../../src/migrate/prefetch/in-order.js';
import { RecentPages } from '../../../../src/migrate/prefetch/recent-pages.js';
import type { Extent, MakePlan, PagePlan, UnsentPages } from '../../../../src/migrate/prefetch/page-plan.js';
import { PageServer } from '../../../../src/migrate/source/page-server.js';
import { EXTENT_PAGES_MAX } from '../../../../src/migrate/wire/protocol.js';
import { words } from '../../threads/channel-pair.js';
import { parse, setUp, straightOn } from '../source/push-rig.js';
import { PlanRig } from './plan-rig.js';

/** What lies behind the page that was asked for last, backwards from the end without one: all that a plan needs is here. */
class BehindTheLastFault implements PagePlan {
  #fault: number | undefined;
  readonly told: string[] = [];

  constructor(readonly unsent: UnsentPages) {}

  faulted(page: number): void {
    this.told.push(`faulted ${page}`);
    this.#fault = page;
  }

  sent(first: number, pages: number): void {
    this.told.push(`sent ${first} ${pages}`);
  }

  next(extent: Extent): void {
    extent.pages = EXTENT_PAGES_MAX;
    if (this.#fault !== undefined) {
      extent.first = this.#fault + 1;
      this.#fault = undefined;
      return;
    }
    extent.first = this.unsent.pages - 1;
    while (extent.first > 0 && !this.unsent.isUnsent(extent.first)) extent.first--;
  }
}

function pushBy(makePlan: MakePlan) {
  const setting = setUp(undefined, straightOn, makePlan);
  const urgent = setting.another();
  const server = new PageServer(urgent.channel, 0);
  /** On the urgent channel; what comes is taken. */
  const ask = (...pages: number[]) => {
    urgent.other.put(words(0x51455250, pages.length, 0, 0, ...pages));
    server.step();
    urgent.other.take();
  };
  return { ...setting, ask };
}

describe('a plan of somebody else', () => {
  it('is told what was asked for and what it sent, and says what comes next', () => {
    const plans: BehindTheLastFault[] = [];
    const { fill, signal, run, ask, push, other } = pushBy((unsent) => {
      const plan = new BehindTheLastFault(unsent);
      plans.push(plan);
      return plan;
    });
    fill(0, 72);
    fill(600, 2);
    signal.handOver();
    ask(1, 4);
    push.step();
    ask(601);
    const frames = parse(Buffer.concat([other.take(), run()]));
    expect(frames).toEqual([
      // So much at once that what is asked for next comes in time.
      ...[['EXTENT', 5, EXTENT_PAGES_MAX]],
      // Behind page 601 is nothing, so the first page of all.
      ...[['EXTENT', 0, 1]],
      ...[['EXTENT', 600, 1]],
      ...[71, 70, 69, 3, 2].map((page) => ['EXTENT', page, 1]),
      ['END'],
    ]);
    expect(plans.map(({ told }) => told)).toEqual([
      [
        'faulted 1',
        'faulted 4',
        'sent 5 64',
        'faulted 601',
        'sent 0 1',
        'sent 600 1',
        'sent 71 1',
        'sent 70 1',
        'sent 69 1',
        'sent 3 1',
        'sent 2 1',
      ],
    ]);
  });

  it.each<[string, Partial<Extent>]>([
    ['a page beyond the RAM', { first: 1e9 }],
    ['no page', { first: -1 }],
    ['no number', { first: NaN, pages: NaN }],
    ['nothing at all', {}],
    ['no pages of an extent', { first: 5, pages: 0 }],
    ['more than an extent holds', { first: 0, pages: Infinity }],
    ['a page that has long been sent', { first: 0, pages: 1 }],
  ])('cannot keep a page from being sent once: one that says %s', (_, says) => {
    const plan: PagePlan = { faulted() {}, sent() {}, next: (extent) => void Object.assign(extent, says) };
    const { fill, signal, run } = pushBy(() => plan);
    fill(0, 10);
    fill(690, 10);
    signal.handOver();
    const frames = parse(run());
    expect(frames.at(-1)).toEqual(['END']);
    const sent = frames.flatMap(([, first = 0, pages = 0]) => Array.from({ length: pages }, (_, i) => first + i));
    expect(sent.sort((a, b) => a - b)).toEqual(
      [0, 690].flatMap((first) => Array.from({ length: 10 }, (_, i) => first + i)),
    );
  });
});

describe('in-order', () => {
  it('goes from the first page to the last, whatever is asked for, and from the start again', () => {
    const rig = new PlanRig(inOrder, 1000);
    expect(rig.runs(2)).toEqual([
      [0, 64],
      [64, 64],
    ]);
    rig.fault(7, 900);
    rig.pages.claimRun(130, 700);
    expect(rig.runs(2)).toEqual([
      [128, 2],
      [830, 64],
    ]);
    while (rig.run() !== undefined);
    // In another round.
    rig.pages.copy(Uint32Array.of(3, 4, 500, 2));
    expect(rig.runs(3)).toEqual([[3, 4], [500, 2], undefined]);
  });

  it('looks for no page twice in what was sent, also where all that is left lies before', () => {
    const rig = new PlanRig(inOrder, 1000);
    while (rig.run() !== undefined);
    rig.pages.copy(Uint32Array.of(3, 1, 5, 1, 7, 1));
    const froms: number[] = [];
    const { nextUnsent } = rig.unsent;
    rig.unsent.nextUnsent = (from) => (froms.push(from), nextUnsent(from));
    rig.runs(3);
    expect(froms.slice(1)).toEqual([0, 3, 5]);
  });

  it('is what a migration goes by unless it says otherwise', () => {
    expect(planNamed(checkMigrateOptions({}).prefetch)).toBe(inOrder);
  });
});

it.each(PREFETCH_POLICIES)('%s is a plan that can be made', (name) => {
  const plan = planNamed(name)({ pages: 0, isUnsent: () => false, nextUnsent: () => -1 }, new RecentPages(0));
  plan.faulted(1);
  plan.sent(0, 1);
  plan.next({ first: 0, pages: 0 }, 64);
});
