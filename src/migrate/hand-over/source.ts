/**
 * The source's side of the hand-over as pure code: events in, actions out. It knows no socket and no thread, so every
 * interleaving can be tested. The driver (send-vm.ts, through drive.ts) feeds one event at a time. Events bring what they
 * tell of, states hold what is needed later, and actions are given what they need.
 *
 *   ready -> writing-back -> connecting -> greeting -> preparing -> stopping -> loading -> committed -> draining -> done
 *       \__________\_____________\____________\__________|  \____________\__________/         |   ______/ |
 *                                             |         copying -> stopping              v  v        |
 *                         tried <- preparing |
 *                                           failed <------------------------------- interrupted   lost
 *                                                      the destination never ran it      |  ^
 *                                                                                        v  |
 *                                                                                      rejoining -> draining -> settling -> done
 *
 * tried: of a dry run, which ends where the guest would be stopped. writing-back: the guest runs, and what it has written
 * goes to its disks, so that little is left when it stands still. copying: of the modes with rounds; pages cross while the guest
 * runs here, for as long as that takes. interrupted: a connection broke behind COMMIT.
 * Everything that the destination has not acknowledged is kept, and the ends look for each other; once they meet, the
 * destination says what it is (STANDING), which decides. rejoining: it runs the guest, and what it lacks goes on its way
 * again. failed: nothing was handed over, or the destination never ran the guest
 * and never will; the guest runs on here. lost: the destination has given the guest up, or somebody here has given the
 * destination up: it never runs here again in this epoch, unless it cannot have run there and somebody says so. Once the
 * destination has acknowledged every page, nothing that breaks loses anything: it is done, as soon as the destination knows
 * that this end knows. One that was pushed a page knows. settling: one that was not is told until it has answered, for without
 * that it would halt the guest, and wait for this end for good.
 *
 * A destination of version 7 cannot be met again: where others are `interrupted`, a broken connection loses the guest. Behind
 * COMMIT and before RUNNING, `doubtful`, it is still heard if only a page channel broke.
 *
 * Connections of a migration are numbered by generations, 0 for the first. What comes from one of another generation than
 * the state's comes too late, and changes nothing.
 */
import type { Body, Complete, Standing } from '../wire/message.js';
import type { Step } from './drive.js';

/** Control: the connection to the destination. Capture: what the guest was when it stopped. */
export type SourceState<Control, Capture> =
  | { phase: 'ready' | 'writing-back' | 'connecting' }
  | { phase: 'greeting' | 'preparing' | 'copying' | 'stopping'; control: Control }
  | { phase: 'loading' | 'committed'; control: Control; capture: Capture }
  /** broke: what broke first says more than what follows from it. */
  | { phase: 'doubtful'; control: Control; broke: Error }
  /** ranThere: the destination has said that the guest runs there. */
  | { phase: 'interrupted'; ranThere: boolean; broke: Error }
  | { phase: 'rejoining' | 'draining'; control: Control; generation: number }
  | { phase: 'settling'; control: Control; generation: number; complete: Complete }
  | { phase: 'tried' | 'done' | 'failed' | 'lost' };

export type SourcePhase = SourceState<unknown, unknown>['phase'];

/** generation: of the connection that it came on, or that broke; of none if it came from this end. */
export type SourceEvent<Control, Capture> = { generation?: number } & (
  | { type: 'begin' }
  | { type: 'written-back' }
  | { type: 'connected'; control: Control }
  | { type: 'accept' }
  | { type: 'refuse'; body: Body<'refuse'> }
  /** offered: [first page, pages] pairs that the destination has been told of. */
  | { type: 'channels-open'; offered: Uint32Array }
  /** In place of 'channels-open': pages are to be copied before the guest is stopped. */
  | { type: 'rounds-open' }
  /** The guest is to be stopped now. */
  | { type: 'copied' }
  /** Of a dry run, in place of 'channels-open': nothing stands against the VM's move. */
  | { type: 'tried'; reason: Error }
  | { type: 'captured'; capture: Capture }
  | { type: 'loaded'; body: Body<'loaded'> }
  | { type: 'running'; body: Body<'running'> }
  | { type: 'complete'; body: Complete }
  /** The destination has answered to having been told that this end knows. */
  | { type: 'settled' }
  /** ABORT: the destination has not run the guest and will not. */
  | { type: 'abort'; reason: Error }
  /** LOST: the guest stands still at the destination, short of pages, whatever this end believes. */
  | { type: 'lost'; reason: Error }
  /** The ends have met again. */
  | { type: 'met'; generation: number; control: Control; standing: Standing }
  /** The channels of this generation are open, and what the destination lacks is to be sent. */
  | { type: 'rejoined' }
  /** A page channel broke; the control channel has not. */
  | { type: 'channels-broken'; reason: Error }
  /** The link broke, a deadline passed, the peer broke the protocol, or something failed here. */
  | { type: 'failure'; reason: Error }
  /** Nobody here wants the VM to move any more. Once it is handed over that comes too late. */
  | { type: 'cancel'; reason: Error }
  /** Somebody answers for it that the destination is gone for good. */
  | { type: 'give-up'; reason: Error }
);

export interface SourceFacts {
  /** The destination has said of every page that it is there, at the moment at which the event is looked at. */
  acknowledged: boolean;
  /** A page was pushed: a destination that has them all knows by that that this end knows of its guest. */
  known: boolean;
  /** The destination can be met again on another connection. */
  recovers: boolean;
}

export type SourceAction<Control, Capture> =
  | { type: 'write-back' }
  | { type: 'connect' }
  | { type: 'send-hello'; control: Control }
  | { type: 'open-channels'; control: Control }
  | { type: 'copy-rounds'; control: Control }
  | { type: 'stop-and-capture'; offered: Uint32Array }
  | { type: 'send-state'; control: Control; capture: Capture }
  | { type: 'send-commit'; control: Control; capture: Capture; loaded: Body<'loaded'> }
  | { type: 'start-push'; control: Control; capture: Capture; running: Body<'running'> }
  /** Ends what is left of the connections; what was not acknowledged stays. */
  | { type: 'part'; control: Control }
  /** Until the ends have met, however often that takes. */
  | { type: 'meet'; ranThere: boolean; broke: Error }
  | { type: 'rejoin'; control: Control; generation: number; missing: Uint8Array }
  | { type: 'push-on'; control: Control }
  /** Tells the destination that this end knows, and waits for its answer. */
  | { type: 'settle'; control: Control }
  | { type: 'send-bye'; control: Control }
  | { type: 'send-abort'; control: Control; reason: Error }
  | { type: 'resume-guest' }
  | { type: 'hang-up'; control: Control }
  /** complete: undefined if the link broke before it came, when every page was acknowledged. */
  | { type: 'finish'; complete: Complete | undefined }
  /** Waits until the destination is as it was, though not for ever. */
  | { type: 'await-release'; control: Control }
  | { type: 'finish-dry-run' }
  | { type: 'fail'; reason: Error }
  /** ranThere: the destination has said that the guest runs there, or ran. */
  | { type: 'lose'; reason: Error; ranThere: boolean };

export type SourceStep<Control, Capture> = Step<SourceState<Control, Capture>, SourceAction<Control, Capture>>;

const ENDED: ReadonlySet<SourcePhase> = new Set(['tried', 'done', 'failed', 'lost']);

export function isEnd(phase: SourcePhase): boolean {
  return ENDED.has(phase);
}

/** In rounds, the destination is told of no page before STATE. */
const NONE = new Uint32Array(0);

const NOTHING_KNOWN: SourceFacts = { acknowledged: false, known: false, recovers: true };

export function stepSource<C, K>(
  state: SourceState<C, K>,
  event: SourceEvent<C, K>,
  facts: SourceFacts = NOTHING_KNOWN,
): SourceStep<C, K> {
  if (isEnd(state.phase) || isLate(state, event)) return { state, actions: [] };
  switch (event.type) {
    case 'cancel':
      return isHandedOver(state) ? { state, actions: [] } : fail(state, event.reason, facts);
    case 'give-up':
      if (state.phase === 'rejoining') return lose(state.control, event.reason, true);
      return state.phase === 'interrupted' ? giveUp(state, event.reason) : { state, actions: [] };
    case 'lost':
      if (!isHandedOver(state)) return fail(state, event.reason, facts);
      return lose(controlOf(state), state.phase === 'doubtful' ? state.broke : event.reason, true);
    default:
  }
  if (state.phase === 'draining' && facts.acknowledged && needsNoWord(facts)) {
    return done(state.control, event.type === 'complete' ? event.body : undefined);
  }
  switch (event.type) {
    case 'failure':
      return fail(state, event.reason, facts);
    case 'abort':
      return awaitsRunning(state) ? givenBack(state.control, event.reason) : fail(state, event.reason, facts);
    case 'channels-broken':
      return channelsBroken(state, event.reason, facts);
    default:
      return forward(state, event, facts) ?? outOfTurn(state, event, facts);
  }
}

/** It came on a connection that is not this state's any more. */
function isLate<C, K>(state: SourceState<C, K>, event: SourceEvent<C, K>): boolean {
  if (event.generation === undefined || event.type === 'met') return false;
  return state.phase === 'interrupted' || event.generation !== generationOf(state);
}

function generationOf<C, K>(state: SourceState<C, K>): number {
  return 'generation' in state ? state.generation : 0;
}

/** The way of a migration in which nothing fails. */
function forward<C, K>(
  state: SourceState<C, K>,
  event: SourceEvent<C, K>,
  facts: SourceFacts,
): SourceStep<C, K> | undefined {
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
  if (state.phase === 'preparing' && event.type === 'rounds-open') {
    const { control } = state;
    return step({ phase: 'copying', control }, { type: 'copy-rounds', control });
  }
  if (state.phase === 'copying' && event.type === 'copied') {
    return step({ phase: 'stopping', control: state.control }, { type: 'stop-and-capture', offered: NONE });
  }
  if (state.phase === 'preparing' && event.type === 'tried') return tried(state.control, event.reason);
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
    const push = { type: 'start-push', control, capture, running: event.body } as const;
    return step({ phase: 'draining', control, generation: 0 }, push);
  }
  if (state.phase === 'interrupted' && event.type === 'met') return met(state, event, facts);
  if (state.phase === 'rejoining' && event.type === 'rejoined') {
    return step({ ...state, phase: 'draining' }, { type: 'push-on', control: state.control });
  }
  // While rejoining: the guest is over, and needs no more.
  const isAwaited = state.phase === 'draining' || state.phase === 'rejoining';
  if (isAwaited && event.type === 'complete') return whole(state.control, state.generation, event.body, facts);
  if (state.phase === 'settling' && event.type === 'settled') return done(state.control, state.complete);
  return undefined;
}

/** What the destination says that it is settles all that was not known of it. */
function met<C, K>(
  state: SourceState<C, K> & { phase: 'interrupted' },
  { control, generation, standing }: SourceEvent<C, K> & { type: 'met' },
  facts: SourceFacts,
): SourceStep<C, K> {
  switch (standing.is) {
    case 'never-ran':
      // A guest that has run is nobody's to start again.
      if (state.ranThere) return lose(control, new Error('the destination says that it has never run the guest'), true);
      return givenBack(control, state.broke);
    case 'runs': {
      const { missing } = standing;
      return step({ phase: 'rejoining', control, generation }, { type: 'rejoin', control, generation, missing });
    }
    case 'whole':
      return whole(control, generation, standing.complete, facts);
    case 'lost':
      return lose(control, new Error(standing.reason), true);
  }
}

function outOfTurn<C, K>(state: SourceState<C, K>, event: SourceEvent<C, K>, facts: SourceFacts): SourceStep<C, K> {
  if (state.phase === 'greeting' && event.type === 'refuse') {
    return fail(state, new RefusedError(event.body.reasons), facts);
  }
  const reason = new Error(`the destination sent ${event.type} out of turn, while ${state.phase}`);
  return fail(state, reason, facts, event.type === 'running');
}

function channelsBroken<C, K>(state: SourceState<C, K>, broke: Error, facts: SourceFacts): SourceStep<C, K> {
  // Behind COMPLETE nothing is sent there.
  if (state.phase === 'doubtful' || state.phase === 'settling') return { state, actions: [] };
  if (state.phase !== 'committed' || facts.recovers) return fail(state, broke, facts);
  return { state: { phase: 'doubtful', control: state.control, broke }, actions: [] };
}

type AwaitsRunning<C, K> = Extract<SourceState<C, K>, { phase: 'committed' | 'doubtful' }>;

function awaitsRunning<C, K>(state: SourceState<C, K>): state is AwaitsRunning<C, K> {
  return state.phase === 'committed' || state.phase === 'doubtful';
}

type HandedOver<C, K> = Extract<
  SourceState<C, K>,
  { phase: 'committed' | 'doubtful' | 'draining' | 'settling' | 'interrupted' | 'rejoining' }
>;

function isHandedOver<C, K>(state: SourceState<C, K>): state is HandedOver<C, K> {
  return awaitsRunning(state) || ['draining', 'settling', 'interrupted', 'rejoining'].includes(state.phase);
}

function controlOf<C, K>(state: HandedOver<C, K>): C | undefined {
  return 'control' in state ? state.control : undefined;
}

/** All of the VM is at the destination. */
function whole<C, K>(control: C, generation: number, complete: Complete, facts: SourceFacts): SourceStep<C, K> {
  if (needsNoWord(facts)) return done(control, complete);
  return step({ phase: 'settling', control, generation, complete }, { type: 'settle', control });
}

function needsNoWord({ known, recovers }: SourceFacts): boolean {
  return known || !recovers;
}

function done<C, K>(control: C, complete: Complete | undefined): SourceStep<C, K> {
  return step(
    { phase: 'done' },
    { type: 'send-bye', control },
    { type: 'hang-up', control },
    { type: 'finish', complete },
  );
}

function tried<C, K>(control: C, reason: Error): SourceStep<C, K> {
  return step(
    { phase: 'tried' },
    { type: 'send-abort', control, reason },
    { type: 'await-release', control },
    { type: 'hang-up', control },
    { type: 'finish-dry-run' },
  );
}

function givenBack<C, K>(control: C, reason: Error): SourceStep<C, K> {
  return step(
    { phase: 'failed' },
    { type: 'send-bye', control },
    { type: 'resume-guest' },
    { type: 'hang-up', control },
    { type: 'fail', reason },
  );
}

/** ranThere: this event says so. */
function fail<C, K>(state: SourceState<C, K>, reason: Error, facts: SourceFacts, ranThere = false): SourceStep<C, K> {
  switch (state.phase) {
    case 'ready':
    case 'writing-back':
    case 'connecting':
      return step({ phase: 'failed' }, { type: 'fail', reason });
    case 'greeting':
    case 'preparing':
    case 'copying':
      return failAtBothEnds(state.control, reason);
    case 'stopping':
    case 'loading':
      return failAtBothEnds(state.control, reason, { type: 'resume-guest' });
    case 'committed':
      if (facts.recovers) return interrupted(state.control, reason, ranThere);
      return lose(state.control, reason, ranThere);
    case 'doubtful':
      return lose(state.control, state.broke, ranThere);
    case 'draining':
    case 'settling':
    case 'rejoining':
      if (facts.recovers) return interrupted(state.control, reason, true);
      return lose(state.control, reason, true);
    case 'interrupted':
    case 'tried':
    case 'done':
    case 'failed':
    case 'lost':
      return { state, actions: [] };
  }
}

function interrupted<C, K>(control: C, broke: Error, ranThere: boolean): SourceStep<C, K> {
  return step({ phase: 'interrupted', ranThere, broke }, { type: 'part', control }, { type: 'meet', ranThere, broke });
}

function giveUp<C, K>(state: SourceState<C, K> & { phase: 'interrupted' }, reason: Error): SourceStep<C, K> {
  return step({ phase: 'lost' }, { type: 'lose', reason, ranThere: state.ranThere });
}

/** ABORT goes out first: the guest goes on when the destination has let go of its disks. */
function failAtBothEnds<C, K>(control: C, reason: Error, ...andHere: SourceAction<C, K>[]): SourceStep<C, K> {
  const abort = { type: 'send-abort', control, reason } as const;
  return step({ phase: 'failed' }, abort, ...andHere, { type: 'hang-up', control }, { type: 'fail', reason });
}

function lose<C, K>(control: C | undefined, reason: Error, ranThere: boolean): SourceStep<C, K> {
  const hangUp = control === undefined ? [] : [{ type: 'hang-up', control } as const];
  return step({ phase: 'lost' }, ...hangUp, { type: 'lose', reason, ranThere });
}

function step<C, K>(state: SourceState<C, K>, ...actions: SourceAction<C, K>[]): SourceStep<C, K> {
  return { state, actions };
}

export class RefusedError extends Error {
  constructor(readonly reasons: string[]) {
    super(reasons.join('; '));
  }
}
