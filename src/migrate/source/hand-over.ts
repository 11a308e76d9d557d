/**
 * The source's side of the hand-over as pure code: events in, actions out. It knows no socket and no thread, so every
 * interleaving can be tested. The driver (send-vm.ts) feeds one event at a time and finishes its actions first.
 *
 *   connecting -> greeting -> preparing -> stopping -> loading -> committed -> draining -> done
 *        \___________\____________\___________\__________/             \___________/
 *                          failed                                          lost
 *
 * failed: nothing was handed over, the guest runs on here. lost: the guest may run at the destination; it never runs
 * here again in this epoch, and what is left of its memory here is kept.
 */
export type SourcePhase =
  | 'connecting'
  | 'greeting'
  | 'preparing'
  | 'stopping'
  | 'loading'
  | 'committed'
  | 'draining'
  | 'done'
  | 'failed'
  | 'lost';

export type SourceEvent =
  | { type: 'connected' }
  | { type: 'accept' }
  | { type: 'refuse'; reasons: string[] }
  | { type: 'channels-open' }
  | { type: 'captured' }
  | { type: 'loaded' }
  | { type: 'running' }
  | { type: 'complete' }
  /** The link broke, a deadline passed, the peer aborted or broke the protocol, or something failed here. */
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

/** The way of a migration in which nothing fails. */
const FORWARD: Forward = {
  connecting: { connected: { phase: 'greeting', actions: [{ type: 'send-hello' }] } },
  greeting: { accept: { phase: 'preparing', actions: [{ type: 'open-channels' }] } },
  preparing: { 'channels-open': { phase: 'stopping', actions: [{ type: 'stop-and-capture' }] } },
  stopping: { captured: { phase: 'loading', actions: [{ type: 'send-state' }] } },
  loading: { loaded: { phase: 'committed', actions: [{ type: 'send-commit' }] } },
  committed: { running: { phase: 'draining', actions: [{ type: 'start-push' }] } },
  draining: { complete: { phase: 'done', actions: [{ type: 'send-bye' }, { type: 'finish' }] } },
};

const ENDED: ReadonlySet<SourcePhase> = new Set(['done', 'failed', 'lost']);

export function isEnd(phase: SourcePhase): boolean {
  return ENDED.has(phase);
}

const GUEST_STOPPED: ReadonlySet<SourcePhase> = new Set(['stopping', 'loading']);
const HANDED_OVER: ReadonlySet<SourcePhase> = new Set(['committed', 'draining']);

export function stepSource(phase: SourcePhase, event: SourceEvent): SourceStep {
  if (isEnd(phase)) return { phase, actions: [] };
  if (event.type === 'failure') return fail(phase, event.reason);
  if (event.type === 'cancel') return HANDED_OVER.has(phase) ? { phase, actions: [] } : fail(phase, event.reason);
  if (event.type === 'refuse' && phase === 'greeting') {
    return fail(phase, new RefusedError(event.reasons));
  }
  return (
    FORWARD[phase]?.[event.type] ??
    fail(phase, new Error(`the destination sent ${event.type} out of turn, while ${phase}`))
  );
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
