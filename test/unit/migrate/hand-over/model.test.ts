/**
 * Both ends of the hand-over against each other: messages delivered in any interleaving, a failure of either end or of
 * the link at any point, where the ends cannot meet again. What must hold is checked after every step.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as destination from '../../../../src/migrate/hand-over/destination.js';
import * as source from '../../../../src/migrate/hand-over/source.js';
import type { Body } from '../../../../src/migrate/wire/message.js';

/** What the machines only hand on is named, so that it is seen to come to where it belongs. */
type SourceEvent = source.SourceEvent<'control', 'capture'>;
type SourceAction = source.SourceAction<'control', 'capture'>;
type SourceState = source.SourceState<'control', 'capture'>;
type DestinationEvent = destination.DestinationEvent<'arrival'>;
type DestinationAction = destination.DestinationAction<'arrival'>;
type DestinationState = destination.DestinationState<'arrival'>;

/** Messages of the source as the destination's events; HELLO, ABORT and the end of the stream apart. */
const TO_DESTINATION: Record<string, DestinationEvent> = {
  hello: { type: 'hello', body: {} as Body<'hello'> },
  copying: { type: 'copying' },
  ram: { type: 'ram', body: { ramMap: new Uint8Array(0) } },
  state: { type: 'state', state: { body: {} as Body<'state'>, at: 0 } },
  commit: { type: 'commit', commit: { body: { epoch: 1, sinceClockMicros: 0 }, at: 0 } },
  bye: { type: 'bye' },
};

const TO_SOURCE: Record<string, SourceEvent> = {
  accept: { type: 'accept' },
  refuse: { type: 'refuse', body: { reasons: ['no'] } },
  loaded: { type: 'loaded', body: { afterMicros: 0 } },
  running: { type: 'running', body: { afterMicros: 0 } },
  complete: { type: 'complete', body: {} as Body<'complete'> },
  abort: { type: 'abort', reason: new Error('the destination gave up') },
  lost: { type: 'lost', reason: new Error('the destination lost it') },
};

class World {
  sourceState: SourceState = { phase: 'ready' };
  destinationState: DestinationState = { phase: 'waiting' };
  runsAtSource = true;
  runsAtDestination = false;
  everRanAtDestination = false;
  commitSent = false;
  abortArrived = false;
  completeArrived = false;
  /** The last page is in place; that is known there before any message says so. */
  whole = false;
  /** As the source knows of it, on its page channels. */
  acknowledged = false;
  linkIsUp = true;
  hungUp = false;

  /** On the wire, in order. */
  readonly toDestination: string[] = [];
  readonly toSource: string[] = [];
  /** What an end is doing by itself: its next event. */
  sourceWork: SourceEvent[] = [{ type: 'begin' }];
  destinationWork: DestinationEvent[] = [];

  constructor(
    readonly objections: boolean,
    readonly rounds = false,
  ) {}

  get source(): source.SourcePhase {
    return this.sourceState.phase;
  }

  get destination(): destination.DestinationPhase {
    return this.destinationState.phase;
  }

  feedSource(event: SourceEvent): void {
    if (event.type === 'complete') this.completeArrived = true;
    const step = source.stepSource(this.sourceState, event, {
      acknowledged: this.acknowledged,
      known: this.acknowledged,
      recovers: false,
    });
    this.sourceState = step.state;
    for (const action of step.actions) this.#actSource(action);
    this.check();
  }

  feedDestination(event: DestinationEvent): void {
    const step = destination.stepDestination(this.destinationState, event, {
      whole: this.whole,
      recovers: false,
      pushed: false,
    });
    this.destinationState = step.state;
    for (const action of step.actions) this.#actDestination(action);
    this.check();
  }

  #actSource(action: SourceAction): void {
    switch (action.type) {
      case 'write-back':
        return void this.sourceWork.push({ type: 'written-back' });
      case 'connect':
        return void this.sourceWork.push({ type: 'connected', control: 'control' });
      case 'send-hello':
        return this.#send(this.toDestination, 'hello');
      case 'open-channels':
        if (this.rounds) return void this.sourceWork.push({ type: 'rounds-open' });
        this.#send(this.toDestination, 'ram');
        return void this.sourceWork.push({ type: 'channels-open', offered: Uint32Array.of(0, 1) });
      case 'copy-rounds':
        expect(this.runsAtSource).toBe(true);
        this.#send(this.toDestination, 'copying');
        return void this.sourceWork.push({ type: 'copied' });
      case 'stop-and-capture':
        expect(action.offered).toEqual(this.rounds ? new Uint32Array(0) : Uint32Array.of(0, 1));
        this.runsAtSource = false;
        return void this.sourceWork.push({ type: 'captured', capture: 'capture' });
      case 'send-state':
        return this.#send(this.toDestination, 'state');
      case 'send-commit':
        expect(action.capture).toBe('capture');
        this.commitSent = true;
        return this.#send(this.toDestination, 'commit');
      case 'resume-guest':
        this.runsAtSource = true;
        return;
      case 'send-bye':
        return this.#send(this.toDestination, 'bye');
      case 'send-abort':
        return this.#send(this.toDestination, 'abort');
      case 'start-push':
        return;
      case 'hang-up':
        this.hungUp = true;
        return this.#close(this.toDestination);
      case 'fail':
        // A source that has not connected leaves a destination that waits for the next one.
        if (!this.hungUp) this.#close(this.toDestination);
        return;
      case 'finish':
      case 'lose':
        return expect(this.hungUp, 'over, with the connection open').toBe(true);
      case 'meet':
      case 'part':
      case 'push-on':
      case 'rejoin':
      case 'settle':
        throw new Error(`the ends cannot meet again, and the source does ${action.type}`);
      case 'await-release':
      case 'finish-dry-run':
        throw new Error(`the guest is to be moved, and the source does ${action.type}`);
    }
  }

  #actDestination(action: DestinationAction): void {
    switch (action.type) {
      case 'check':
        return void this.destinationWork.push(
          this.objections ? { type: 'objections', reasons: ['no'] } : { type: 'checked', arrival: 'arrival' },
        );
      case 'expect-ram':
      case 'expect-rounds':
        return;
      case 'send-accept':
        return this.#send(this.toSource, 'accept');
      case 'load-state':
        return void this.destinationWork.push({ type: 'state-loaded' });
      case 'send-loaded':
        return this.#send(this.toSource, 'loaded');
      case 'run-guest':
        expect(action.arrival).toBe('arrival');
        this.runsAtDestination = true;
        this.everRanAtDestination = true;
        return this.#send(this.toSource, 'running');
      case 'send-complete':
        return this.#send(this.toSource, 'complete');
      case 'send-abort':
        return this.#send(this.toSource, 'abort');
      case 'send-lost':
        return this.#send(this.toSource, 'lost');
      case 'lose':
        this.runsAtDestination = false;
        return this.#close(this.toSource);
      case 'send-refuse':
        this.#send(this.toSource, 'refuse');
        return this.#close(this.toSource);
      case 'call-off':
      case 'discard':
      case 'finish':
        return this.#close(this.toSource);
      case 'source-knows':
        return;
      case 'go-on':
      case 'halt-guest':
      case 'part':
      case 'rejoin':
      case 'send-whole':
        throw new Error(`the ends cannot meet again, and the destination does ${action.type}`);
    }
  }

  #send(wire: string[], message: string): void {
    if (this.linkIsUp) wire.push(message);
  }

  /** The other end sees the end of the stream behind what was sent. */
  #close(wire: string[]): void {
    this.#send(wire, 'end');
  }

  deliverToDestination(): void {
    const message = this.toDestination.shift();
    if (message === undefined) return;
    const event = TO_DESTINATION[message];
    if (event === undefined) this.failDestination();
    else this.feedDestination(event);
  }

  deliverToSource(): void {
    const message = this.toSource.shift();
    if (message === undefined) return;
    if (message === 'abort') this.abortArrived = true;
    const event = TO_SOURCE[message];
    if (event === undefined) this.failSource();
    else this.feedSource(event);
  }

  /** A worker there, which tells its main thread and the source. */
  installLastPage(): void {
    if (this.whole || this.destination !== 'running' || this.source !== 'draining') return;
    this.whole = true;
    this.destinationWork.push({ type: 'all-installed' });
  }

  acknowledgeLastPage(): void {
    if (this.whole && this.linkIsUp) this.acknowledged = true;
  }

  workAtSource(): void {
    const event = this.sourceWork.shift();
    if (event !== undefined) this.feedSource(event);
  }

  workAtDestination(): void {
    const event = this.destinationWork.shift();
    if (event !== undefined) this.feedDestination(event);
  }

  failSource(): void {
    this.feedSource({ type: 'failure', reason: new Error('failed') });
  }

  failDestination(): void {
    this.feedDestination({ type: 'failure', reason: new Error('failed') });
  }

  cancelSource(): void {
    this.feedSource({ type: 'cancel', reason: new Error('stopped') });
  }

  cancelDestination(): void {
    this.feedDestination({ type: 'cancel', reason: new Error('stopped') });
  }

  /** The source learns that a page channel broke; what the destination knows is its own affair. */
  breakChannels(): void {
    this.feedSource({ type: 'channels-broken', reason: new Error('a channel broke') });
  }

  /** What is on the wire is lost, and both ends learn of it in their time. */
  cutLink(): void {
    this.linkIsUp = false;
    this.toDestination.splice(0, Infinity, 'end');
    this.toSource.splice(0, Infinity, 'end');
  }

  /** Nothing fails from here on, and everything on its way arrives; an end that then still waits sees its deadline. */
  settle(): void {
    for (let turn = 0; turn < 100; turn++) {
      this.installLastPage();
      this.acknowledgeLastPage();
      this.workAtSource();
      this.workAtDestination();
      this.deliverToDestination();
      this.deliverToSource();
    }
    this.failSource();
    this.failDestination();
  }

  check(): void {
    expect(this.runsAtSource && this.runsAtDestination, 'the guest runs on both sides').toBe(false);
    if (this.everRanAtDestination) expect(this.commitSent, 'the guest ran before COMMIT').toBe(true);
    if (this.commitSent && this.runsAtSource) {
      expect(this.abortArrived, 'the source took back a guest that it had handed over').toBe(true);
      expect([this.destination, this.everRanAtDestination], 'gave back a guest that may run').toEqual([
        'failed',
        false,
      ]);
    }
    if (this.source === 'done') {
      expect(this.completeArrived || this.acknowledged, 'done without COMPLETE, or pages acknowledged').toBe(true);
      expect(this.whole, 'done, and pages are missing there').toBe(true);
    }
    if (this.whole)
      expect([this.destination, this.runsAtDestination], 'halted, whole').toEqual([
        expect.not.stringMatching('lost'),
        true,
      ]);
    if (this.source === 'failed') expect(this.runsAtSource, 'failed, and the guest stands still').toBe(true);
    if (this.destination === 'failed' || this.destination === 'refused') {
      expect(this.everRanAtDestination, 'dropped a guest that had run').toBe(false);
    }
    if (this.destination === 'done') expect(this.runsAtDestination, 'done, and the guest does not run').toBe(true);
  }

  checkEnd(): void {
    expect(['done', 'failed', 'lost']).toContain(this.source);
    expect(['done', 'failed', 'lost', 'refused']).toContain(this.destination);
    if (!this.commitSent) {
      expect(this.source).toBe('failed');
      expect(this.runsAtSource, 'the guest runs nowhere, and was never handed over').toBe(true);
    }
    if (this.source === 'done' || this.whole) expect(this.destination).toBe('done');
  }
}

const MOVES = {
  deliverToDestination: 6,
  deliverToSource: 6,
  workAtSource: 6,
  workAtDestination: 6,
  installLastPage: 3,
  acknowledgeLastPage: 2,
  failSource: 1,
  failDestination: 1,
  cancelSource: 1,
  cancelDestination: 1,
  breakChannels: 1,
  cutLink: 1,
} as const;
type Move = keyof typeof MOVES;

const move = fc.oneof(
  ...Object.entries(MOVES).map(([name, weight]) => ({ weight, arbitrary: fc.constant(name as Move) })),
);

/** Of every length: left to itself, fast-check keeps arrays short. */
const moves = (one: fc.Arbitrary<Move>, maxLength: number) => fc.array(one, { maxLength, size: 'max' });

function play(moves: readonly Move[], objections: boolean, rounds = false): World {
  const world = new World(objections, rounds);
  for (const name of moves) world[name]();
  world.settle();
  world.checkEnd();
  return world;
}

const GOOD: readonly Move[] = [
  ...(['deliverToDestination', 'deliverToSource', 'workAtSource', 'workAtDestination'] as const),
  ...(['installLastPage', 'acknowledgeLastPage'] as const),
];

describe('the hand-over of both ends', () => {
  it('ends well when nothing fails, in every order', () => {
    fc.assert(
      fc.property(moves(fc.constantFrom(...GOOD), 60), fc.boolean(), (walk, rounds) => {
        const world = play(walk, false, rounds);
        expect([world.source, world.destination]).toEqual(['done', 'done']);
        expect(world.runsAtDestination).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  it('leaves the guest where it was when the destination refuses', () => {
    fc.assert(
      fc.property(moves(fc.constantFrom(...GOOD), 30), (walk) => {
        const world = play(walk, true);
        expect([world.source, world.destination, world.runsAtSource]).toEqual(['failed', 'refused', true]);
      }),
    );
  });

  it('never loses or doubles the guest, whatever fails and when', () => {
    // A beginning in which nothing fails, or most walks would end before COMMIT.
    const walk = fc.tuple(moves(fc.constantFrom(...GOOD), 80), moves(move, 40), fc.boolean(), fc.boolean());
    fc.assert(
      fc.property(walk, ([good, any, ...how]) => void play([...good, ...any], ...how)),
      { numRuns: 2000 },
    );
  });

  it.each(['failSource', 'failDestination', 'cancelDestination', 'breakChannels', 'cutLink'] as const)(
    'survives one %s at every point',
    (failure) => {
      const way = Array.from({ length: 16 }, () => GOOD).flat();
      const ends = new Set<string>();
      for (let at = 0; at <= way.length; at++) {
        const world = play([...way.slice(0, at), failure, ...way.slice(at)], false);
        ends.add(`${world.source}/${world.destination}`);
      }
      // The walk over all points has met failures before COMMIT, after it, and after everything was over.
      expect([...ends]).toEqual(expect.arrayContaining(['failed/failed', 'done/done']));
      expect([...ends].some((end) => end.startsWith('lost/'))).toBe(true);
    },
  );

  it('is cancelled at every point before COMMIT, and at none behind it', () => {
    const way = Array.from({ length: 16 }, () => GOOD).flat();
    const cancelledIn = new Set<string>();
    for (let at = 0; at <= way.length; at++) {
      const before = new World(false, true);
      for (const name of way.slice(0, at)) before[name]();
      const world = play([...way.slice(0, at), 'cancelSource', ...way.slice(at)], false, true);
      expect(world.source).toBe(before.commitSent ? 'done' : 'failed');
      if (!before.commitSent) cancelledIn.add(before.source);
    }
    const phases = ['ready', 'writing-back', 'connecting', 'greeting', 'preparing', 'copying', 'stopping', 'loading'];
    expect([...cancelledIn]).toEqual(phases);
  });
});
