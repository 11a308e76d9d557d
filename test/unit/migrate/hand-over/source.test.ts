import { describe, expect, it } from 'vitest';
import {
  RefusedError,
  stepSource,
  type SourceEvent,
  type SourcePhase,
} from '../../../../src/migrate/hand-over/source.js';

const reason = new Error('the link broke');

const EVENTS: Record<SourceEvent['type'], SourceEvent> = {
  connected: { type: 'connected' },
  accept: { type: 'accept' },
  refuse: { type: 'refuse', reasons: ['too small', 'too old'] },
  'channels-open': { type: 'channels-open' },
  captured: { type: 'captured' },
  loaded: { type: 'loaded' },
  running: { type: 'running' },
  complete: { type: 'complete' },
  abort: { type: 'abort', reason },
  'channels-broken': { type: 'channels-broken', reason },
  failure: { type: 'failure', reason },
  cancel: { type: 'cancel', reason },
};

/** Every event in every phase: the next phase, then the actions in order. */
const TABLE: Record<SourcePhase, Record<SourceEvent['type'], string>> = {
  connecting: {
    connected: 'greeting: send-hello',
    accept: 'failed: fail',
    refuse: 'failed: fail',
    'channels-open': 'failed: fail',
    captured: 'failed: fail',
    loaded: 'failed: fail',
    running: 'failed: fail',
    complete: 'failed: fail',
    abort: 'failed: fail',
    'channels-broken': 'failed: fail',
    failure: 'failed: fail',
    cancel: 'failed: fail',
  },
  greeting: {
    connected: 'failed: send-abort fail',
    accept: 'preparing: open-channels',
    refuse: 'failed: send-abort fail',
    'channels-open': 'failed: send-abort fail',
    captured: 'failed: send-abort fail',
    loaded: 'failed: send-abort fail',
    running: 'failed: send-abort fail',
    complete: 'failed: send-abort fail',
    abort: 'failed: send-abort fail',
    'channels-broken': 'failed: send-abort fail',
    failure: 'failed: send-abort fail',
    cancel: 'failed: send-abort fail',
  },
  preparing: {
    connected: 'failed: send-abort fail',
    accept: 'failed: send-abort fail',
    refuse: 'failed: send-abort fail',
    'channels-open': 'stopping: stop-and-capture',
    captured: 'failed: send-abort fail',
    loaded: 'failed: send-abort fail',
    running: 'failed: send-abort fail',
    complete: 'failed: send-abort fail',
    abort: 'failed: send-abort fail',
    'channels-broken': 'failed: send-abort fail',
    failure: 'failed: send-abort fail',
    cancel: 'failed: send-abort fail',
  },
  stopping: {
    connected: 'failed: send-abort resume-guest fail',
    accept: 'failed: send-abort resume-guest fail',
    refuse: 'failed: send-abort resume-guest fail',
    'channels-open': 'failed: send-abort resume-guest fail',
    captured: 'loading: send-state',
    loaded: 'failed: send-abort resume-guest fail',
    running: 'failed: send-abort resume-guest fail',
    complete: 'failed: send-abort resume-guest fail',
    abort: 'failed: send-abort resume-guest fail',
    'channels-broken': 'failed: send-abort resume-guest fail',
    failure: 'failed: send-abort resume-guest fail',
    cancel: 'failed: send-abort resume-guest fail',
  },
  loading: {
    connected: 'failed: send-abort resume-guest fail',
    accept: 'failed: send-abort resume-guest fail',
    refuse: 'failed: send-abort resume-guest fail',
    'channels-open': 'failed: send-abort resume-guest fail',
    captured: 'failed: send-abort resume-guest fail',
    loaded: 'committed: send-commit',
    running: 'failed: send-abort resume-guest fail',
    complete: 'failed: send-abort resume-guest fail',
    abort: 'failed: send-abort resume-guest fail',
    'channels-broken': 'failed: send-abort resume-guest fail',
    failure: 'failed: send-abort resume-guest fail',
    cancel: 'failed: send-abort resume-guest fail',
  },
  committed: {
    connected: 'lost: lose',
    accept: 'lost: lose',
    refuse: 'lost: lose',
    'channels-open': 'lost: lose',
    captured: 'lost: lose',
    loaded: 'lost: lose',
    running: 'draining: start-push',
    complete: 'lost: lose',
    abort: 'failed: resume-guest fail',
    'channels-broken': 'doubtful:',
    failure: 'lost: lose',
    cancel: 'committed:',
  },
  doubtful: {
    connected: 'lost: lose',
    accept: 'lost: lose',
    refuse: 'lost: lose',
    'channels-open': 'lost: lose',
    captured: 'lost: lose',
    loaded: 'lost: lose',
    running: 'lost: lose',
    complete: 'lost: lose',
    abort: 'failed: resume-guest fail',
    'channels-broken': 'doubtful:',
    failure: 'lost: lose',
    cancel: 'doubtful:',
  },
  draining: {
    connected: 'lost: lose',
    accept: 'lost: lose',
    refuse: 'lost: lose',
    'channels-open': 'lost: lose',
    captured: 'lost: lose',
    loaded: 'lost: lose',
    running: 'lost: lose',
    complete: 'done: send-bye finish',
    abort: 'lost: lose',
    'channels-broken': 'lost: lose',
    failure: 'lost: lose',
    cancel: 'draining:',
  },
  done: {
    connected: 'done:',
    accept: 'done:',
    refuse: 'done:',
    'channels-open': 'done:',
    captured: 'done:',
    loaded: 'done:',
    running: 'done:',
    complete: 'done:',
    abort: 'done:',
    'channels-broken': 'done:',
    failure: 'done:',
    cancel: 'done:',
  },
  failed: {
    connected: 'failed:',
    accept: 'failed:',
    refuse: 'failed:',
    'channels-open': 'failed:',
    captured: 'failed:',
    loaded: 'failed:',
    running: 'failed:',
    complete: 'failed:',
    abort: 'failed:',
    'channels-broken': 'failed:',
    failure: 'failed:',
    cancel: 'failed:',
  },
  lost: {
    connected: 'lost:',
    accept: 'lost:',
    refuse: 'lost:',
    'channels-open': 'lost:',
    captured: 'lost:',
    loaded: 'lost:',
    running: 'lost:',
    complete: 'lost:',
    abort: 'lost:',
    'channels-broken': 'lost:',
    failure: 'lost:',
    cancel: 'lost:',
  },
};

const ROWS = Object.entries(TABLE).flatMap(([phase, row]) =>
  Object.entries(row).map(([event, step]) => [phase as SourcePhase, event as SourceEvent['type'], step] as const),
);

describe('stepSource', () => {
  it.each(['failure', 'channels-broken', 'loaded'] as const)(
    'is done when the destination has acknowledged all, at a %s too',
    (type) => {
      const { phase, actions } = stepSource('draining', { ...EVENTS[type], acknowledged: true });
      expect([phase, ...actions.map((action) => action.type)]).toEqual(['done', 'send-bye', 'finish']);
      expect(stepSource('committed', { ...EVENTS[type], acknowledged: true }).phase).not.toBe('done');
    },
  );

  it.each(ROWS)('%s, %s -> %s', (phase, event, expected) => {
    const { phase: next, actions } = stepSource(phase, EVENTS[event]);
    expect([`${next}:`, ...actions.map((action) => action.type)].join(' ')).toBe(expected);
  });

  it('says why it failed', () => {
    const { actions } = stepSource('loading', EVENTS.failure);
    expect(actions).toEqual([{ type: 'send-abort', reason }, { type: 'resume-guest' }, { type: 'fail', reason }]);
    expect(stepSource('draining', EVENTS.failure).actions).toEqual([{ type: 'lose', reason }]);
  });

  it('loses a guest that runs there although a page channel broke', () => {
    const lost = stepSource('doubtful', EVENTS.running).actions.find((action) => action.type === 'lose');
    expect(lost?.reason.message).toBe('a page channel broke in the hand-over');
  });

  it('says why the destination gave a guest back', () => {
    expect(stepSource('committed', EVENTS.abort).actions).toEqual([{ type: 'resume-guest' }, { type: 'fail', reason }]);
  });

  it('tells every reason of a refusal', () => {
    const failed = stepSource('greeting', EVENTS.refuse).actions.find((action) => action.type === 'fail');
    expect(failed?.reason).toBeInstanceOf(RefusedError);
    expect((failed?.reason as RefusedError).reasons).toEqual(['too small', 'too old']);
    expect(failed?.reason.message).toBe('too small; too old');
  });

  it('names a message out of turn and the phase', () => {
    const failed = stepSource('preparing', EVENTS.running).actions.find((action) => action.type === 'fail');
    expect(failed?.reason.message).toBe('the destination sent running out of turn, while preparing');
  });
});
