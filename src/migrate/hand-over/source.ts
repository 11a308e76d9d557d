/**
 * The source's side of the hand-over as pure code: events in, actions out. It knows no socket and no thread, so every
 * interleaving can be tested. The driver (send-vm.ts) feeds one event at a time and finishes its actions first.
 *
 *   connecting -> greeting -> preparing -> stopping -> loading -> committed -> draining -> done
 *        \___________\____________\___________\__________/         |      \       /
 *                           |                                  doubtful  ->  lost
 *                         failed <-------------------------------'
 *
 * doubtful: a page channel has broken behind COMMIT. Only the destination knows whether it took the VM before, and says so:
 * RUNNING, and the VM is lost; or ABORT, after which it will never run it. failed: nothing was handed over, or the
 * destination has given it back; the guest runs on here. lost: the guest may run at the destination; it never runs
 * here again in this epoch, and what is left of its memory here is kept. Once the destination has acknowledged every page,
 * nothing that breaks loses anything: it is done.
 */
import { PostcopyError } from '../../errors.js';

export type SourcePhase =
  | 'connecting'
  | 'greeting'
  | 'preparing'
  | 'stopping'
  | 'loading'
  | 'committed'
  | 'doubtful'
  | 'draining'
  | 'done'
  | 'failed'
  | 'lost';

export type SourceEvent = SourceHappening & {
  /** The destination has said of every page that it is there, at the moment at which the event is looked at. */
  acknowledged?: boolean;
};

type SourceHappening =
  | { type: 'connected' }
  | { type: 'accept' }
  | { type: 'refuse'; reasons: string[] }
  | { type: 'channels-open' }
  | { type: 'captured' }
  | { type: 'loaded' }
  | { type: 'running' }
  | { type: 'complete' }
  /** ABORT: the destination has not run the guest and will not. */
  | { type: 'abort'; reason: Error }
  /** A page channel broke; the control channel has not. */
  | { type: 'channels-broken'; reason: Error }
  /** The link broke, a deadline passed, the peer broke the protocol, or something failed here. */
  | { type: 'failure'; reason: Error }
  /** Nobody here wants the VM to move any more. Once it is handed over that comes too late. */
  | { type: 'cancel'; reason: Error };

export type SourceAction =
  | { type: 'send-hello' }
  | { type: 'open-channels' }
  | { type: 'stop-and-capture' }
  | { type: 'send-state' }
  | { type: 'send-commit' }
  | { type: 'start-push' }
  | { type: 'send-bye' }
  | { type: 'send-abort'; reason: Error }
  | { type: 'resume-guest' }
  | { type: 'finish' }
  | { type: 'fail'; reason: Error }
  | { type: 'lose'; reason: Error };

export interface SourceStep {
  phase: SourcePhase;
  actions: SourceAction[];
}

type Forward = Partial<Record<SourcePhase, Partial<Record<SourceEvent['type'], SourceStep>>>>;

const DONE: SourceStep = { phase: 'done', actions: [{ type: 'send-bye' }, { type: 'finish' }] };

/** The way of a migration in which nothing fails. */
const FORWARD: Forward = {
  connecting: { connected: { phase: 'greeting', actions: [{ type: 'send-hello' }] } },
  greeting: { accept: { phase: 'preparing', actions: [{ type: 'open-channels' }] } },
  preparing: { 'channels-open': { phase: 'stopping', actions: [{ type: 'stop-and-capture' }] } },
  stopping: { captured: { phase: 'loading', actions: [{ type: 'send-state' }] } },
  loading: { loaded: { phase: 'committed', actions: [{ type: 'send-commit' }] } },
  committed: { running: { phase: 'draining', actions: [{ type: 'start-push' }] } },
  draining: { complete: DONE },
};

const ENDED: ReadonlySet<SourcePhase> = new Set(['done', 'failed', 'lost']);

export function isEnd(phase: SourcePhase): boolean {
  return ENDED.has(phase);
}

const GUEST_STOPPED: ReadonlySet<SourcePhase> = new Set(['stopping', 'loading']);
const AWAITS_RUNNING: ReadonlySet<SourcePhase> = new Set(['committed', 'doubtful']);
const HANDED_OVER: ReadonlySet<SourcePhase> = new Set([...AWAITS_RUNNING, 'draining']);

export function stepSource(phase: SourcePhase, event: SourceEvent): SourceStep {
  if (isEnd(phase)) return { phase, actions: [] };
  if (phase === 'draining' && event.acknowledged === true && event.type !== 'cancel') return DONE;
  if (event.type === 'failure') return fail(phase, event.reason);
  if (event.type === 'abort') return AWAITS_RUNNING.has(phase) ? givenBack(event.reason) : fail(phase, event.reason);
  if (event.type === 'channels-broken') {
    return AWAITS_RUNNING.has(phase) ? { phase: 'doubtful', actions: [] } : fail(phase, event.reason);
  }
  if (event.type === 'running' && phase === 'doubtful') {
    return fail(phase, new PostcopyError('LINK_LOST', 'a page channel broke in the hand-over'));
  }
  if (event.type === 'cancel') return HANDED_OVER.has(phase) ? { phase, actions: [] } : fail(phase, event.reason);
  if (event.type === 'refuse' && phase === 'greeting') {
    return fail(phase, new RefusedError(event.reasons));
  }
  return (
    FORWARD[phase]?.[event.type] ??
    fail(phase, new Error(`the destination sent ${event.type} out of turn, while ${phase}`))
  );
}

function givenBack(reason: Error): SourceStep {
  return { phase: 'failed', actions: [{ type: 'resume-guest' }, { type: 'fail', reason }] };
}

function fail(phase: SourcePhase, reason: Error): SourceStep {
  if (HANDED_OVER.has(phase)) return { phase: 'lost', actions: [{ type: 'lose', reason }] };
  const actions: SourceAction[] = [];
  // First: the guest goes on when the destination has let go of its disks.
  if (phase !== 'connecting') actions.push({ type: 'send-abort', reason });
  if (GUEST_STOPPED.has(phase)) actions.push({ type: 'resume-guest' });
  actions.push({ type: 'fail', reason });
  return { phase: 'failed', actions };
}

export class RefusedError extends Error {
  constructor(readonly reasons: string[]) {
    super(reasons.join('; '));
  }
}
