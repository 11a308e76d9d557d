import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Drive, type Step, type Turn } from '../../../../src/migrate/hand-over/drive.js';
import { Deferred } from '../../../../src/basics/deferred.js';

/** A hand-over of two steps: first -> second -> done, with `pause` in between that changes nothing. */
type State = { phase: 'first' | 'second' | 'done' | 'failed' };
type Event = { type: 'go' | 'pause' | 'worked' | 'stop' } | { type: 'failure'; reason: Error };
type Action = 'work' | 'tell' | 'clean up' | 'finish';

const LIMIT_MS = 1000;
const ENDING: Step<State, Action> = { state: { phase: 'failed' }, actions: ['tell', 'clean up', 'finish'] };

function step(state: State, event: Event): Step<State, Action> {
  if (event.type === 'pause') return { state, actions: [] };
  if (event.type === 'go' && state.phase === 'first') return { state: { phase: 'second' }, actions: ['work'] };
  if (event.type === 'worked') return { state: { phase: 'done' }, actions: ['finish'] };
  return ENDING;
}

let log: string[];
/** What 'work' does; the others are over at once. */
let work: (turn: Turn) => Promise<Event | undefined>;
let ending: (action: Action, turn: Turn) => Promise<void>;

beforeEach(() => {
  log = [];
  work = async () => undefined;
  ending = async () => {};
});
afterEach(() => vi.useRealTimers());

function drive(decide: (state: State, event: Event) => ReturnType<typeof step> | Promise<Step<State, Action>> = step) {
  return new Drive<State, Event, Action>({
    first: { phase: 'first' },
    foresee: step,
    decide: (state, event) => {
      log.push(event.type === 'failure' ? `failure: ${event.reason.message}` : event.type);
      return decide(state, event);
    },
    isEnd: (phase) => phase === 'done' || phase === 'failed',
    deadlines: { second: LIMIT_MS },
    tooLate: (phase, limitMs) => new Error(`${phase} for ${limitMs} ms`),
    failure: (reason) => ({ type: 'failure', reason }),
    act: async (action, around) => {
      log.push(`(${action})`);
      if (action === 'work') return work(around);
      await ending(action, around);
      return undefined;
    },
    giveBack: (event) => void log.push(`given back: ${event.type}`),
  });
}

async function settle(): Promise<void> {
  for (let i = 0; i < 10; i++) await turn();
}

const END = ['(tell)', '(clean up)', '(finish)'];

describe('Drive', () => {
  it('looks next at the event that an action leads to, before those that wait', async () => {
    const working = new Deferred<Event>();
    work = () => working.promise;
    const driven = drive();
    driven.push({ type: 'go' });
    driven.push({ type: 'pause' });
    working.resolve({ type: 'worked' });
    await settle();
    expect(log).toEqual(['go', '(work)', 'worked', '(finish)']);
    expect(driven.state).toEqual({ phase: 'done' });
  });

  it('acts without a turn of the event loop when nothing is under way', () => {
    drive().push({ type: 'go' });
    expect(log).toEqual(['go', '(work)']);
  });

  it('finishes an action before it looks at an event that is no ending', async () => {
    const working = new Deferred<Event | undefined>();
    work = () => working.promise;
    const driven = drive();
    driven.push({ type: 'go' });
    driven.push({ type: 'pause' });
    await settle();
    expect(log).toEqual(['go', '(work)']);
    working.resolve(undefined);
    await settle();
    expect(log).toEqual(['go', '(work)', 'pause']);
  });

  it('reaches with its deadline into an action that never ends', async () => {
    vi.useFakeTimers();
    let signal: AbortSignal | undefined;
    work = async (around) => {
      signal = around.signal;
      return new Promise(() => {});
    };
    const driven = drive();
    driven.push({ type: 'go' });
    await vi.advanceTimersByTimeAsync(LIMIT_MS - 1);
    expect([driven.state.phase, signal?.aborted]).toEqual(['second', false]);
    await vi.advanceTimersByTimeAsync(1);
    expect(signal?.aborted).toBe(true);
    expect(log).toEqual(['go', '(work)', 'failure: second for 1000 ms', ...END]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('reaches with a cancellation into an action, which stops; its own failure is not told', async () => {
    work = ({ signal }) =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('the action was stopped'))));
    const driven = drive();
    driven.push({ type: 'go' });
    await settle();
    driven.push({ type: 'stop' });
    await settle();
    expect(log).toEqual(['go', '(work)', 'stop', ...END]);
    expect(driven.state).toEqual({ phase: 'failed' });
  });

  it('lets an ending wait for the action that it has interrupted, and gives back what that brings', async () => {
    const working = new Deferred<Event>();
    work = () => working.promise;
    ending = async (action, { settled }) => {
      if (action === 'clean up') await settled;
    };
    const driven = drive();
    driven.push({ type: 'go' });
    driven.push({ type: 'stop' });
    await settle();
    expect(log).toEqual(['go', '(work)', 'stop', '(tell)', '(clean up)']);
    working.resolve({ type: 'worked' });
    await settle();
    expect(log.slice(5)).toEqual(['given back: worked', '(finish)']);
  });

  it('either takes the event of an action or gives it back, whenever the ending comes', async () => {
    const seen = new Set<string>();
    for (let hops = 0; hops < 20; hops++) {
      log = [];
      const working = new Deferred<Event>();
      work = () => working.promise;
      const driven = drive();
      driven.push({ type: 'go' });
      working.resolve({ type: 'worked' });
      for (let hop = 0; hop < hops; hop++) await Promise.resolve();
      driven.push({ type: 'stop' });
      await settle();
      const fate = log.filter((line) => line === 'worked' || line === 'given back: worked');
      expect(fate).toHaveLength(1);
      seen.add(fate.join());
    }
    expect([...seen]).toEqual(['given back: worked', 'worked']);
  });

  it.each([
    ['rejects', async () => Promise.reject(new Error('no such thing'))],
    [
      'throws',
      () => {
        throw new Error('no such thing');
      },
    ],
  ])('makes a failure of an action that %s', async (_, act) => {
    work = act;
    drive().push({ type: 'go' });
    await settle();
    expect(log).toEqual(['go', '(work)', 'failure: no such thing', ...END]);
  });

  it('carries an ending out to its end, whatever part of it fails', async () => {
    ending = async (action) => {
      throw new Error(`${action} fails`);
    };
    const driven = drive();
    driven.push({ type: 'stop' });
    await settle();
    expect(log).toEqual(['stop', ...END]);
    expect(driven.state).toEqual({ phase: 'failed' });
  });

  it('does not interrupt an ending, and drops what comes behind it', async () => {
    const cleaning = new Deferred<void>();
    let signal: AbortSignal | undefined;
    ending = async (action, around) => {
      signal = around.signal;
      if (action === 'clean up') await cleaning.promise;
    };
    const driven = drive();
    driven.push({ type: 'stop' });
    driven.push({ type: 'stop' });
    driven.push({ type: 'failure', reason: new Error('late') });
    await settle();
    expect([log, signal?.aborted]).toEqual([['stop', '(tell)', '(clean up)'], false]);
    cleaning.resolve();
    await settle();
    driven.push({ type: 'go' });
    await settle();
    expect(log).toEqual(['stop', ...END]);
  });

  it.each([
    ['rejects', async () => Promise.reject(new Error('cannot tell'))],
    [
      'throws',
      () => {
        throw new Error('cannot tell');
      },
    ],
  ])('makes a failure of a decision that %s', async (_, decide) => {
    const driven = drive(decide);
    driven.push({ type: 'go' });
    await settle();
    expect(log).toEqual(['go', ...END]);
  });

  it('waits for a decision that takes its time, and for no second one meanwhile', async () => {
    const known = new Deferred<void>();
    const driven = drive(async (state, event) => {
      await known.promise;
      return step(state, event);
    });
    driven.push({ type: 'pause' });
    driven.push({ type: 'go' });
    await settle();
    expect(log).toEqual(['pause']);
    known.resolve();
    await settle();
    expect(log).toEqual(['pause', 'go', '(work)']);
  });

  it('watches the first phase, and starts no deadline again for an event that stays in the phase', async () => {
    vi.useFakeTimers();
    const driven = drive();
    driven.push({ type: 'go' });
    await vi.advanceTimersByTimeAsync(LIMIT_MS / 2);
    driven.push({ type: 'pause' });
    await vi.advanceTimersByTimeAsync(LIMIT_MS / 2);
    expect(driven.state.phase).toBe('failed');
  });
});
