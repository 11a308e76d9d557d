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
  copying: { phase: 'copying', arrival: 'arrival' },
  loading: { phase: 'loading', arrival: 'arrival', state },
  loaded: { phase: 'loaded', arrival: 'arrival', state },
  running: { phase: 'running', arrival: 'arrival', generation: 0, known: false, halted: false, settled: false },
  apart: { phase: 'apart', arrival: 'arrival', generation: 0, known: false, halted: false, settled: false },
  completing: { phase: 'completing', arrival: 'arrival', generation: 0, known: true, halted: false, settled: true },
  done: { phase: 'done', arrival: 'arrival' },
  failed: { phase: 'failed' },
  lost: { phase: 'lost', arrival: 'arrival' },
};

const EVENTS: Record<Event['type'], Event> = {
  hello: { type: 'hello', body: hello },
  checked: { type: 'checked', arrival: 'arrival' },
  objections: { type: 'objections', reasons: ['too small', 'too old'] },
  ram: { type: 'ram', body: ram },
  copying: { type: 'copying' },
  state: { type: 'state', state },
  'state-loaded': { type: 'state-loaded' },
  commit: { type: 'commit', commit },
  'all-installed': { type: 'all-installed' },
  'not-needed': { type: 'not-needed' },
  'not-run': { type: 'not-run', reason },
  pushing: { type: 'pushing' },
  met: { type: 'met', generation: 3 },
  'alone-too-long': { type: 'alone-too-long' },
  bye: { type: 'bye' },
  failure: { type: 'failure', reason },
  cancel: { type: 'cancel', reason },
};

/** Every event in every phase, with a peer that cannot be met again: the next phase, then the actions in order. */
const TABLE: Record<DestinationPhase, Record<Event['type'], string>> = {
  waiting: {
    hello: 'checking: check',
    checked: 'failed: send-abort call-off',
    objections: 'failed: send-abort call-off',
    ram: 'failed: send-abort call-off',
    copying: 'failed: send-abort call-off',
    state: 'failed: send-abort call-off',
    'state-loaded': 'failed: send-abort call-off',
    commit: 'failed: send-abort call-off',
    'all-installed': 'failed: send-abort call-off',
    'not-needed': 'waiting:',
    'not-run': 'failed: send-abort call-off',
    pushing: 'failed: send-abort call-off',
    met: 'failed: send-abort call-off',
    'alone-too-long': 'waiting:',
    bye: 'failed: send-abort call-off',
    failure: 'failed: send-abort call-off',
    cancel: 'failed: send-abort call-off',
  },
  checking: {
    hello: 'failed: send-abort call-off',
    checked: 'accepted: send-accept',
    objections: 'refused: send-refuse',
    ram: 'failed: send-abort call-off',
    copying: 'failed: send-abort call-off',
    state: 'failed: send-abort call-off',
    'state-loaded': 'failed: send-abort call-off',
    commit: 'failed: send-abort call-off',
    'all-installed': 'failed: send-abort call-off',
    'not-needed': 'checking:',
    'not-run': 'failed: send-abort call-off',
    pushing: 'failed: send-abort call-off',
    met: 'failed: send-abort call-off',
    'alone-too-long': 'checking:',
    bye: 'failed: send-abort call-off',
    failure: 'failed: send-abort call-off',
    cancel: 'failed: send-abort call-off',
  },
  refused: {
    hello: 'refused:',
    checked: 'refused:',
    objections: 'refused:',
    ram: 'refused:',
    copying: 'refused:',
    state: 'refused:',
    'state-loaded': 'refused:',
    commit: 'refused:',
    'all-installed': 'refused:',
    'not-needed': 'refused:',
    'not-run': 'refused:',
    pushing: 'refused:',
    met: 'refused:',
    'alone-too-long': 'refused:',
    bye: 'refused:',
    failure: 'refused:',
    cancel: 'refused:',
  },
  accepted: {
    hello: 'failed: send-abort discard',
    checked: 'failed: send-abort discard',
    objections: 'failed: send-abort discard',
    ram: 'accepted: expect-ram',
    copying: 'copying: expect-rounds',
    state: 'loading: load-state',
    'state-loaded': 'failed: send-abort discard',
    commit: 'failed: send-abort discard',
    'all-installed': 'failed: send-abort discard',
    'not-needed': 'accepted:',
    'not-run': 'failed: send-abort discard',
    pushing: 'failed: send-abort discard',
    met: 'failed: send-abort discard',
    'alone-too-long': 'accepted:',
    bye: 'failed: send-abort discard',
    failure: 'failed: send-abort discard',
    cancel: 'failed: send-abort discard',
  },
  copying: {
    hello: 'failed: send-abort discard',
    checked: 'failed: send-abort discard',
    objections: 'failed: send-abort discard',
    ram: 'failed: send-abort discard',
    copying: 'failed: send-abort discard',
    state: 'loading: load-state',
    'state-loaded': 'failed: send-abort discard',
    commit: 'failed: send-abort discard',
    'all-installed': 'failed: send-abort discard',
    'not-needed': 'copying:',
    'not-run': 'failed: send-abort discard',
    pushing: 'failed: send-abort discard',
    met: 'failed: send-abort discard',
    'alone-too-long': 'copying:',
    bye: 'failed: send-abort discard',
    failure: 'failed: send-abort discard',
    cancel: 'failed: send-abort discard',
  },
  loading: {
    hello: 'failed: send-abort discard',
    checked: 'failed: send-abort discard',
    objections: 'failed: send-abort discard',
    ram: 'failed: send-abort discard',
    copying: 'failed: send-abort discard',
    state: 'failed: send-abort discard',
    'state-loaded': 'loaded: send-loaded',
    commit: 'failed: send-abort discard',
    'all-installed': 'failed: send-abort discard',
    'not-needed': 'loading:',
    'not-run': 'failed: send-abort discard',
    pushing: 'failed: send-abort discard',
    met: 'failed: send-abort discard',
    'alone-too-long': 'loading:',
    bye: 'failed: send-abort discard',
    failure: 'failed: send-abort discard',
    cancel: 'failed: send-abort discard',
  },
  loaded: {
    hello: 'failed: send-abort discard',
    checked: 'failed: send-abort discard',
    objections: 'failed: send-abort discard',
    ram: 'failed: send-abort discard',
    copying: 'failed: send-abort discard',
    state: 'failed: send-abort discard',
    'state-loaded': 'failed: send-abort discard',
    commit: 'running: run-guest',
    'all-installed': 'failed: send-abort discard',
    'not-needed': 'loaded:',
    'not-run': 'failed: send-abort discard',
    pushing: 'failed: send-abort discard',
    met: 'failed: send-abort discard',
    'alone-too-long': 'loaded:',
    bye: 'failed: send-abort discard',
    failure: 'failed: send-abort discard',
    cancel: 'failed: send-abort discard',
  },
  running: {
    hello: 'lost: send-lost lose',
    checked: 'lost: send-lost lose',
    objections: 'lost: send-lost lose',
    ram: 'lost: send-lost lose',
    copying: 'lost: send-lost lose',
    state: 'lost: send-lost lose',
    'state-loaded': 'lost: send-lost lose',
    commit: 'lost: send-lost lose',
    'all-installed': 'completing: send-complete',
    'not-needed': 'completing: send-complete',
    'not-run': 'failed: send-abort discard',
    pushing: 'running: source-knows',
    met: 'running: part rejoin',
    'alone-too-long': 'running: halt-guest',
    bye: 'lost: send-lost lose',
    failure: 'lost: send-lost lose',
    cancel: 'lost: send-lost lose',
  },
  apart: {
    hello: 'apart:',
    checked: 'apart:',
    objections: 'apart:',
    ram: 'apart:',
    copying: 'apart:',
    state: 'apart:',
    'state-loaded': 'apart:',
    commit: 'apart:',
    'all-installed': 'apart:',
    'not-needed': 'apart:',
    'not-run': 'apart:',
    pushing: 'apart:',
    met: 'running: rejoin',
    'alone-too-long': 'apart: halt-guest',
    bye: 'apart:',
    failure: 'apart:',
    cancel: 'lost: send-lost lose',
  },
  completing: {
    hello: 'done: finish',
    checked: 'done: finish',
    objections: 'done: finish',
    ram: 'done: finish',
    copying: 'done: finish',
    state: 'done: finish',
    'state-loaded': 'done: finish',
    commit: 'done: finish',
    'all-installed': 'completing:',
    'not-needed': 'completing:',
    'not-run': 'done: finish',
    pushing: 'completing:',
    met: 'completing: send-whole',
    'alone-too-long': 'completing:',
    bye: 'done: finish',
    failure: 'done: finish',
    cancel: 'done: finish',
  },
  done: {
    hello: 'done:',
    checked: 'done:',
    objections: 'done:',
    ram: 'done:',
    copying: 'done:',
    state: 'done:',
    'state-loaded': 'done:',
    commit: 'done:',
    'all-installed': 'done:',
    'not-needed': 'done:',
    'not-run': 'done:',
    pushing: 'done:',
    met: 'done:',
    'alone-too-long': 'done:',
    bye: 'done:',
    failure: 'done:',
    cancel: 'done:',
  },
  failed: {
    hello: 'failed:',
    checked: 'failed:',
    objections: 'failed:',
    ram: 'failed:',
    copying: 'failed:',
    state: 'failed:',
    'state-loaded': 'failed:',
    commit: 'failed:',
    'all-installed': 'failed:',
    'not-needed': 'failed:',
    'not-run': 'failed:',
    pushing: 'failed:',
    met: 'failed:',
    'alone-too-long': 'failed:',
    bye: 'failed:',
    failure: 'failed:',
    cancel: 'failed:',
  },
  lost: {
    hello: 'lost:',
    checked: 'lost:',
    objections: 'lost:',
    ram: 'lost:',
    copying: 'lost:',
    state: 'lost:',
    'state-loaded': 'lost:',
    commit: 'lost:',
    'all-installed': 'lost:',
    'not-needed': 'lost:',
    'not-run': 'lost:',
    pushing: 'lost:',
    met: 'lost:',
    'alone-too-long': 'lost:',
    bye: 'lost:',
    failure: 'lost:',
    cancel: 'lost:',
  },
};

/** What is different where the ends can meet again. */
const RECOVERS: [DestinationPhase, Event['type'], string][] = [
  ['running', 'hello', 'apart: part'],
  ['running', 'checked', 'apart: part'],
  ['running', 'objections', 'apart: part'],
  ['running', 'ram', 'apart: part'],
  ['running', 'state', 'apart: part'],
  ['running', 'state-loaded', 'apart: part'],
  ['running', 'commit', 'apart: part'],
  ['running', 'bye', 'apart: part'],
  ['running', 'failure', 'apart: part'],
];

const ROWS = Object.entries(TABLE).flatMap(([phase, row]) =>
  Object.entries(row).map(([event, step]) => [phase as DestinationPhase, event as Event['type'], step] as const),
);

/** The next phase, then the actions in order. */
function outcome(phase: DestinationPhase, event: Event['type'], whole = false, recovers = false): string {
  const { state: next, actions: all } = stepDestination(STATES[phase], EVENTS[event], {
    whole,
    recovers,
    pushed: false,
  });
  return [`${next.phase}:`, ...all.map((action) => action.type)].join(' ');
}

function actions(phase: DestinationPhase, event: Event['type']) {
  return stepDestination(STATES[phase], EVENTS[event], { whole: false, recovers: false, pushed: false }).actions;
}

describe('stepDestination', () => {
  it.each(ROWS)('%s, %s -> %s', (phase, event, expected) => {
    expect(outcome(phase, event)).toBe(expected);
  });

  it.each(RECOVERS)('%s, %s -> %s, where the source can come again', (phase, event, expected) => {
    expect(outcome(phase, event, false, true)).toBe(expected);
  });

  it.each<[DestinationPhase, Event['type'], unknown]>([
    ['waiting', 'hello', { type: 'check', hello }],
    ['accepted', 'ram', { type: 'expect-ram', arrival: 'arrival', ram }],
    ['accepted', 'copying', { type: 'expect-rounds', arrival: 'arrival' }],
    ['copying', 'state', { type: 'load-state', arrival: 'arrival', state: state.body }],
    ['accepted', 'state', { type: 'load-state', arrival: 'arrival', state: state.body }],
    ['loading', 'state-loaded', { type: 'send-loaded', stateAt: 1000 }],
    ['loaded', 'commit', { type: 'run-guest', arrival: 'arrival', state: state.body, commit }],
    ['apart', 'met', { type: 'rejoin', arrival: 'arrival', generation: 3 }],
    ['completing', 'met', { type: 'send-whole', arrival: 'arrival', generation: 3 }],
    ['running', 'all-installed', { type: 'send-complete', arrival: 'arrival' }],
    ['completing', 'bye', { type: 'finish', arrival: 'arrival' }],
  ])('gives the action what it needs: %s, %s', (phase, event, action) => {
    expect(actions(phase, event)).toEqual([action]);
  });

  it('keeps in each state what a later one needs', () => {
    let now: State = STATES.waiting;
    for (const before of ['ram', 'copying'] as const) {
      now = STATES.waiting;
      for (const event of ['hello', 'checked', before, 'state', 'state-loaded'] as const) {
        now = stepDestination(now, EVENTS[event]).state;
      }
      expect(now).toEqual(STATES.loaded);
    }
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

  it('halts a guest of which the source does not know, until it does', () => {
    const now = STATES.apart;
    const halted = stepDestination(now, EVENTS['alone-too-long']);
    expect(halted.state).toEqual({ ...now, halted: true });
    const met = stepDestination(halted.state, EVENTS.met);
    expect(met.state).toMatchObject({ phase: 'running', generation: 3, known: false, halted: true });
    expect(stepDestination(met.state, EVENTS['alone-too-long']).actions).toEqual([]);
    const known = stepDestination(met.state, { type: 'pushing', generation: 3 });
    expect(known.state).toMatchObject({ phase: 'running', known: true, halted: false });
    expect(known.actions.map(({ type }) => type)).toEqual(['source-knows', 'go-on']);
    expect(stepDestination(known.state, EVENTS['alone-too-long']).actions).toEqual([]);
  });

  it('does not hear what comes on another connection than the last', () => {
    const running = { ...STATES.running, generation: 3 } as State;
    for (const event of [EVENTS.failure, EVENTS['state'], EVENTS.met]) {
      for (const generation of [0, 2]) {
        expect(stepDestination(running, { ...event, generation } as Event)).toEqual({ state: running, actions: [] });
      }
    }
    expect(stepDestination(STATES.apart, { ...EVENTS.failure, generation: 0 })).toEqual({
      ...{ state: STATES.apart, actions: [] },
    });
  });

  it.each(['pushing', 'bye'] as const)('believes a %s of an earlier connection: the source knows', (type) => {
    const event = { ...EVENTS[type], generation: 0 } as Event;
    const running = { ...STATES.running, generation: 3, known: false, halted: true } as State;
    const { state: next, actions: all } = stepDestination(running, event);
    expect(next).toEqual({ ...running, known: true, halted: false });
    expect(all.map((action) => action.type)).toEqual(['source-knows', 'go-on']);
    const apart = { ...running, phase: 'apart' } as State;
    expect(stepDestination(apart, event).state).toEqual({ ...apart, known: true, halted: false });
    // Nothing else was needed.
    expect(stepDestination({ ...apart, settled: true } as State, event).actions.map((action) => action.type)).toEqual([
      ...['source-knows', 'go-on', 'finish'],
    ]);
    expect(stepDestination(STATES.loaded, { ...event, generation: 3 }).actions).toEqual([]);
  });

  it('says to a source that comes again that nothing is missing', () => {
    for (const phase of ['running', 'apart'] as const) {
      const { state: next, actions: all } = stepDestination(STATES[phase], EVENTS.met, {
        whole: true,
        recovers: true,
        pushed: false,
      });
      expect(next).toMatchObject({ phase: 'completing', arrival: 'arrival', generation: 3, settled: true });
      expect(all.at(-1)).toEqual({ type: 'send-whole', arrival: 'arrival', generation: 3 });
    }
  });

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
