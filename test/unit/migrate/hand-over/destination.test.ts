import { describe, expect, it } from 'vitest';
import {
  stepDestination,
  type DestinationEvent,
  type DestinationPhase,
  type DestinationState,
} from '../../../../src/migrate/hand-over/destination.js';
import type { Body } from '../../../../src/migrate/wire/message.js';

/** What the machine only hands on may be anything. */
type Event = DestinationEvent<'arrival'>;
type State = DestinationState<'arrival'>;

const reason = new Error('the link broke');
const hello = { name: 'vm' } as Body<'hello'>;
const ram = { ramMap: Uint8Array.of(1) };
const state = { body: { ramMap: Uint8Array.of(2) } as Body<'state'>, at: 1000 };
const commit = { body: { epoch: 1, sinceClockMicros: 5 }, at: 2000 };

const STATES: Record<DestinationPhase, State> = {
  waiting: { phase: 'waiting' },
  checking: { phase: 'checking' },
  refused: { phase: 'refused' },
  accepted: { phase: 'accepted', arrival: 'arrival' },
  loading: { phase: 'loading', arrival: 'arrival', state },
  loaded: { phase: 'loaded', arrival: 'arrival', state },
  running: { phase: 'running', arrival: 'arrival' },
  completing: { phase: 'completing', arrival: 'arrival' },
  done: { phase: 'done', arrival: 'arrival' },
  failed: { phase: 'failed' },
  lost: { phase: 'lost', arrival: 'arrival' },
};

const EVENTS: Record<Event['type'], Event> = {
  hello: { type: 'hello', body: hello },
  checked: { type: 'checked', arrival: 'arrival' },
  objections: { type: 'objections', reasons: ['too small', 'too old'] },
  ram: { type: 'ram', body: ram },
  state: { type: 'state', state },
  'state-loaded': { type: 'state-loaded' },
  commit: { type: 'commit', commit },
  'all-installed': { type: 'all-installed' },
  bye: { type: 'bye' },
  failure: { type: 'failure', reason },
  cancel: { type: 'cancel', reason },
};

/** Every event in every phase: the next phase, then the actions in order. */
const TABLE: Record<DestinationPhase, Record<Event['type'], string>> = {
  waiting: {
    hello: 'checking: check',
    checked: 'failed: send-abort call-off',
    objections: 'failed: send-abort call-off',
    ram: 'failed: send-abort call-off',
    state: 'failed: send-abort call-off',
    'state-loaded': 'failed: send-abort call-off',
    commit: 'failed: send-abort call-off',
    'all-installed': 'failed: send-abort call-off',
    bye: 'failed: send-abort call-off',
    failure: 'failed: send-abort call-off',
    cancel: 'failed: send-abort call-off',
  },
  checking: {
    hello: 'failed: send-abort call-off',
    checked: 'accepted: send-accept',
    objections: 'refused: send-refuse',
    ram: 'failed: send-abort call-off',
    state: 'failed: send-abort call-off',
    'state-loaded': 'failed: send-abort call-off',
    commit: 'failed: send-abort call-off',
    'all-installed': 'failed: send-abort call-off',
    bye: 'failed: send-abort call-off',
    failure: 'failed: send-abort call-off',
    cancel: 'failed: send-abort call-off',
  },
  refused: {
    hello: 'refused:',
    checked: 'refused:',
    objections: 'refused:',
    ram: 'refused:',
    state: 'refused:',
    'state-loaded': 'refused:',
    commit: 'refused:',
    'all-installed': 'refused:',
    bye: 'refused:',
    failure: 'refused:',
    cancel: 'refused:',
  },
  accepted: {
    hello: 'failed: send-abort discard',
    checked: 'failed: send-abort discard',
    objections: 'failed: send-abort discard',
    ram: 'accepted: expect-ram',
    state: 'loading: load-state',
    'state-loaded': 'failed: send-abort discard',
    commit: 'failed: send-abort discard',
    'all-installed': 'failed: send-abort discard',
    bye: 'failed: send-abort discard',
    failure: 'failed: send-abort discard',
    cancel: 'failed: send-abort discard',
  },
  loading: {
    hello: 'failed: send-abort discard',
    checked: 'failed: send-abort discard',
    objections: 'failed: send-abort discard',
    ram: 'failed: send-abort discard',
    state: 'failed: send-abort discard',
    'state-loaded': 'loaded: send-loaded',
    commit: 'failed: send-abort discard',
    'all-installed': 'failed: send-abort discard',
    bye: 'failed: send-abort discard',
    failure: 'failed: send-abort discard',
    cancel: 'failed: send-abort discard',
  },
  loaded: {
    hello: 'failed: send-abort discard',
    checked: 'failed: send-abort discard',
    objections: 'failed: send-abort discard',
    ram: 'failed: send-abort discard',
    state: 'failed: send-abort discard',
    'state-loaded': 'failed: send-abort discard',
    commit: 'running: run-guest',
    'all-installed': 'failed: send-abort discard',
    bye: 'failed: send-abort discard',
    failure: 'failed: send-abort discard',
    cancel: 'failed: send-abort discard',
  },
  running: {
    hello: 'lost: send-lost lose',
    checked: 'lost: send-lost lose',
    objections: 'lost: send-lost lose',
    ram: 'lost: send-lost lose',
    state: 'lost: send-lost lose',
    'state-loaded': 'lost: send-lost lose',
    commit: 'lost: send-lost lose',
    'all-installed': 'completing: send-complete',
    bye: 'lost: send-lost lose',
    failure: 'lost: send-lost lose',
    cancel: 'lost: send-lost lose',
  },
  completing: {
    hello: 'done: finish',
    checked: 'done: finish',
    objections: 'done: finish',
    ram: 'done: finish',
    state: 'done: finish',
    'state-loaded': 'done: finish',
    commit: 'done: finish',
    'all-installed': 'done: finish',
    bye: 'done: finish',
    failure: 'done: finish',
    cancel: 'done: finish',
  },
  done: {
    hello: 'done:',
    checked: 'done:',
    objections: 'done:',
    ram: 'done:',
    state: 'done:',
    'state-loaded': 'done:',
    commit: 'done:',
    'all-installed': 'done:',
    bye: 'done:',
    failure: 'done:',
    cancel: 'done:',
  },
  failed: {
    hello: 'failed:',
    checked: 'failed:',
    objections: 'failed:',
    ram: 'failed:',
    state: 'failed:',
    'state-loaded': 'failed:',
    commit: 'failed:',
    'all-installed': 'failed:',
    bye: 'failed:',
    failure: 'failed:',
    cancel: 'failed:',
  },
  lost: {
    hello: 'lost:',
    checked: 'lost:',
    objections: 'lost:',
    ram: 'lost:',
    state: 'lost:',
    'state-loaded': 'lost:',
    commit: 'lost:',
    'all-installed': 'lost:',
    bye: 'lost:',
    failure: 'lost:',
    cancel: 'lost:',
  },
};

const ROWS = Object.entries(TABLE).flatMap(([phase, row]) =>
  Object.entries(row).map(([event, step]) => [phase as DestinationPhase, event as Event['type'], step] as const),
);

/** The next phase, then the actions in order. */
function outcome(phase: DestinationPhase, event: Event['type'], whole = false): string {
  const { state: next, actions: all } = stepDestination(STATES[phase], EVENTS[event], { whole });
  return [`${next.phase}:`, ...all.map((action) => action.type)].join(' ');
}

function actions(phase: DestinationPhase, event: Event['type']) {
  return stepDestination(STATES[phase], EVENTS[event]).actions;
}

describe('stepDestination', () => {
  it.each(ROWS)('%s, %s -> %s', (phase, event, expected) => {
    expect(outcome(phase, event)).toBe(expected);
  });

  it.each<[DestinationPhase, Event['type'], unknown]>([
    ['waiting', 'hello', { type: 'check', hello }],
    ['accepted', 'ram', { type: 'expect-ram', arrival: 'arrival', ram }],
    ['accepted', 'state', { type: 'load-state', arrival: 'arrival', state: state.body }],
    ['loading', 'state-loaded', { type: 'send-loaded', stateAt: 1000 }],
    ['loaded', 'commit', { type: 'run-guest', arrival: 'arrival', state: state.body, commit }],
    ['running', 'all-installed', { type: 'send-complete', arrival: 'arrival' }],
    ['completing', 'bye', { type: 'finish', arrival: 'arrival' }],
  ])('gives the action what it needs: %s, %s', (phase, event, action) => {
    expect(actions(phase, event)).toEqual([action]);
  });

  it('keeps in each state what a later one needs', () => {
    let now: State = STATES.waiting;
    for (const event of ['hello', 'checked', 'ram', 'state', 'state-loaded'] as const) {
      now = stepDestination(now, EVENTS[event]).state;
    }
    expect(now).toEqual(STATES.loaded);
    for (const event of ['commit', 'all-installed', 'bye'] as const) now = stepDestination(now, EVENTS[event]).state;
    expect(now).toEqual(STATES.done);
  });

  it('says why it failed', () => {
    expect(actions('waiting', 'failure')).toEqual([
      { type: 'send-abort', reason },
      { type: 'call-off', reason },
    ]);
    expect(actions('loaded', 'failure')).toEqual([
      { type: 'send-abort', reason },
      { type: 'discard', arrival: 'arrival', reason },
    ]);
    expect(actions('running', 'failure')).toEqual([
      { type: 'send-lost', reason },
      { type: 'lose', arrival: 'arrival', reason },
    ]);
  });

  it.each(['failure', 'cancel', 'bye', 'commit'] as const)(
    'is done with a guest that lacks nothing, at a %s too',
    (type) => {
      expect(outcome('running', type, true)).toBe('done: send-complete finish');
    },
  );

  it.each(['accepted', 'loading', 'loaded'] as const)('gives back, while %s, also what lacks nothing', (phase) => {
    expect(outcome(phase, 'failure', true)).toMatch(/^failed/);
  });

  it('passes on every objection', () => {
    expect(actions('checking', 'objections')).toEqual([{ type: 'send-refuse', reasons: ['too small', 'too old'] }]);
  });

  it('names a message out of turn and the phase', () => {
    const [abort] = actions('accepted', 'commit');
    expect(abort).toHaveProperty('reason.message', 'the source sent commit out of turn, while accepted');
  });
});
