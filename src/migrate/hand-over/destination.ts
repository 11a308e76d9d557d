/**
 * The destination's side of the hand-over as pure code: events in, actions out. The driver (receive-vm.ts) feeds one
 * event at a time and finishes its actions first.
 *
 *   checking -> accepted -> loading -> loaded -> running -> completing -> done
 *       \ ->refused  \________\__________/          |
 *                         failed                   lost
 *
 * failed: the guest never ran here, all of it is dropped. lost: the guest ran here and pages are missing; it is halted,
 * what is here is kept. A guest of which nothing is missing needs the source no more: whatever breaks then changes nothing,
 * also when the news that all pages are here is behind that of the break.
 */
export type DestinationPhase =
  'checking' | 'refused' | 'accepted' | 'loading' | 'loaded' | 'running' | 'completing' | 'done' | 'failed' | 'lost';

export type DestinationEvent = DestinationHappening & {
  /** No page of the VM is missing here, at the moment at which the event is looked at. */
  whole?: boolean;
};

type DestinationHappening =
  | { type: 'checked' }
  | { type: 'objections'; reasons: string[] }
  | { type: 'state' }
  | { type: 'state-loaded' }
  | { type: 'commit' }
  | { type: 'all-installed' }
  | { type: 'bye' }
  | { type: 'failure'; reason: Error };

export type DestinationAction =
  | { type: 'send-accept' }
  | { type: 'send-refuse'; reasons: string[] }
  | { type: 'load-state' }
  | { type: 'send-loaded' }
  | { type: 'run-guest' }
  | { type: 'send-complete' }
  | { type: 'send-abort'; reason: Error }
  | { type: 'send-lost'; reason: Error }
  | { type: 'finish' }
  | { type: 'discard'; reason: Error }
  | { type: 'lose'; reason: Error };

export interface DestinationStep {
  phase: DestinationPhase;
  actions: DestinationAction[];
}

type Forward = Partial<Record<DestinationPhase, Partial<Record<DestinationEvent['type'], DestinationStep>>>>;

const FORWARD: Forward = {
  checking: { checked: { phase: 'accepted', actions: [{ type: 'send-accept' }] } },
  accepted: { state: { phase: 'loading', actions: [{ type: 'load-state' }] } },
  loading: { 'state-loaded': { phase: 'loaded', actions: [{ type: 'send-loaded' }] } },
  loaded: { commit: { phase: 'running', actions: [{ type: 'run-guest' }] } },
  running: { 'all-installed': { phase: 'completing', actions: [{ type: 'send-complete' }] } },
  completing: { bye: { phase: 'done', actions: [{ type: 'finish' }] } },
};

const ENDED: ReadonlySet<DestinationPhase> = new Set(['refused', 'done', 'failed', 'lost']);

export function isEnd(phase: DestinationPhase): boolean {
  return ENDED.has(phase);
}

export function stepDestination(phase: DestinationPhase, event: DestinationEvent): DestinationStep {
  if (isEnd(phase)) return { phase, actions: [] };
  if (event.type === 'failure') return fail(phase, event.reason, event.whole);
  if (event.type === 'objections' && phase === 'checking') {
    return { phase: 'refused', actions: [{ type: 'send-refuse', reasons: event.reasons }] };
  }
  return (
    FORWARD[phase]?.[event.type] ??
    fail(phase, new Error(`the source sent ${event.type} out of turn, while ${phase}`), event.whole)
  );
}

function fail(phase: DestinationPhase, reason: Error, whole = false): DestinationStep {
  // COMPLETE goes out if it still can.
  if (phase === 'running' && whole) return ending('done', { type: 'send-complete' }, { type: 'finish' });
  if (phase === 'completing') return { phase: 'done', actions: [{ type: 'finish' }] };
  if (phase === 'running') return ending('lost', { type: 'send-lost', reason }, { type: 'lose', reason });
  return ending('failed', { type: 'send-abort', reason }, { type: 'discard', reason });
}

function ending(phase: DestinationPhase, ...actions: DestinationAction[]): DestinationStep {
  return { phase, actions };
}
