import { describe, expect, it } from 'vitest';
import {
  stepDestination,
  type DestinationEvent,
  type DestinationPhase,
} from '../../../../src/migrate/hand-over/destination.js';

const reason = new Error('the link broke');

const EVENTS: Record<DestinationEvent['type'], DestinationEvent> = {
  checked: { type: 'checked' },
  objections: { type: 'objections', reasons: ['too small', 'too old'] },
  state: { type: 'state' },
  'state-loaded': { type: 'state-loaded' },
  commit: { type: 'commit' },
  'all-installed': { type: 'all-installed' },
  bye: { type: 'bye' },
  failure: { type: 'failure', reason },
};

/** Every event in every phase: the next phase, then the actions in order. */
const TABLE: Record<DestinationPhase, Record<DestinationEvent['type'], string>> = {
  checking: {
    checked: 'accepted: send-accept',
    objections: 'refused: send-refuse',
    state: 'failed: send-abort discard',
    'state-loaded': 'failed: send-abort discard',
    commit: 'failed: send-abort discard',
    'all-installed': 'failed: send-abort discard',
    bye: 'failed: send-abort discard',
    failure: 'failed: send-abort discard',
  },
  refused: {
    checked: 'refused:',
    objections: 'refused:',
    state: 'refused:',
    'state-loaded': 'refused:',
    commit: 'refused:',
    'all-installed': 'refused:',
    bye: 'refused:',
    failure: 'refused:',
  },
  accepted: {
    checked: 'failed: send-abort discard',
    objections: 'failed: send-abort discard',
    state: 'loading: load-state',
    'state-loaded': 'failed: send-abort discard',
    commit: 'failed: send-abort discard',
    'all-installed': 'failed: send-abort discard',
    bye: 'failed: send-abort discard',
    failure: 'failed: send-abort discard',
  },
  loading: {
    checked: 'failed: send-abort discard',
    objections: 'failed: send-abort discard',
    state: 'failed: send-abort discard',
    'state-loaded': 'loaded: send-loaded',
    commit: 'failed: send-abort discard',
    'all-installed': 'failed: send-abort discard',
    bye: 'failed: send-abort discard',
    failure: 'failed: send-abort discard',
  },
  loaded: {
    checked: 'failed: send-abort discard',
    objections: 'failed: send-abort discard',
    state: 'failed: send-abort discard',
    'state-loaded': 'failed: send-abort discard',
    commit: 'running: run-guest',
    'all-installed': 'failed: send-abort discard',
    bye: 'failed: send-abort discard',
    failure: 'failed: send-abort discard',
  },
  running: {
    checked: 'lost: send-lost lose',
    objections: 'lost: send-lost lose',
    state: 'lost: send-lost lose',
    'state-loaded': 'lost: send-lost lose',
    commit: 'lost: send-lost lose',
    'all-installed': 'completing: send-complete',
    bye: 'lost: send-lost lose',
    failure: 'lost: send-lost lose',
  },
  completing: {
    checked: 'done: finish',
    objections: 'done: finish',
    state: 'done: finish',
    'state-loaded': 'done: finish',
    commit: 'done: finish',
    'all-installed': 'done: finish',
    bye: 'done: finish',
    failure: 'done: finish',
  },
  done: {
    checked: 'done:',
    objections: 'done:',
    state: 'done:',
    'state-loaded': 'done:',
    commit: 'done:',
    'all-installed': 'done:',
    bye: 'done:',
    failure: 'done:',
  },
  failed: {
    checked: 'failed:',
    objections: 'failed:',
    state: 'failed:',
    'state-loaded': 'failed:',
    commit: 'failed:',
    'all-installed': 'failed:',
    bye: 'failed:',
    failure: 'failed:',
  },
  lost: {
    checked: 'lost:',
    objections: 'lost:',
    state: 'lost:',
    'state-loaded': 'lost:',
    commit: 'lost:',
    'all-installed': 'lost:',
    bye: 'lost:',
    failure: 'lost:',
  },
};

const ROWS = Object.entries(TABLE).flatMap(([phase, row]) =>
  Object.entries(row).map(
    ([event, step]) => [phase as DestinationPhase, event as DestinationEvent['type'], step] as const,
  ),
);

describe('stepDestination', () => {
  it.each(ROWS)('%s, %s -> %s', (phase, event, expected) => {
    const { phase: next, actions } = stepDestination(phase, EVENTS[event]);
    expect([`${next}:`, ...actions.map((action) => action.type)].join(' ')).toBe(expected);
  });

  it('says why it failed', () => {
    expect(stepDestination('loaded', EVENTS.failure).actions).toEqual([
      { type: 'send-abort', reason },
      { type: 'discard', reason },
    ]);
    expect(stepDestination('running', EVENTS.failure).actions).toEqual([
      { type: 'send-lost', reason },
      { type: 'lose', reason },
    ]);
  });

  it.each(['failure', 'bye', 'commit'] as const)('is done with a guest that lacks nothing, at a %s too', (type) => {
    const { phase, actions } = stepDestination('running', { ...EVENTS[type], whole: true });
    expect([phase, ...actions.map((action) => action.type)]).toEqual(['done', 'send-complete', 'finish']);
  });

  it.each(['accepted', 'loading', 'loaded'] as const)('gives back, while %s, also what lacks nothing', (phase) => {
    expect(stepDestination(phase, { ...EVENTS.failure, whole: true }).phase).toBe('failed');
  });

  it('passes on every objection', () => {
    expect(stepDestination('checking', EVENTS.objections).actions).toEqual([
      { type: 'send-refuse', reasons: ['too small', 'too old'] },
    ]);
  });

  it('names a message out of turn and the phase', () => {
    const [abort] = stepDestination('accepted', EVENTS.commit).actions;
    expect(abort).toHaveProperty('reason.message', 'the source sent commit out of turn, while accepted');
  });
});
