/**
 * The source's side of the hand-over as pure code: events in, actions out. It knows no socket and no thread, so every
 * interleaving can be tested. The driver (send-vm.ts, through drive.ts) feeds one event at a time. Events bring what they
 * tell of, states hold what is needed later, and actions are given what they need.
 *
 *   ready -> writing-back -> connecting -> greeting -> preparing -> stopping -> loading -> committed -> draining -> done
 *       \__________\_____________\____________\____________\___________\__________/         |      \       /
 *                                             |                                         doubtful  ->  lost
 *                                           failed <----------------------------------------'
 *
 * writing-back: the guest runs, and what it has written goes to its disks, so that little is left when it stands still.
 * doubtful: a page channel has broken behind COMMIT. Only the destination knows whether it took the VM before, and says so:
 * RUNNING, and the VM is lost; or ABORT, after which it will never run it. failed: nothing was handed over, or the
 * destination has given it back; the guest runs on here. lost: the guest may run at the destination; it never runs
 * here again in this epoch, and what is left of its memory here is kept. Once the destination has acknowledged every page,
 * nothing that breaks loses anything: it is done.
 */
import type { Body, Complete } from '../wire/message.js';
import type { Step } from './drive.js';

/** Control: the connection to the destination. Capture: what the guest was when it stopped. */
export type SourceState<Control, Capture> =
  | { phase: 'ready' | 'writing-back' | 'connecting' }
  | { phase: 'greeting' | 'preparing' | 'stopping'; control: Control }
  | { phase: 'loading' | 'committed'; control: Control; capture: Capture }
  /** broke: what broke first says more than what follows from it. */
  | { phase: 'doubtful'; control: Control; broke: Error }
  | { phase: 'draining'; control: Control }
  | { phase: 'done' | 'failed' | 'lost' };

export type SourcePhase = SourceState<unknown, unknown>['phase'];

export type SourceEvent<Control, Capture> =
  | { type: 'begin' }
  | { type: 'written-back' }
  | { type: 'connected'; control: Control }
  | { type: 'accept' }
  | { type: 'refuse'; body: Body<'refuse'> }
  /** offered: [first page, pages] pairs that the destination has been told of. */
  | { type: 'channels-open'; offered: Uint32Array }
  | { type: 'captured'; capture: Capture }
  | { type: 'loaded'; body: Body<'loaded'> }
  | { type: 'running'; body: Body<'running'> }
  | { type: 'complete'; body: Complete }
  /** ABORT: the destination has not run the guest and will not. */
  | { type: 'abort'; reason: Error }
  /** LOST: the guest stands still at the destination, short of pages, whatever this end believes. */
  | { type: 'lost'; reason: Error }
  /** A page channel broke; the control channel has not. */
  | { type: 'channels-broken'; reason: Error }
  /** The link broke, a deadline passed, the peer broke the protocol, or something failed here. */
  | { type: 'failure'; reason: Error }
  /** Nobody here wants the VM to move any more. Once it is handed over that comes too late. */
  | { type: 'cancel'; reason: Error };

export interface SourceFacts {
  /** The destination has said of every page that it is there, at the moment at which the event is looked at. */
  acknowledged: boolean;
}

export type SourceAction<Control, Capture> =
  | { type: 'write-back' }
  | { type: 'connect' }
  | { type: 'send-hello'; control: Control }
  | { type: 'open-channels'; control: Control }
  | { type: 'stop-and-capture'; offered: Uint32Array }
  | { type: 'send-state'; control: Control; capture: Capture }
  | { type: 'send-commit'; control: Control; capture: Capture; loaded: Body<'loaded'> }
  | { type: 'start-push'; control: Control; capture: Capture; running: Body<'running'> }
  | { type: 'send-bye'; control: Control }
  | { type: 'send-abort'; control: Control; reason: Error }
  | { type: 'resume-guest' }
  | { type: 'hang-up'; control: Control }
  /** complete: undefined if the link broke before it came, when every page was acknowledged. */
  | { type: 'finish'; complete: Complete | undefined }
  | { type: 'fail'; reason: Error }
  /** ranThere: the destination has said that the guest runs there, or ran. */
  | { type: 'lose'; reason: Error; ranThere: boolean };

export type SourceStep<Control, Capture> = Step<SourceState<Control, Capture>, SourceAction<Control, Capture>>;

const ENDED: ReadonlySet<SourcePhase> = new Set(['done', 'failed', 'lost']);

export function isEnd(phase: SourcePhase): boolean {
  return ENDED.has(phase);
}

export function stepSource<C, K>(
  state: SourceState<C, K>,
  event: SourceEvent<C, K>,
  { acknowledged }: SourceFacts = { acknowledged: false },
): SourceStep<C, K> {
  if (isEnd(state.phase)) return { state, actions: [] };
  if (event.type === 'cancel') return isHandedOver(state) ? { state, actions: [] } : fail(state, event.reason);
  if (event.type === 'lost') return fail(state, event.reason, true);
  if (state.phase === 'draining' && acknowledged) return done(state.control, event);
  switch (event.type) {
    case 'failure':
      return fail(state, event.reason);
    case 'abort':
      return awaitsRunning(state) ? givenBack(state.control, event.reason) : fail(state, event.reason);
    case 'channels-broken':
      return channelsBroken(state, event.reason);
    default:
      return forward(state, event) ?? outOfTurn(state, event);
  }
}

/** The way of a migration in which nothing fails. */
function forward<C, K>(state: SourceState<C, K>, event: SourceEvent<C, K>): SourceStep<C, K> | undefined {
  if (state.phase === 'ready' && event.type === 'begin') {
    return step({ phase: 'writing-back' }, { type: 'write-back' });
  }
  if (state.phase === 'writing-back' && event.type === 'written-back') {
    return step({ phase: 'connecting' }, { type: 'connect' });
  }
  if (state.phase === 'connecting' && event.type === 'connected') {
    const { control } = event;
    return step({ phase: 'greeting', control }, { type: 'send-hello', control });
  }
  if (state.phase === 'greeting' && event.type === 'accept') {
    const { control } = state;
    return step({ phase: 'preparing', control }, { type: 'open-channels', control });
  }
  if (state.phase === 'preparing' && event.type === 'channels-open') {
    const { offered } = event;
    return step({ phase: 'stopping', control: state.control }, { type: 'stop-and-capture', offered });
  }
  if (state.phase === 'stopping' && event.type === 'captured') {
    const { control } = state;
    const { capture } = event;
    return step({ phase: 'loading', control, capture }, { type: 'send-state', control, capture });
  }
  if (state.phase === 'loading' && event.type === 'loaded') {
    const { control, capture } = state;
    return step(
      { phase: 'committed', control, capture },
      { type: 'send-commit', control, capture, loaded: event.body },
    );
  }
  if (state.phase === 'committed' && event.type === 'running') {
    const { control, capture } = state;
    return step({ phase: 'draining', control }, { type: 'start-push', control, capture, running: event.body });
  }
  if (state.phase === 'draining' && event.type === 'complete') return done(state.control, event);
  return undefined;
}

function outOfTurn<C, K>(state: SourceState<C, K>, event: SourceEvent<C, K>): SourceStep<C, K> {
  if (state.phase === 'greeting' && event.type === 'refuse') return fail(state, new RefusedError(event.body.reasons));
  const reason = new Error(`the destination sent ${event.type} out of turn, while ${state.phase}`);
  return fail(state, reason, event.type === 'running');
}

function channelsBroken<C, K>(state: SourceState<C, K>, broke: Error): SourceStep<C, K> {
  if (state.phase === 'doubtful') return { state, actions: [] };
  if (state.phase !== 'committed') return fail(state, broke);
  return { state: { phase: 'doubtful', control: state.control, broke }, actions: [] };
}

type AwaitsRunning<C, K> = Extract<SourceState<C, K>, { phase: 'committed' | 'doubtful' }>;

function awaitsRunning<C, K>(state: SourceState<C, K>): state is AwaitsRunning<C, K> {
  return state.phase === 'committed' || state.phase === 'doubtful';
}

function isHandedOver<C, K>(state: SourceState<C, K>): boolean {
  return awaitsRunning(state) || state.phase === 'draining';
}

function done<C, K>(control: C, event: SourceEvent<C, K>): SourceStep<C, K> {
  const complete = event.type === 'complete' ? event.body : undefined;
  return step(
    { phase: 'done' },
    { type: 'send-bye', control },
    { type: 'hang-up', control },
    { type: 'finish', complete },
  );
}

function givenBack<C, K>(control: C, reason: Error): SourceStep<C, K> {
  return step({ phase: 'failed' }, { type: 'resume-guest' }, { type: 'hang-up', control }, { type: 'fail', reason });
}

/** ranThere: this event says so. */
function fail<C, K>(state: SourceState<C, K>, reason: Error, ranThere = false): SourceStep<C, K> {
  switch (state.phase) {
    case 'ready':
    case 'writing-back':
    case 'connecting':
      return step({ phase: 'failed' }, { type: 'fail', reason });
    case 'greeting':
    case 'preparing':
      return failAtBothEnds(state.control, reason);
    case 'stopping':
    case 'loading':
      return failAtBothEnds(state.control, reason, { type: 'resume-guest' });
    case 'committed':
      return lose(state.control, reason, ranThere);
    case 'doubtful':
      return lose(state.control, state.broke, ranThere);
    case 'draining':
      return lose(state.control, reason, true);
    case 'done':
    case 'failed':
    case 'lost':
      return { state, actions: [] };
  }
}

/** ABORT goes out first: the guest goes on when the destination has let go of its disks. */
function failAtBothEnds<C, K>(control: C, reason: Error, ...andHere: SourceAction<C, K>[]): SourceStep<C, K> {
  const abort = { type: 'send-abort', control, reason } as const;
  return step({ phase: 'failed' }, abort, ...andHere, { type: 'hang-up', control }, { type: 'fail', reason });
}

function lose<C, K>(control: C, reason: Error, ranThere: boolean): SourceStep<C, K> {
  return step({ phase: 'lost' }, { type: 'hang-up', control }, { type: 'lose', reason, ranThere });
}

function step<C, K>(state: SourceState<C, K>, ...actions: SourceAction<C, K>[]): SourceStep<C, K> {
  return { state, actions };
}

export class RefusedError extends Error {
  constructor(readonly reasons: string[]) {
    super(reasons.join('; '));
  }
}
