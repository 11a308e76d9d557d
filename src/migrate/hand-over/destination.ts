/**
 * The destination's side of the hand-over as pure code: events in, actions out. The driver (receive-vm.ts, through
 * drive.ts) feeds one event at a time. Events bring what they tell of, states hold what is needed later, and actions are
 * given what they need.
 *
 *                                  copying
 *                                /     \
 *   waiting -> checking -> accepted -> loading -> loaded -> running <-> apart
 *       \          \ -> refused  \________\__________/        |  \________/|
 *        \__________\_______________    \                  v             v
 *                                   failed            completing        lost
 *                                                         |
 *                                                       done
 *
 * waiting: for HELLO. checking: whether this host can take the VM; all that takes time is made ready on the way. copying: pages
 * come in rounds while the guest runs at the source, which may take long; STATE ends it, as it does `accepted`. failed: the
 * guest never ran here and never will, all of it is dropped. apart: a connection broke behind COMMIT; the guest runs on, vCPUs
 * that need a page that is missing wait, and the source comes again. A guest of which the source has not said that it knows of
 * it runs alone for a limited time only (the source may be told by somebody to take it back): then it is halted, until the
 * source comes and knows; also one of which nothing is missing. lost: somebody here has given it up, or the source is of
 * version 7 and cannot come again. A guest of which nothing is missing and the source knows needs it no more: whatever breaks
 * then changes nothing, also when the news that all pages are here is behind that of the break.
 *
 * Connections of a migration are numbered by generations, 0 for the first. What comes from one of another generation than
 * the state's comes too late, and changes nothing; but that the source knows is true for ever. The source relies on it: what it
 * was answered to was read here, and may be looked at behind the news that another connection broke.
 */
import type { Body } from '../wire/message.js';
import type { Step } from './drive.js';

/** STATE, and monotonicMicros() when it came. */
interface ArrivedState {
  body: Body<'state'>;
  at: number;
}

/** COMMIT, and monotonicMicros() when it came. */
interface ArrivedCommit {
  body: Body<'commit'>;
  at: number;
}

/** Arrival: the machine that was made for the VM, and what brings its pages. */
export type DestinationState<Arrival> =
  | { phase: 'waiting' | 'checking' | 'refused' | 'failed' }
  | { phase: 'accepted' | 'copying' | 'done' | 'lost'; arrival: Arrival }
  | { phase: 'loading' | 'loaded'; arrival: Arrival; state: ArrivedState }
  | ({ phase: 'running' | 'apart' | 'completing' } & Running<Arrival>);

interface Running<Arrival> {
  arrival: Arrival;
  generation: number;
  /** The source has said that it knows. */
  known: boolean;
  /** The guest stands still, because it was alone for too long. */
  halted: boolean;
  /** Nothing more is needed of the source than that it knows. */
  settled: boolean;
}

export type DestinationPhase = DestinationState<unknown>['phase'];

/** generation: of the connection that it came on, or that broke; of none if it came from this end. */
export type DestinationEvent<Arrival> = { generation?: number } & (
  | { type: 'hello'; body: Body<'hello'> }
  | { type: 'checked'; arrival: Arrival }
  | { type: 'objections'; reasons: string[] }
  /** The guest still runs at the source; that these pages are known by now saves time when it has stopped. */
  | { type: 'ram'; body: Body<'ram'> }
  /** From here on pages may come in rounds. */
  | { type: 'copying' }
  | { type: 'state'; state: ArrivedState }
  | { type: 'state-loaded' }
  | { type: 'commit'; commit: ArrivedCommit }
  | { type: 'all-installed' }
  /** The guest is over: nobody will read what is missing. */
  | { type: 'not-needed' }
  /** It could not be begun: no vCPU has run. */
  | { type: 'not-run'; reason: Error }
  /** The source knows that the guest runs here. */
  | { type: 'pushing' }
  /** The source has come again. */
  | { type: 'met'; generation: number }
  /** The guest has run for as long as it may while the source does not know of it. */
  | { type: 'alone-too-long' }
  | { type: 'bye' }
  | { type: 'failure'; reason: Error }
  /** Nobody here wants the VM any more. It is a failure behind which nothing is waited for. */
  | { type: 'cancel'; reason: Error }
);

export interface DestinationFacts {
  /** No page of the VM is missing here, at the moment at which the event is looked at. */
  whole: boolean;
  /** The source can come again on another connection. */
  recovers: boolean;
  /** The source has pushed a page, which it does only when it knows that the guest runs here. */
  pushed: boolean;
}

export type DestinationAction<Arrival> =
  | { type: 'check'; hello: Body<'hello'> }
  | { type: 'send-accept'; arrival: Arrival }
  | { type: 'send-refuse'; reasons: string[] }
  | { type: 'expect-ram'; arrival: Arrival; ram: Body<'ram'> }
  | { type: 'expect-rounds'; arrival: Arrival }
  | { type: 'load-state'; arrival: Arrival; state: Body<'state'> }
  | { type: 'send-loaded'; stateAt: number }
  | { type: 'run-guest'; arrival: Arrival; state: Body<'state'>; commit: ArrivedCommit }
  | { type: 'send-complete'; arrival: Arrival }
  | { type: 'send-abort'; reason: Error }
  | { type: 'send-lost'; reason: Error }
  /** Ends what is left of the connections; the guest runs on. */
  | { type: 'part'; arrival: Arrival; reason: Error }
  /** Tells what is missing, and takes the page channels of this generation. */
  | { type: 'rejoin'; arrival: Arrival; generation: number }
  /** To a source that has come again, of a guest that needs it no more. */
  | { type: 'send-whole'; arrival: Arrival; generation: number }
  | { type: 'source-knows' }
  | { type: 'halt-guest'; arrival: Arrival }
  | { type: 'go-on'; arrival: Arrival }
  | { type: 'finish'; arrival: Arrival }
  /** Nothing was agreed: it is as if this VM had never been announced. */
  | { type: 'call-off'; reason: Error }
  | { type: 'discard'; arrival: Arrival; reason: Error }
  | { type: 'lose'; arrival: Arrival; reason: Error };

export type DestinationStep<Arrival> = Step<DestinationState<Arrival>, DestinationAction<Arrival>>;

const ENDED: ReadonlySet<DestinationPhase> = new Set(['refused', 'done', 'failed', 'lost']);

export function isEnd(phase: DestinationPhase): boolean {
  return ENDED.has(phase);
}

/** Told by this end, and overtaken where the guest does not run any more, or needs the source no more. */
const OF_A_GUEST_THAT_RUNS: ReadonlySet<string> = new Set(['not-needed', 'alone-too-long']);

const NOTHING_KNOWN: DestinationFacts = { whole: false, recovers: true, pushed: false };

export function stepDestination<A>(
  state: DestinationState<A>,
  event: DestinationEvent<A>,
  facts: DestinationFacts = NOTHING_KNOWN,
): DestinationStep<A> {
  if (isEnd(state.phase)) return { state, actions: [] };
  if (isLate(state, event)) return saysThatItKnows(event) && isRunning(state) ? knownLate(state) : step(state);
  if (facts.pushed && isRunning(state) && !state.known) return afterKnown(state, event, facts);
  if (event.type === 'cancel') return giveUp(state, event.reason, facts);
  if (event.type === 'failure') return fail(state, event.reason, facts);
  if (event.type === 'not-run' && state.phase === 'running') return neverRan(state.arrival, event.reason);
  if (event.type === 'met') return met(state, event.generation, facts);
  if (OF_A_GUEST_THAT_RUNS.has(event.type) && !isRunning(state)) return step(state);
  const reason = new Error(`the source sent ${event.type} out of turn, while ${state.phase}`);
  return forward(state, event) ?? fail(state, reason, facts);
}

function afterKnown<A>(
  state: RunningState<A>,
  event: DestinationEvent<A>,
  facts: DestinationFacts,
): DestinationStep<A> {
  const knows = known(state);
  const next = stepDestination(knows.state, event, facts);
  return { state: next.state, actions: [...knows.actions, ...next.actions] };
}

/** It came on a connection that is not this state's any more. */
function isLate<A>(state: DestinationState<A>, event: DestinationEvent<A>): boolean {
  if (event.generation === undefined) return false;
  const generation = 'generation' in state ? state.generation : 0;
  if (event.type === 'met') return event.generation <= generation;
  return state.phase === 'apart' || event.generation !== generation;
}

function saysThatItKnows({ type }: DestinationEvent<unknown>): boolean {
  return type === 'pushing' || type === 'bye';
}

function knownLate<A>(state: RunningState<A>): DestinationStep<A> {
  const knows = known(state);
  return state.phase === 'apart' && state.settled ? done(state.arrival, ...knows.actions) : knows;
}

/** The way of a migration in which nothing fails, and that of one that is refused. */
function forward<A>(state: DestinationState<A>, event: DestinationEvent<A>): DestinationStep<A> | undefined {
  if (state.phase === 'waiting' && event.type === 'hello') {
    return step({ phase: 'checking' }, { type: 'check', hello: event.body });
  }
  if (state.phase === 'checking' && event.type === 'objections') {
    return step({ phase: 'refused' }, { type: 'send-refuse', reasons: event.reasons });
  }
  if (state.phase === 'checking' && event.type === 'checked') {
    const { arrival } = event;
    return step({ phase: 'accepted', arrival }, { type: 'send-accept', arrival });
  }
  if (state.phase === 'accepted' && event.type === 'ram') {
    return step(state, { type: 'expect-ram', arrival: state.arrival, ram: event.body });
  }
  if (state.phase === 'accepted' && event.type === 'copying') {
    const { arrival } = state;
    return step({ phase: 'copying', arrival }, { type: 'expect-rounds', arrival });
  }
  if ((state.phase === 'accepted' || state.phase === 'copying') && event.type === 'state') {
    const { arrival } = state;
    const load = { type: 'load-state', arrival, state: event.state.body } as const;
    return step({ phase: 'loading', arrival, state: event.state }, load);
  }
  if (state.phase === 'loading' && event.type === 'state-loaded') {
    return step({ ...state, phase: 'loaded' }, { type: 'send-loaded', stateAt: state.state.at });
  }
  if (state.phase === 'loaded' && event.type === 'commit') {
    const { arrival } = state;
    const run = { type: 'run-guest', arrival, state: state.state.body, commit: event.commit } as const;
    return step({ phase: 'running', arrival, generation: 0, known: false, halted: false, settled: false }, run);
  }
  return isRunning(state) ? runOn(state, event) : undefined;
}

type RunningState<A> = Extract<DestinationState<A>, { phase: 'running' | 'apart' | 'completing' }>;

function isRunning<A>(state: DestinationState<A>): state is RunningState<A> {
  return state.phase === 'running' || state.phase === 'apart' || state.phase === 'completing';
}

function runOn<A>(state: RunningState<A>, event: DestinationEvent<A>): DestinationStep<A> | undefined {
  const { phase, arrival } = state;
  switch (event.type) {
    case 'all-installed':
    case 'not-needed':
      if (phase === 'running') {
        return step({ ...state, phase: 'completing', settled: true }, { type: 'send-complete', arrival });
      }
      // A source that knows is told when it comes; one that does not has to come first.
      return phase === 'apart' && state.known ? done(arrival) : step(state);
    case 'pushing':
      return phase === 'apart' ? undefined : known(state);
    case 'alone-too-long':
      if (state.known || state.halted) return step(state);
      return step({ ...state, halted: true }, { type: 'halt-guest', arrival });
    case 'bye':
      return phase === 'completing' ? done(arrival, ...known(state).actions) : undefined;
    default:
      return undefined;
  }
}

/** The source has said that it knows: the guest runs on, whatever becomes of the link. */
function known<A>(state: RunningState<A>): DestinationStep<A> {
  if (state.known) return step(state);
  const goOn = state.halted ? [{ type: 'go-on', arrival: state.arrival } as const] : [];
  return step({ ...state, known: true, halted: false }, { type: 'source-knows' }, ...goOn);
}

/** Whatever this end believes of the connection before: the source has none but this one. */
function met<A>(state: DestinationState<A>, generation: number, facts: DestinationFacts): DestinationStep<A> {
  switch (state.phase) {
    case 'running':
    case 'apart':
    case 'completing': {
      const { arrival } = state;
      const reason = new Error('the source has come on another connection');
      const part = state.phase === 'running' ? [{ type: 'part', arrival, reason } as const] : [];
      if (facts.whole || state.settled) {
        return step({ ...state, phase: 'completing', generation, settled: true }, ...part, {
          type: 'send-whole',
          arrival,
          generation,
        });
      }
      return step({ ...state, phase: 'running', generation }, ...part, { type: 'rejoin', arrival, generation });
    }
    default:
      // It has given this hand-over up, and will be told how that ended.
      return fail(state, new Error('the source has come again before the guest ran'), facts);
  }
}

function fail<A>(state: DestinationState<A>, reason: Error, facts: DestinationFacts): DestinationStep<A> {
  switch (state.phase) {
    case 'waiting':
    case 'checking':
      return step({ phase: 'failed' }, { type: 'send-abort', reason }, { type: 'call-off', reason });
    case 'accepted':
    case 'copying':
    case 'loading':
    case 'loaded':
      return neverRan(state.arrival, reason);
    case 'running': {
      const { arrival } = state;
      // COMPLETE goes out if it still can.
      const needsSource = !facts.whole || (facts.recovers && !state.known);
      if (!needsSource) return done(arrival, { type: 'send-complete', arrival });
      if (!facts.recovers) return lose(arrival, reason);
      return step({ ...state, phase: 'apart' }, { type: 'part', arrival, reason });
    }
    case 'completing': {
      const { arrival } = state;
      if (!facts.recovers || state.known) return done(arrival);
      return step({ ...state, phase: 'apart' }, { type: 'part', arrival, reason });
    }
    case 'apart':
    case 'refused':
    case 'done':
    case 'failed':
    case 'lost':
      return { state, actions: [] };
  }
}

function neverRan<A>(arrival: A, reason: Error): DestinationStep<A> {
  return step({ phase: 'failed' }, { type: 'send-abort', reason }, { type: 'discard', arrival, reason });
}

function giveUp<A>(state: DestinationState<A>, reason: Error, facts: DestinationFacts): DestinationStep<A> {
  switch (state.phase) {
    case 'running':
    case 'apart':
      if (facts.whole) return done(state.arrival, { type: 'send-complete', arrival: state.arrival });
      return lose(state.arrival, reason);
    default:
      return fail(state, reason, facts);
  }
}

function lose<A>(arrival: A, reason: Error): DestinationStep<A> {
  return step({ phase: 'lost', arrival }, { type: 'send-lost', reason }, { type: 'lose', arrival, reason });
}

function done<A>(arrival: A, ...before: DestinationAction<A>[]): DestinationStep<A> {
  return step({ phase: 'done', arrival }, ...before, { type: 'finish', arrival });
}

function step<A>(state: DestinationState<A>, ...actions: DestinationAction<A>[]): DestinationStep<A> {
  return { state, actions };
}
