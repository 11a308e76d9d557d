/**
 * The destination's side of the hand-over as pure code: events in, actions out. The driver (receive-vm.ts, through
 * drive.ts) feeds one event at a time. Events bring what they tell of, states hold what is needed later, and actions are
 * given what they need.
 *
 *   waiting -> checking -> accepted -> loading -> loaded -> running -> completing -> done
 *       \          \ ->refused  \________\__________/          |
 *        \__________\_______________    \                     lost
 *                                   failed
 *
 * waiting: for HELLO. checking: whether this host can take the VM; all that takes time is made ready on the way. failed:
 * the guest never ran here, all of it is dropped. lost: the guest ran here and pages are missing; it is halted, what is
 * here is kept. A guest of which nothing is missing needs the source no more: whatever breaks then changes nothing, also
 * when the news that all pages are here is behind that of the break.
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
  | { phase: 'accepted' | 'running' | 'completing' | 'done' | 'lost'; arrival: Arrival }
  | { phase: 'loading' | 'loaded'; arrival: Arrival; state: ArrivedState };

export type DestinationPhase = DestinationState<unknown>['phase'];

export type DestinationEvent<Arrival> =
  | { type: 'hello'; body: Body<'hello'> }
  | { type: 'checked'; arrival: Arrival }
  | { type: 'objections'; reasons: string[] }
  /** The guest still runs at the source; that these pages are known by now saves time when it has stopped. */
  | { type: 'ram'; body: Body<'ram'> }
  | { type: 'state'; state: ArrivedState }
  | { type: 'state-loaded' }
  | { type: 'commit'; commit: ArrivedCommit }
  | { type: 'all-installed' }
  | { type: 'bye' }
  | { type: 'failure'; reason: Error }
  /** Nobody here wants the VM any more. It is a failure behind which nothing is waited for. */
  | { type: 'cancel'; reason: Error };

export interface DestinationFacts {
  /** No page of the VM is missing here, at the moment at which the event is looked at. */
  whole: boolean;
}

export type DestinationAction<Arrival> =
  | { type: 'check'; hello: Body<'hello'> }
  | { type: 'send-accept'; arrival: Arrival }
  | { type: 'send-refuse'; reasons: string[] }
  | { type: 'expect-ram'; arrival: Arrival; ram: Body<'ram'> }
  | { type: 'load-state'; arrival: Arrival; state: Body<'state'> }
  | { type: 'send-loaded'; stateAt: number }
  | { type: 'run-guest'; arrival: Arrival; state: Body<'state'>; commit: ArrivedCommit }
  | { type: 'send-complete'; arrival: Arrival }
  | { type: 'send-abort'; reason: Error }
  | { type: 'send-lost'; reason: Error }
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

export function stepDestination<A>(
  state: DestinationState<A>,
  event: DestinationEvent<A>,
  { whole }: DestinationFacts = { whole: false },
): DestinationStep<A> {
  if (isEnd(state.phase)) return { state, actions: [] };
  if (event.type === 'failure' || event.type === 'cancel') return fail(state, event.reason, whole);
  const reason = new Error(`the source sent ${event.type} out of turn, while ${state.phase}`);
  return forward(state, event) ?? fail(state, reason, whole);
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
  if (state.phase === 'accepted' && event.type === 'state') {
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
    return step({ phase: 'running', arrival }, run);
  }
  if (state.phase === 'running' && event.type === 'all-installed') {
    const { arrival } = state;
    return step({ phase: 'completing', arrival }, { type: 'send-complete', arrival });
  }
  if (state.phase === 'completing' && event.type === 'bye') return done(state.arrival);
  return undefined;
}

function fail<A>(state: DestinationState<A>, reason: Error, whole: boolean): DestinationStep<A> {
  switch (state.phase) {
    case 'waiting':
    case 'checking':
      return step({ phase: 'failed' }, { type: 'send-abort', reason }, { type: 'call-off', reason });
    case 'accepted':
    case 'loading':
    case 'loaded': {
      const { arrival } = state;
      return step({ phase: 'failed' }, { type: 'send-abort', reason }, { type: 'discard', arrival, reason });
    }
    case 'running': {
      const { arrival } = state;
      // COMPLETE goes out if it still can.
      if (whole) return done(arrival, { type: 'send-complete', arrival });
      return step({ phase: 'lost', arrival }, { type: 'send-lost', reason }, { type: 'lose', arrival, reason });
    }
    case 'completing':
      return done(state.arrival);
    case 'refused':
    case 'done':
    case 'failed':
    case 'lost':
      return { state, actions: [] };
  }
}

function done<A>(arrival: A, ...before: DestinationAction<A>[]): DestinationStep<A> {
  return step({ phase: 'done', arrival }, ...before, { type: 'finish', arrival });
}

function step<A>(state: DestinationState<A>, ...actions: DestinationAction<A>[]): DestinationStep<A> {
  return { state, actions };
}
