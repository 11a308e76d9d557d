import { describe, expect, it } from 'vitest';
import {
  RefusedError,
  stepSource,
  type SourceEvent,
  type SourcePhase,
  type SourceState,
} from '../../../../src/migrate/hand-over/source.js';

/** What the machine only hands on may be anything. */
type Event = SourceEvent<'control', 'capture'>;
type State = SourceState<'control', 'capture'>;

const reason = new Error('the link broke');
const broke = new Error('a page channel broke');
const offered = Uint32Array.of(0, 8);
const loaded = { afterMicros: 300 };
const running = { afterMicros: 40 };
const complete = {
  ...{ faultWaitUs: { count: 0, mean: 0, p50: 0, p90: 0, p99: 0, max: 0 }, vcpuBlockedMs: 0 },
  ...{ peakBytes: 0, overheadBytes: 0 },
};

const STATES: Record<SourcePhase, State> = {
  ready: { phase: 'ready' },
  'writing-back': { phase: 'writing-back' },
  connecting: { phase: 'connecting' },
  greeting: { phase: 'greeting', control: 'control' },
  preparing: { phase: 'preparing', control: 'control' },
  stopping: { phase: 'stopping', control: 'control' },
  loading: { phase: 'loading', control: 'control', capture: 'capture' },
  committed: { phase: 'committed', control: 'control', capture: 'capture' },
  doubtful: { phase: 'doubtful', control: 'control', broke },
  draining: { phase: 'draining', control: 'control' },
  done: { phase: 'done' },
  failed: { phase: 'failed' },
  lost: { phase: 'lost' },
};

const EVENTS: { [T in Event['type']]: Extract<Event, { type: T }> } = {
  begin: { type: 'begin' },
  'written-back': { type: 'written-back' },
  connected: { type: 'connected', control: 'control' },
  accept: { type: 'accept' },
  refuse: { type: 'refuse', body: { reasons: ['too small', 'too old'] } },
  'channels-open': { type: 'channels-open', offered },
  captured: { type: 'captured', capture: 'capture' },
  loaded: { type: 'loaded', body: loaded },
  running: { type: 'running', body: running },
  complete: { type: 'complete', body: complete },
  abort: { type: 'abort', reason },
  lost: { type: 'lost', reason },
  'channels-broken': { type: 'channels-broken', reason },
  failure: { type: 'failure', reason },
  cancel: { type: 'cancel', reason },
};

/** Every event in every phase: the next phase, then the actions in order. */
const TABLE: Record<SourcePhase, Record<Event['type'], string>> = {
  ready: {
    begin: 'writing-back: write-back',
    'written-back': 'failed: fail',
    connected: 'failed: fail',
    accept: 'failed: fail',
    refuse: 'failed: fail',
    'channels-open': 'failed: fail',
    captured: 'failed: fail',
    loaded: 'failed: fail',
    running: 'failed: fail',
    complete: 'failed: fail',
    abort: 'failed: fail',
    lost: 'failed: fail',
    'channels-broken': 'failed: fail',
    failure: 'failed: fail',
    cancel: 'failed: fail',
  },
  'writing-back': {
    begin: 'failed: fail',
    'written-back': 'connecting: connect',
    connected: 'failed: fail',
    accept: 'failed: fail',
    refuse: 'failed: fail',
    'channels-open': 'failed: fail',
    captured: 'failed: fail',
    loaded: 'failed: fail',
    running: 'failed: fail',
    complete: 'failed: fail',
    abort: 'failed: fail',
    lost: 'failed: fail',
    'channels-broken': 'failed: fail',
    failure: 'failed: fail',
    cancel: 'failed: fail',
  },
  connecting: {
    begin: 'failed: fail',
    'written-back': 'failed: fail',
    connected: 'greeting: send-hello',
    accept: 'failed: fail',
    refuse: 'failed: fail',
    'channels-open': 'failed: fail',
    captured: 'failed: fail',
    loaded: 'failed: fail',
    running: 'failed: fail',
    complete: 'failed: fail',
    abort: 'failed: fail',
    lost: 'failed: fail',
    'channels-broken': 'failed: fail',
    failure: 'failed: fail',
    cancel: 'failed: fail',
  },
  greeting: {
    begin: 'failed: send-abort hang-up fail',
    'written-back': 'failed: send-abort hang-up fail',
    connected: 'failed: send-abort hang-up fail',
    accept: 'preparing: open-channels',
    refuse: 'failed: send-abort hang-up fail',
    'channels-open': 'failed: send-abort hang-up fail',
    captured: 'failed: send-abort hang-up fail',
    loaded: 'failed: send-abort hang-up fail',
    running: 'failed: send-abort hang-up fail',
    complete: 'failed: send-abort hang-up fail',
    abort: 'failed: send-abort hang-up fail',
    lost: 'failed: send-abort hang-up fail',
    'channels-broken': 'failed: send-abort hang-up fail',
    failure: 'failed: send-abort hang-up fail',
    cancel: 'failed: send-abort hang-up fail',
  },
  preparing: {
    begin: 'failed: send-abort hang-up fail',
    'written-back': 'failed: send-abort hang-up fail',
    connected: 'failed: send-abort hang-up fail',
    accept: 'failed: send-abort hang-up fail',
    refuse: 'failed: send-abort hang-up fail',
    'channels-open': 'stopping: stop-and-capture',
    captured: 'failed: send-abort hang-up fail',
    loaded: 'failed: send-abort hang-up fail',
    running: 'failed: send-abort hang-up fail',
    complete: 'failed: send-abort hang-up fail',
    abort: 'failed: send-abort hang-up fail',
    lost: 'failed: send-abort hang-up fail',
    'channels-broken': 'failed: send-abort hang-up fail',
    failure: 'failed: send-abort hang-up fail',
    cancel: 'failed: send-abort hang-up fail',
  },
  stopping: {
    begin: 'failed: send-abort resume-guest hang-up fail',
    'written-back': 'failed: send-abort resume-guest hang-up fail',
    connected: 'failed: send-abort resume-guest hang-up fail',
    accept: 'failed: send-abort resume-guest hang-up fail',
    refuse: 'failed: send-abort resume-guest hang-up fail',
    'channels-open': 'failed: send-abort resume-guest hang-up fail',
    captured: 'loading: send-state',
    loaded: 'failed: send-abort resume-guest hang-up fail',
    running: 'failed: send-abort resume-guest hang-up fail',
    complete: 'failed: send-abort resume-guest hang-up fail',
    abort: 'failed: send-abort resume-guest hang-up fail',
    lost: 'failed: send-abort resume-guest hang-up fail',
    'channels-broken': 'failed: send-abort resume-guest hang-up fail',
    failure: 'failed: send-abort resume-guest hang-up fail',
    cancel: 'failed: send-abort resume-guest hang-up fail',
  },
  loading: {
    begin: 'failed: send-abort resume-guest hang-up fail',
    'written-back': 'failed: send-abort resume-guest hang-up fail',
    connected: 'failed: send-abort resume-guest hang-up fail',
    accept: 'failed: send-abort resume-guest hang-up fail',
    refuse: 'failed: send-abort resume-guest hang-up fail',
    'channels-open': 'failed: send-abort resume-guest hang-up fail',
    captured: 'failed: send-abort resume-guest hang-up fail',
    loaded: 'committed: send-commit',
    running: 'failed: send-abort resume-guest hang-up fail',
    complete: 'failed: send-abort resume-guest hang-up fail',
    abort: 'failed: send-abort resume-guest hang-up fail',
    lost: 'failed: send-abort resume-guest hang-up fail',
    'channels-broken': 'failed: send-abort resume-guest hang-up fail',
    failure: 'failed: send-abort resume-guest hang-up fail',
    cancel: 'failed: send-abort resume-guest hang-up fail',
  },
  committed: {
    begin: 'lost: hang-up lose',
    'written-back': 'lost: hang-up lose',
    connected: 'lost: hang-up lose',
    accept: 'lost: hang-up lose',
    refuse: 'lost: hang-up lose',
    'channels-open': 'lost: hang-up lose',
    captured: 'lost: hang-up lose',
    loaded: 'lost: hang-up lose',
    running: 'draining: start-push',
    complete: 'lost: hang-up lose',
    abort: 'failed: resume-guest hang-up fail',
    lost: 'lost: hang-up lose',
    'channels-broken': 'doubtful:',
    failure: 'lost: hang-up lose',
    cancel: 'committed:',
  },
  doubtful: {
    begin: 'lost: hang-up lose',
    'written-back': 'lost: hang-up lose',
    connected: 'lost: hang-up lose',
    accept: 'lost: hang-up lose',
    refuse: 'lost: hang-up lose',
    'channels-open': 'lost: hang-up lose',
    captured: 'lost: hang-up lose',
    loaded: 'lost: hang-up lose',
    running: 'lost: hang-up lose',
    complete: 'lost: hang-up lose',
    abort: 'failed: resume-guest hang-up fail',
    lost: 'lost: hang-up lose',
    'channels-broken': 'doubtful:',
    failure: 'lost: hang-up lose',
    cancel: 'doubtful:',
  },
  draining: {
    begin: 'lost: hang-up lose',
    'written-back': 'lost: hang-up lose',
    connected: 'lost: hang-up lose',
    accept: 'lost: hang-up lose',
    refuse: 'lost: hang-up lose',
    'channels-open': 'lost: hang-up lose',
    captured: 'lost: hang-up lose',
    loaded: 'lost: hang-up lose',
    running: 'lost: hang-up lose',
    complete: 'done: send-bye hang-up finish',
    abort: 'lost: hang-up lose',
    lost: 'lost: hang-up lose',
    'channels-broken': 'lost: hang-up lose',
    failure: 'lost: hang-up lose',
    cancel: 'draining:',
  },
  done: {
    begin: 'done:',
    'written-back': 'done:',
    connected: 'done:',
    accept: 'done:',
    refuse: 'done:',
    'channels-open': 'done:',
    captured: 'done:',
    loaded: 'done:',
    running: 'done:',
    complete: 'done:',
    abort: 'done:',
    lost: 'done:',
    'channels-broken': 'done:',
    failure: 'done:',
    cancel: 'done:',
  },
  failed: {
    begin: 'failed:',
    'written-back': 'failed:',
    connected: 'failed:',
    accept: 'failed:',
    refuse: 'failed:',
    'channels-open': 'failed:',
    captured: 'failed:',
    loaded: 'failed:',
    running: 'failed:',
    complete: 'failed:',
    abort: 'failed:',
    lost: 'failed:',
    'channels-broken': 'failed:',
    failure: 'failed:',
    cancel: 'failed:',
  },
  lost: {
    begin: 'lost:',
    'written-back': 'lost:',
    connected: 'lost:',
    accept: 'lost:',
    refuse: 'lost:',
    'channels-open': 'lost:',
    captured: 'lost:',
    loaded: 'lost:',
    running: 'lost:',
    complete: 'lost:',
    abort: 'lost:',
    lost: 'lost:',
    'channels-broken': 'lost:',
    failure: 'lost:',
    cancel: 'lost:',
  },
};

const ROWS = Object.entries(TABLE).flatMap(([phase, row]) =>
  Object.entries(row).map(([event, step]) => [phase as SourcePhase, event as Event['type'], step] as const),
);

/** The next phase, then the actions in order. */
function outcome(phase: SourcePhase, event: Event['type'], acknowledged = false): string {
  const { state, actions } = stepSource(STATES[phase], EVENTS[event], { acknowledged });
  return [`${state.phase}:`, ...actions.map((action) => action.type)].join(' ');
}

function actions(phase: SourcePhase, event: Event['type']) {
  return stepSource<'control', 'capture'>(STATES[phase], EVENTS[event]).actions;
}

describe('stepSource', () => {
  it.each(['failure', 'channels-broken', 'loaded', 'abort'] as const)(
    'is done when the destination has acknowledged all, at a %s too',
    (type) => {
      expect(outcome('draining', type, true)).toBe('done: send-bye hang-up finish');
      expect(outcome('committed', type, true)).not.toMatch(/^done/);
    },
  );

  it('believes a destination that says that pages are lost, whatever it has acknowledged', () => {
    expect(outcome('draining', 'lost', true)).toBe('lost: hang-up lose');
  });

  it.each(ROWS)('%s, %s -> %s', (phase, event, expected) => {
    expect(outcome(phase, event)).toBe(expected);
  });

  it.each<[SourcePhase, Event['type'], unknown]>([
    ['connecting', 'connected', { type: 'send-hello', control: 'control' }],
    ['greeting', 'accept', { type: 'open-channels', control: 'control' }],
    ['preparing', 'channels-open', { type: 'stop-and-capture', offered }],
    ['stopping', 'captured', { type: 'send-state', control: 'control', capture: 'capture' }],
    ['loading', 'loaded', { type: 'send-commit', control: 'control', capture: 'capture', loaded }],
    ['committed', 'running', { type: 'start-push', control: 'control', capture: 'capture', running }],
  ])('gives the action what it needs: %s, %s', (phase, event, action) => {
    expect(actions(phase, event)).toEqual([action]);
  });

  it('ends with what the destination said at the end, if it could', () => {
    expect(actions('draining', 'complete').at(-1)).toEqual({ type: 'finish', complete });
    const { actions: cut } = stepSource(STATES.draining, EVENTS.failure, { acknowledged: true });
    expect(cut.at(-1)).toEqual({ type: 'finish', complete: undefined });
  });

  it('keeps in each state what a later one needs', () => {
    let state: State = STATES.ready;
    for (const event of [
      'begin',
      'written-back',
      'connected',
      'accept',
      'channels-open',
      'captured',
      'loaded',
    ] as const) {
      state = stepSource(state, EVENTS[event]).state;
    }
    expect(state).toEqual(STATES.committed);
    expect(stepSource(state, { type: 'channels-broken', reason: broke }).state).toEqual(STATES.doubtful);
    expect(stepSource(state, EVENTS.running).state).toEqual(STATES.draining);
  });

  it('says why it failed', () => {
    expect(actions('loading', 'failure')).toEqual([
      { type: 'send-abort', control: 'control', reason },
      { type: 'resume-guest' },
      { type: 'hang-up', control: 'control' },
      { type: 'fail', reason },
    ]);
    expect(actions('draining', 'failure').at(-1)).toEqual({ type: 'lose', reason, ranThere: true });
  });

  it.each(['failure', 'running', 'lost', 'complete'] as const)(
    'loses a guest of which a page channel broke for that reason, at a %s',
    (event) => {
      const ranThere = event === 'running' || event === 'lost';
      expect(actions('doubtful', event).at(-1)).toEqual({ type: 'lose', reason: broke, ranThere });
    },
  );

  it('does not know whether a guest ran there of which it heard nothing', () => {
    expect(actions('committed', 'failure').at(-1)).toEqual({ type: 'lose', reason, ranThere: false });
    expect(actions('committed', 'lost').at(-1)).toEqual({ type: 'lose', reason, ranThere: true });
  });

  it('says why the destination gave a guest back', () => {
    expect(actions('committed', 'abort')).toEqual([
      { type: 'resume-guest' },
      { type: 'hang-up', control: 'control' },
      { type: 'fail', reason },
    ]);
  });

  it('tells every reason of a refusal', () => {
    const failed = actions('greeting', 'refuse').find((action) => action.type === 'fail');
    expect(failed?.reason).toBeInstanceOf(RefusedError);
    expect((failed?.reason as RefusedError).reasons).toEqual(['too small', 'too old']);
    expect(failed?.reason.message).toBe('too small; too old');
  });

  it('names a message out of turn and the phase', () => {
    const failed = actions('preparing', 'running').find((action) => action.type === 'fail');
    expect(failed?.reason.message).toBe('the destination sent running out of turn, while preparing');
  });
});
