import { describe, expect, it } from 'vitest';
import type { Standing } from '../../../../src/migrate/wire/message.js';
import {
  RefusedError,
  stepSource,
  type SourceEvent,
  type SourceFacts,
  type SourcePhase,
  type SourceState,
} from '../../../../src/migrate/hand-over/source.js';

/** What the machine only hands on may be anything. */
type Event = SourceEvent<'control', 'capture'>;
type State = SourceState<'control', 'capture'>;

const reason = new Error('the link broke');
const broke = new Error('a page channel broke');
const offered = Uint32Array.of(0, 8);
const missing = Uint8Array.of(3, 5);
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
  copying: { phase: 'copying', control: 'control' },
  stopping: { phase: 'stopping', control: 'control' },
  loading: { phase: 'loading', control: 'control', capture: 'capture' },
  committed: { phase: 'committed', control: 'control', capture: 'capture' },
  doubtful: { phase: 'doubtful', control: 'control', broke },
  interrupted: { phase: 'interrupted', ranThere: true, broke },
  rejoining: { phase: 'rejoining', control: 'control', generation: 3 },
  draining: { phase: 'draining', control: 'control', generation: 0 },
  settling: { phase: 'settling', control: 'control', generation: 0, complete },
  tried: { phase: 'tried' },
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
  'rounds-open': { type: 'rounds-open' },
  copied: { type: 'copied' },
  tried: { type: 'tried', reason },
  captured: { type: 'captured', capture: 'capture' },
  loaded: { type: 'loaded', body: loaded },
  running: { type: 'running', body: running },
  complete: { type: 'complete', body: complete },
  met: { type: 'met', generation: 3, control: 'control', standing: { is: 'runs', missing } },
  rejoined: { type: 'rejoined' },
  settled: { type: 'settled' },
  abort: { type: 'abort', reason },
  lost: { type: 'lost', reason },
  'channels-broken': { type: 'channels-broken', reason },
  failure: { type: 'failure', reason },
  cancel: { type: 'cancel', reason },
  'give-up': { type: 'give-up', reason },
};

/** Every event in every phase, with a peer that cannot be met again: the next phase, then the actions in order. */
const TABLE: Record<SourcePhase, Record<Event['type'], string>> = {
  ready: {
    begin: 'writing-back: write-back',
    'written-back': 'failed: fail',
    connected: 'failed: fail',
    accept: 'failed: fail',
    refuse: 'failed: fail',
    'channels-open': 'failed: fail',
    'rounds-open': 'failed: fail',
    copied: 'failed: fail',
    tried: 'failed: fail',
    captured: 'failed: fail',
    loaded: 'failed: fail',
    running: 'failed: fail',
    complete: 'failed: fail',
    met: 'failed: fail',
    rejoined: 'failed: fail',
    settled: 'failed: fail',
    abort: 'failed: fail',
    lost: 'failed: fail',
    'channels-broken': 'failed: fail',
    failure: 'failed: fail',
    cancel: 'failed: fail',
    'give-up': 'ready:',
  },
  'writing-back': {
    begin: 'failed: fail',
    'written-back': 'connecting: connect',
    connected: 'failed: fail',
    accept: 'failed: fail',
    refuse: 'failed: fail',
    'channels-open': 'failed: fail',
    'rounds-open': 'failed: fail',
    copied: 'failed: fail',
    tried: 'failed: fail',
    captured: 'failed: fail',
    loaded: 'failed: fail',
    running: 'failed: fail',
    complete: 'failed: fail',
    met: 'failed: fail',
    rejoined: 'failed: fail',
    settled: 'failed: fail',
    abort: 'failed: fail',
    lost: 'failed: fail',
    'channels-broken': 'failed: fail',
    failure: 'failed: fail',
    cancel: 'failed: fail',
    'give-up': 'writing-back:',
  },
  connecting: {
    begin: 'failed: fail',
    'written-back': 'failed: fail',
    connected: 'greeting: send-hello',
    accept: 'failed: fail',
    refuse: 'failed: fail',
    'channels-open': 'failed: fail',
    'rounds-open': 'failed: fail',
    copied: 'failed: fail',
    tried: 'failed: fail',
    captured: 'failed: fail',
    loaded: 'failed: fail',
    running: 'failed: fail',
    complete: 'failed: fail',
    met: 'failed: fail',
    rejoined: 'failed: fail',
    settled: 'failed: fail',
    abort: 'failed: fail',
    lost: 'failed: fail',
    'channels-broken': 'failed: fail',
    failure: 'failed: fail',
    cancel: 'failed: fail',
    'give-up': 'connecting:',
  },
  greeting: {
    begin: 'failed: send-abort hang-up fail',
    'written-back': 'failed: send-abort hang-up fail',
    connected: 'failed: send-abort hang-up fail',
    accept: 'preparing: open-channels',
    refuse: 'failed: send-abort hang-up fail',
    'channels-open': 'failed: send-abort hang-up fail',
    'rounds-open': 'failed: send-abort hang-up fail',
    copied: 'failed: send-abort hang-up fail',
    tried: 'failed: send-abort hang-up fail',
    captured: 'failed: send-abort hang-up fail',
    loaded: 'failed: send-abort hang-up fail',
    running: 'failed: send-abort hang-up fail',
    complete: 'failed: send-abort hang-up fail',
    met: 'failed: send-abort hang-up fail',
    rejoined: 'failed: send-abort hang-up fail',
    settled: 'failed: send-abort hang-up fail',
    abort: 'failed: send-abort hang-up fail',
    lost: 'failed: send-abort hang-up fail',
    'channels-broken': 'failed: send-abort hang-up fail',
    failure: 'failed: send-abort hang-up fail',
    cancel: 'failed: send-abort hang-up fail',
    'give-up': 'greeting:',
  },
  preparing: {
    begin: 'failed: send-abort hang-up fail',
    'written-back': 'failed: send-abort hang-up fail',
    connected: 'failed: send-abort hang-up fail',
    accept: 'failed: send-abort hang-up fail',
    refuse: 'failed: send-abort hang-up fail',
    'channels-open': 'stopping: stop-and-capture',
    'rounds-open': 'copying: copy-rounds',
    copied: 'failed: send-abort hang-up fail',
    tried: 'tried: send-abort await-release hang-up finish-dry-run',
    captured: 'failed: send-abort hang-up fail',
    loaded: 'failed: send-abort hang-up fail',
    running: 'failed: send-abort hang-up fail',
    complete: 'failed: send-abort hang-up fail',
    met: 'failed: send-abort hang-up fail',
    rejoined: 'failed: send-abort hang-up fail',
    settled: 'failed: send-abort hang-up fail',
    abort: 'failed: send-abort hang-up fail',
    lost: 'failed: send-abort hang-up fail',
    'channels-broken': 'failed: send-abort hang-up fail',
    failure: 'failed: send-abort hang-up fail',
    cancel: 'failed: send-abort hang-up fail',
    'give-up': 'preparing:',
  },
  copying: {
    begin: 'failed: send-abort hang-up fail',
    'written-back': 'failed: send-abort hang-up fail',
    connected: 'failed: send-abort hang-up fail',
    accept: 'failed: send-abort hang-up fail',
    refuse: 'failed: send-abort hang-up fail',
    'channels-open': 'failed: send-abort hang-up fail',
    'rounds-open': 'failed: send-abort hang-up fail',
    copied: 'stopping: stop-and-capture',
    tried: 'failed: send-abort hang-up fail',
    captured: 'failed: send-abort hang-up fail',
    loaded: 'failed: send-abort hang-up fail',
    running: 'failed: send-abort hang-up fail',
    complete: 'failed: send-abort hang-up fail',
    met: 'failed: send-abort hang-up fail',
    rejoined: 'failed: send-abort hang-up fail',
    settled: 'failed: send-abort hang-up fail',
    abort: 'failed: send-abort hang-up fail',
    lost: 'failed: send-abort hang-up fail',
    'channels-broken': 'failed: send-abort hang-up fail',
    failure: 'failed: send-abort hang-up fail',
    cancel: 'failed: send-abort hang-up fail',
    'give-up': 'copying:',
  },
  stopping: {
    begin: 'failed: send-abort resume-guest hang-up fail',
    'written-back': 'failed: send-abort resume-guest hang-up fail',
    connected: 'failed: send-abort resume-guest hang-up fail',
    accept: 'failed: send-abort resume-guest hang-up fail',
    refuse: 'failed: send-abort resume-guest hang-up fail',
    'channels-open': 'failed: send-abort resume-guest hang-up fail',
    'rounds-open': 'failed: send-abort resume-guest hang-up fail',
    copied: 'failed: send-abort resume-guest hang-up fail',
    tried: 'failed: send-abort resume-guest hang-up fail',
    captured: 'loading: send-state',
    loaded: 'failed: send-abort resume-guest hang-up fail',
    running: 'failed: send-abort resume-guest hang-up fail',
    complete: 'failed: send-abort resume-guest hang-up fail',
    met: 'failed: send-abort resume-guest hang-up fail',
    rejoined: 'failed: send-abort resume-guest hang-up fail',
    settled: 'failed: send-abort resume-guest hang-up fail',
    abort: 'failed: send-abort resume-guest hang-up fail',
    lost: 'failed: send-abort resume-guest hang-up fail',
    'channels-broken': 'failed: send-abort resume-guest hang-up fail',
    failure: 'failed: send-abort resume-guest hang-up fail',
    cancel: 'failed: send-abort resume-guest hang-up fail',
    'give-up': 'stopping:',
  },
  loading: {
    begin: 'failed: send-abort resume-guest hang-up fail',
    'written-back': 'failed: send-abort resume-guest hang-up fail',
    connected: 'failed: send-abort resume-guest hang-up fail',
    accept: 'failed: send-abort resume-guest hang-up fail',
    refuse: 'failed: send-abort resume-guest hang-up fail',
    'channels-open': 'failed: send-abort resume-guest hang-up fail',
    'rounds-open': 'failed: send-abort resume-guest hang-up fail',
    copied: 'failed: send-abort resume-guest hang-up fail',
    tried: 'failed: send-abort resume-guest hang-up fail',
    captured: 'failed: send-abort resume-guest hang-up fail',
    loaded: 'committed: send-commit',
    running: 'failed: send-abort resume-guest hang-up fail',
    complete: 'failed: send-abort resume-guest hang-up fail',
    met: 'failed: send-abort resume-guest hang-up fail',
    rejoined: 'failed: send-abort resume-guest hang-up fail',
    settled: 'failed: send-abort resume-guest hang-up fail',
    abort: 'failed: send-abort resume-guest hang-up fail',
    lost: 'failed: send-abort resume-guest hang-up fail',
    'channels-broken': 'failed: send-abort resume-guest hang-up fail',
    failure: 'failed: send-abort resume-guest hang-up fail',
    cancel: 'failed: send-abort resume-guest hang-up fail',
    'give-up': 'loading:',
  },
  committed: {
    begin: 'lost: hang-up lose',
    'written-back': 'lost: hang-up lose',
    connected: 'lost: hang-up lose',
    accept: 'lost: hang-up lose',
    refuse: 'lost: hang-up lose',
    'channels-open': 'lost: hang-up lose',
    'rounds-open': 'lost: hang-up lose',
    copied: 'lost: hang-up lose',
    tried: 'lost: hang-up lose',
    captured: 'lost: hang-up lose',
    loaded: 'lost: hang-up lose',
    running: 'draining: start-push',
    complete: 'lost: hang-up lose',
    met: 'lost: hang-up lose',
    rejoined: 'lost: hang-up lose',
    settled: 'lost: hang-up lose',
    abort: 'failed: send-bye resume-guest hang-up fail',
    lost: 'lost: hang-up lose',
    'channels-broken': 'doubtful:',
    failure: 'lost: hang-up lose',
    cancel: 'committed:',
    'give-up': 'committed:',
  },
  doubtful: {
    begin: 'lost: hang-up lose',
    'written-back': 'lost: hang-up lose',
    connected: 'lost: hang-up lose',
    accept: 'lost: hang-up lose',
    refuse: 'lost: hang-up lose',
    'channels-open': 'lost: hang-up lose',
    'rounds-open': 'lost: hang-up lose',
    copied: 'lost: hang-up lose',
    tried: 'lost: hang-up lose',
    captured: 'lost: hang-up lose',
    loaded: 'lost: hang-up lose',
    running: 'lost: hang-up lose',
    complete: 'lost: hang-up lose',
    met: 'lost: hang-up lose',
    rejoined: 'lost: hang-up lose',
    settled: 'lost: hang-up lose',
    abort: 'failed: send-bye resume-guest hang-up fail',
    lost: 'lost: hang-up lose',
    'channels-broken': 'doubtful:',
    failure: 'lost: hang-up lose',
    cancel: 'doubtful:',
    'give-up': 'doubtful:',
  },
  interrupted: {
    begin: 'interrupted:',
    'written-back': 'interrupted:',
    connected: 'interrupted:',
    accept: 'interrupted:',
    refuse: 'interrupted:',
    'channels-open': 'interrupted:',
    'rounds-open': 'interrupted:',
    copied: 'interrupted:',
    tried: 'interrupted:',
    captured: 'interrupted:',
    loaded: 'interrupted:',
    running: 'interrupted:',
    complete: 'interrupted:',
    met: 'rejoining: rejoin',
    rejoined: 'interrupted:',
    settled: 'interrupted:',
    abort: 'interrupted:',
    lost: 'lost: lose',
    'channels-broken': 'interrupted:',
    failure: 'interrupted:',
    cancel: 'interrupted:',
    'give-up': 'lost: lose',
  },
  rejoining: {
    begin: 'lost: hang-up lose',
    'written-back': 'lost: hang-up lose',
    connected: 'lost: hang-up lose',
    accept: 'lost: hang-up lose',
    refuse: 'lost: hang-up lose',
    'channels-open': 'lost: hang-up lose',
    'rounds-open': 'lost: hang-up lose',
    copied: 'lost: hang-up lose',
    tried: 'lost: hang-up lose',
    captured: 'lost: hang-up lose',
    loaded: 'lost: hang-up lose',
    running: 'lost: hang-up lose',
    complete: 'done: send-bye hang-up finish',
    met: 'lost: hang-up lose',
    rejoined: 'draining: push-on',
    settled: 'lost: hang-up lose',
    abort: 'lost: hang-up lose',
    lost: 'lost: hang-up lose',
    'channels-broken': 'lost: hang-up lose',
    failure: 'lost: hang-up lose',
    cancel: 'rejoining:',
    'give-up': 'lost: hang-up lose',
  },
  draining: {
    begin: 'lost: hang-up lose',
    'written-back': 'lost: hang-up lose',
    connected: 'lost: hang-up lose',
    accept: 'lost: hang-up lose',
    refuse: 'lost: hang-up lose',
    'channels-open': 'lost: hang-up lose',
    'rounds-open': 'lost: hang-up lose',
    copied: 'lost: hang-up lose',
    tried: 'lost: hang-up lose',
    captured: 'lost: hang-up lose',
    loaded: 'lost: hang-up lose',
    running: 'lost: hang-up lose',
    complete: 'done: send-bye hang-up finish',
    met: 'lost: hang-up lose',
    rejoined: 'lost: hang-up lose',
    settled: 'lost: hang-up lose',
    abort: 'lost: hang-up lose',
    lost: 'lost: hang-up lose',
    'channels-broken': 'lost: hang-up lose',
    failure: 'lost: hang-up lose',
    cancel: 'draining:',
    'give-up': 'draining:',
  },
  settling: {
    begin: 'lost: hang-up lose',
    'written-back': 'lost: hang-up lose',
    connected: 'lost: hang-up lose',
    accept: 'lost: hang-up lose',
    refuse: 'lost: hang-up lose',
    'channels-open': 'lost: hang-up lose',
    'rounds-open': 'lost: hang-up lose',
    copied: 'lost: hang-up lose',
    tried: 'lost: hang-up lose',
    captured: 'lost: hang-up lose',
    loaded: 'lost: hang-up lose',
    running: 'lost: hang-up lose',
    complete: 'lost: hang-up lose',
    met: 'lost: hang-up lose',
    rejoined: 'lost: hang-up lose',
    settled: 'done: send-bye hang-up finish',
    abort: 'lost: hang-up lose',
    lost: 'lost: hang-up lose',
    'channels-broken': 'settling:',
    failure: 'lost: hang-up lose',
    cancel: 'settling:',
    'give-up': 'settling:',
  },
  tried: {
    begin: 'tried:',
    'written-back': 'tried:',
    connected: 'tried:',
    accept: 'tried:',
    refuse: 'tried:',
    'channels-open': 'tried:',
    'rounds-open': 'tried:',
    copied: 'tried:',
    tried: 'tried:',
    captured: 'tried:',
    loaded: 'tried:',
    running: 'tried:',
    complete: 'tried:',
    met: 'tried:',
    rejoined: 'tried:',
    settled: 'tried:',
    abort: 'tried:',
    lost: 'tried:',
    'channels-broken': 'tried:',
    failure: 'tried:',
    cancel: 'tried:',
    'give-up': 'tried:',
  },
  done: {
    begin: 'done:',
    'written-back': 'done:',
    connected: 'done:',
    accept: 'done:',
    refuse: 'done:',
    'channels-open': 'done:',
    'rounds-open': 'done:',
    copied: 'done:',
    tried: 'done:',
    captured: 'done:',
    loaded: 'done:',
    running: 'done:',
    complete: 'done:',
    met: 'done:',
    rejoined: 'done:',
    settled: 'done:',
    abort: 'done:',
    lost: 'done:',
    'channels-broken': 'done:',
    failure: 'done:',
    cancel: 'done:',
    'give-up': 'done:',
  },
  failed: {
    begin: 'failed:',
    'written-back': 'failed:',
    connected: 'failed:',
    accept: 'failed:',
    refuse: 'failed:',
    'channels-open': 'failed:',
    'rounds-open': 'failed:',
    copied: 'failed:',
    tried: 'failed:',
    captured: 'failed:',
    loaded: 'failed:',
    running: 'failed:',
    complete: 'failed:',
    met: 'failed:',
    rejoined: 'failed:',
    settled: 'failed:',
    abort: 'failed:',
    lost: 'failed:',
    'channels-broken': 'failed:',
    failure: 'failed:',
    cancel: 'failed:',
    'give-up': 'failed:',
  },
  lost: {
    begin: 'lost:',
    'written-back': 'lost:',
    connected: 'lost:',
    accept: 'lost:',
    refuse: 'lost:',
    'channels-open': 'lost:',
    'rounds-open': 'lost:',
    copied: 'lost:',
    tried: 'lost:',
    captured: 'lost:',
    loaded: 'lost:',
    running: 'lost:',
    complete: 'lost:',
    met: 'lost:',
    rejoined: 'lost:',
    settled: 'lost:',
    abort: 'lost:',
    lost: 'lost:',
    'channels-broken': 'lost:',
    failure: 'lost:',
    cancel: 'lost:',
    'give-up': 'lost:',
  },
};

/** What is different where the ends can meet again. */
const RECOVERS: [SourcePhase, Event['type'], string][] = [
  ['committed', 'begin', 'interrupted: part meet'],
  ['committed', 'written-back', 'interrupted: part meet'],
  ['committed', 'connected', 'interrupted: part meet'],
  ['committed', 'accept', 'interrupted: part meet'],
  ['committed', 'refuse', 'interrupted: part meet'],
  ['committed', 'channels-open', 'interrupted: part meet'],
  ['committed', 'rounds-open', 'interrupted: part meet'],
  ['committed', 'copied', 'interrupted: part meet'],
  ['committed', 'tried', 'interrupted: part meet'],
  ['committed', 'captured', 'interrupted: part meet'],
  ['committed', 'loaded', 'interrupted: part meet'],
  ['committed', 'complete', 'interrupted: part meet'],
  ['committed', 'met', 'interrupted: part meet'],
  ['committed', 'rejoined', 'interrupted: part meet'],
  ['committed', 'settled', 'interrupted: part meet'],
  ['committed', 'channels-broken', 'interrupted: part meet'],
  ['committed', 'failure', 'interrupted: part meet'],
  ['rejoining', 'begin', 'interrupted: part meet'],
  ['rejoining', 'written-back', 'interrupted: part meet'],
  ['rejoining', 'connected', 'interrupted: part meet'],
  ['rejoining', 'accept', 'interrupted: part meet'],
  ['rejoining', 'refuse', 'interrupted: part meet'],
  ['rejoining', 'channels-open', 'interrupted: part meet'],
  ['rejoining', 'rounds-open', 'interrupted: part meet'],
  ['rejoining', 'copied', 'interrupted: part meet'],
  ['rejoining', 'tried', 'interrupted: part meet'],
  ['rejoining', 'captured', 'interrupted: part meet'],
  ['rejoining', 'loaded', 'interrupted: part meet'],
  ['rejoining', 'running', 'interrupted: part meet'],
  ['rejoining', 'met', 'interrupted: part meet'],
  ['rejoining', 'settled', 'interrupted: part meet'],
  ['rejoining', 'abort', 'interrupted: part meet'],
  ['rejoining', 'channels-broken', 'interrupted: part meet'],
  ['rejoining', 'failure', 'interrupted: part meet'],
  ['draining', 'begin', 'interrupted: part meet'],
  ['draining', 'written-back', 'interrupted: part meet'],
  ['draining', 'connected', 'interrupted: part meet'],
  ['draining', 'accept', 'interrupted: part meet'],
  ['draining', 'refuse', 'interrupted: part meet'],
  ['draining', 'channels-open', 'interrupted: part meet'],
  ['draining', 'rounds-open', 'interrupted: part meet'],
  ['draining', 'copied', 'interrupted: part meet'],
  ['draining', 'tried', 'interrupted: part meet'],
  ['draining', 'captured', 'interrupted: part meet'],
  ['draining', 'loaded', 'interrupted: part meet'],
  ['draining', 'running', 'interrupted: part meet'],
  ['draining', 'met', 'interrupted: part meet'],
  ['draining', 'rejoined', 'interrupted: part meet'],
  ['draining', 'settled', 'interrupted: part meet'],
  ['draining', 'abort', 'interrupted: part meet'],
  ['draining', 'channels-broken', 'interrupted: part meet'],
  ['draining', 'failure', 'interrupted: part meet'],
  ['draining', 'complete', 'settling: settle'],
  ['rejoining', 'complete', 'settling: settle'],
  ['settling', 'begin', 'interrupted: part meet'],
  ['settling', 'written-back', 'interrupted: part meet'],
  ['settling', 'connected', 'interrupted: part meet'],
  ['settling', 'accept', 'interrupted: part meet'],
  ['settling', 'refuse', 'interrupted: part meet'],
  ['settling', 'channels-open', 'interrupted: part meet'],
  ['settling', 'rounds-open', 'interrupted: part meet'],
  ['settling', 'copied', 'interrupted: part meet'],
  ['settling', 'tried', 'interrupted: part meet'],
  ['settling', 'captured', 'interrupted: part meet'],
  ['settling', 'loaded', 'interrupted: part meet'],
  ['settling', 'running', 'interrupted: part meet'],
  ['settling', 'met', 'interrupted: part meet'],
  ['settling', 'complete', 'interrupted: part meet'],
  ['settling', 'rejoined', 'interrupted: part meet'],
  ['settling', 'abort', 'interrupted: part meet'],
  ['settling', 'failure', 'interrupted: part meet'],
];

const ROWS = Object.entries(TABLE).flatMap(([phase, row]) =>
  Object.entries(row).map(([event, step]) => [phase as SourcePhase, event as Event['type'], step] as const),
);

const UNKNOWN: SourceFacts = { acknowledged: false, known: false, recovers: false };

/** The next phase, then the actions in order. */
function outcome(phase: SourcePhase, event: Event['type'], acknowledged = false, recovers = false): string {
  const { state, actions } = stepSource(STATES[phase], EVENTS[event], { ...UNKNOWN, acknowledged, recovers });
  return [`${state.phase}:`, ...actions.map((action) => action.type)].join(' ');
}

function actions(phase: SourcePhase, event: Event['type']) {
  return stepSource<'control', 'capture'>(STATES[phase], EVENTS[event], UNKNOWN).actions;
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

  it.each(RECOVERS)('%s, %s -> %s, where the destination can be met again', (phase, event, expected) => {
    expect(outcome(phase, event, false, true)).toBe(expected);
  });

  it('does what the destination says that it is when they meet again', () => {
    const meets = (standing: Standing, ranThere: boolean): string => {
      const state = { phase: 'interrupted', ranThere, broke } as const;
      const step = stepSource<'control', 'capture'>(state, { ...EVENTS.met, standing });
      return [`${step.state.phase}:`, ...step.actions.map(({ type }) => type)].join(' ');
    };
    const gone: Standing = { is: 'lost', reason: 'it was stopped' };
    expect(meets({ is: 'never-ran' }, false)).toBe('failed: send-bye resume-guest hang-up fail');
    // It has said that the guest runs there: to run it here would be the second time.
    expect(meets({ is: 'never-ran' }, true)).toBe('lost: hang-up lose');
    for (const ranThere of [true, false]) {
      expect(meets({ is: 'runs', missing }, ranThere)).toBe('rejoining: rejoin');
      expect(meets({ is: 'whole', complete }, ranThere)).toBe('settling: settle');
      expect(meets(gone, ranThere)).toBe('lost: hang-up lose');
    }
  });

  it('tells a destination that has all of it that it is known, unless a page was pushed there', () => {
    const facts = (known: boolean, acknowledged = false) => ({ known, acknowledged, recovers: true });
    const whole = { ...EVENTS.met, standing: { is: 'whole', complete } } as Event;
    const ends: [State, Event][] = [
      [STATES.draining, EVENTS.complete],
      [STATES.rejoining, EVENTS.complete],
      [STATES.interrupted, whole],
    ];
    for (const [state, event] of ends) {
      const { generation } = event.type === 'met' ? event : (state as { generation: number });
      const settles = stepSource(state, event, facts(false));
      expect(settles.state).toEqual({ phase: 'settling', control: 'control', generation, complete });
      expect(settles.actions).toEqual([{ type: 'settle', control: 'control' }]);
      const settled = stepSource(settles.state, EVENTS.settled, facts(false));
      expect(settled.actions.at(-1)).toEqual({ type: 'finish', complete });
      expect(stepSource(state, event, facts(true)).state.phase).toBe('done');
    }
    expect(stepSource(STATES.draining, EVENTS.failure, facts(false, true)).state.phase).toBe('interrupted');
    expect(stepSource(STATES.draining, EVENTS.failure, facts(true, true)).state.phase).toBe('done');
  });

  it('does not hear what comes on another connection than the last', () => {
    const state = { ...STATES.draining, generation: 3 } as State;
    for (const event of [EVENTS.failure, EVENTS['channels-broken'], EVENTS.running, EVENTS.lost, EVENTS.complete]) {
      for (const generation of [0, 2, 4]) {
        expect(stepSource(state, { ...event, generation } as Event)).toEqual({ state, actions: [] });
      }
      expect(stepSource(STATES.interrupted, { ...event, generation: 0 } as Event).actions).toEqual([]);
    }
    expect(stepSource(state, { ...EVENTS.failure, generation: 3 }).state.phase).toBe('interrupted');
  });

  it('knows whether a guest ran there, when somebody gives the destination up', () => {
    for (const ranThere of [true, false]) {
      const { actions: all } = stepSource<'control', 'capture'>(
        { phase: 'interrupted', ranThere, broke },
        EVENTS['give-up'],
      );
      expect(all).toEqual([{ type: 'lose', reason, ranThere }]);
    }
  });

  it.each<[SourcePhase, Event['type'], unknown]>([
    ['connecting', 'connected', { type: 'send-hello', control: 'control' }],
    ['greeting', 'accept', { type: 'open-channels', control: 'control' }],
    ['preparing', 'channels-open', { type: 'stop-and-capture', offered }],
    ['preparing', 'rounds-open', { type: 'copy-rounds', control: 'control' }],
    ['copying', 'copied', { type: 'stop-and-capture', offered: new Uint32Array(0) }],
    ['stopping', 'captured', { type: 'send-state', control: 'control', capture: 'capture' }],
    ['loading', 'loaded', { type: 'send-commit', control: 'control', capture: 'capture', loaded }],
    ['committed', 'running', { type: 'start-push', control: 'control', capture: 'capture', running }],
  ])('gives the action what it needs: %s, %s', (phase, event, action) => {
    expect(actions(phase, event)).toEqual([action]);
  });

  it('ends with what the destination said at the end, if it could', () => {
    expect(actions('draining', 'complete').at(-1)).toEqual({ type: 'finish', complete });
    const { actions: cut } = stepSource(STATES.draining, EVENTS.failure, { ...UNKNOWN, acknowledged: true });
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
    expect(stepSource(state, { type: 'channels-broken', reason: broke }, UNKNOWN).state).toEqual(STATES.doubtful);
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
      { type: 'send-bye', control: 'control' },
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
