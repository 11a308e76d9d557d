import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { serveChannels, type ChannelTask } from '../../../src/threads/channel-loop.js';
import { GoSignal } from '../../../src/threads/go-signal.js';
import { native, POLLIN } from '../../../src/native.js';
import type { PollSet } from '../../../src/threads/poll-set.js';
import { next, startWorker } from '../../native/threads.js';

const WAKE_FD = 99;
const [IDLE_MS, LONGEST_WAIT_MS] = [20, 500];

/** Does what `steps` says, one entry a step, then nothing more. */
class FakeTask implements ChannelTask {
  steps: (() => boolean)[] = [];
  onIdle: () => void = () => {};

  constructor(
    readonly name: string,
    readonly log: string[],
    readonly fds: number[] = [],
  ) {}

  step(): boolean {
    this.log.push(`step ${this.name}`);
    return this.steps.shift()?.() ?? false;
  }

  sources(set: PollSet): void {
    for (const fd of this.fds) set.add(fd, POLLIN);
  }

  idle(): void {
    this.log.push(`idle ${this.name}`);
    this.onIdle();
  }
}

interface Poll {
  /** [fd, events] of each. */
  sources: [number, number][];
  timeoutMs: number;
}

afterEach(() => {
  vi.restoreAllMocks();
});

describe('serveChannels', () => {
  let signal: GoSignal;
  let log: string[];
  let polls: Poll[];
  /** What poll() returns, one entry a call; after the last, the link is stopped. */
  let answers: number[];

  beforeEach(() => {
    [signal, log, polls, answers] = [new GoSignal(), [], [], []];
    vi.spyOn(native, 'poll').mockImplementation((set, count, timeoutMs) => {
      const sources = Array.from({ length: count }, (_, i): [number, number] => [set[i * 3]!, set[i * 3 + 1]!]);
      expect(Array.from({ length: count }, (_, i) => set[i * 3 + 2])).toEqual(Array(count).fill(0));
      polls.push({ sources, timeoutMs });
      log.push('poll');
      if (answers.length === 0) signal.stop();
      return answers.shift() ?? 1;
    });
  });

  const worked = () => true;
  const serve = (tasks: ChannelTask[]) => serveChannels(tasks, signal, WAKE_FD);

  it('gives every task its turn, the first one first, and sleeps only when none had anything to do', () => {
    const [a, b] = [new FakeTask('a', log), new FakeTask('b', log)];
    a.steps = [worked, worked];
    b.steps = [() => false, worked, worked];
    serve([a, b]);
    expect(log).toEqual([...Array(4).fill(['step a', 'step b']).flat(), 'poll']);
  });

  it('sleeps on what all tasks wait for, and on the hand-over', () => {
    serve([new FakeTask('a', log, [5, 6]), new FakeTask('b', log), new FakeTask('c', log, [7])]);
    expect(polls).toEqual([
      {
        sources: [
          [5, POLLIN],
          [6, POLLIN],
          [7, POLLIN],
          [WAKE_FD, POLLIN],
        ],
        timeoutMs: IDLE_MS,
      },
    ]);
  });

  it('does not sleep on the hand-over when it is over: that would not be sleep', () => {
    signal.handOver();
    serve([new FakeTask('a', log, [5])]);
    expect(polls.map(({ sources }) => sources)).toEqual([[[5, POLLIN]]]);
  });

  it('does not sleep on what is not given', () => {
    serveChannels([new FakeTask('a', log, [5])], signal, -1);
    expect(polls.map(({ sources }) => sources)).toEqual([[[5, POLLIN]]]);
  });

  it('does not miss a hand-over that comes after its tasks have looked', () => {
    const push = new FakeTask('push', log, [5]);
    push.steps = [() => (signal.handOver(), false)];
    answers = [1];
    serve([push]);
    // The first time it still has to be woken by it: its task has not seen it.
    expect(polls.map(({ sources }) => sources.map(([fd]) => fd))).toEqual([[5, WAKE_FD], [5]]);
    expect(log).toEqual(['step push', 'poll', 'step push', 'poll']);
  });

  it('tells tasks after 20 ms without work, then every 500 ms, until there is work again', () => {
    const [a, b] = [new FakeTask('a', log), new FakeTask('b', log)];
    answers = [0, 0, 0, 1, 0];
    a.steps = [...Array<() => boolean>(4).fill(() => false), worked];
    serve([a, b]);
    expect(polls.map(({ timeoutMs }) => timeoutMs)).toEqual([
      ...[IDLE_MS, LONGEST_WAIT_MS, LONGEST_WAIT_MS, LONGEST_WAIT_MS],
      ...[IDLE_MS, LONGEST_WAIT_MS],
    ]);
    expect(log.filter((entry) => entry.startsWith('idle'))).toEqual(Array(4).fill(['idle a', 'idle b']).flat());
  });

  it('does not sleep for long while a task has something to try again', () => {
    const a = new FakeTask('a', log);
    Object.assign(a, { triesAgain: true });
    answers = [0, 0];
    serve([new FakeTask('b', log), a]);
    expect(polls.map(({ timeoutMs }) => timeoutMs)).toEqual([IDLE_MS, IDLE_MS, IDLE_MS]);
  });

  it('sleeps until the first task is due, which is not idle meanwhile', () => {
    const [a, b] = [new FakeTask('a', log), new FakeTask('b', log)];
    Object.assign(a, { dueMs: 7 });
    Object.assign(b, { dueMs: 3 });
    answers = [0, 0, 1];
    serve([a, b, new FakeTask('c', log)]);
    expect(polls.map(({ timeoutMs }) => timeoutMs)).toEqual([3, 3, 3, 3]);
    expect(log).not.toContain('idle c');
  });

  it('is idle before a task is due for which that is too long, and sleeps until it is due', () => {
    const a = new FakeTask('a', log);
    Object.assign(a, { dueMs: IDLE_MS + 1 });
    answers = [0, 0, 0];
    serve([a, new FakeTask('b', log)]);
    expect(polls.map(({ timeoutMs }) => timeoutMs)).toEqual([IDLE_MS, IDLE_MS + 1, IDLE_MS + 1, IDLE_MS + 1]);
    expect(log.filter((entry) => entry === 'idle b')).toHaveLength(1);
  });

  it('does not wait for a time that is none', () => {
    const a = new FakeTask('a', log);
    Object.assign(a, { dueMs: 0 });
    serve([a]);
    expect(polls.map(({ timeoutMs }) => timeoutMs)).toEqual([IDLE_MS]);
  });

  it('sleeps as soon as there is nothing to do', () => {
    const a = new FakeTask('a', log);
    a.steps = [worked];
    serve([a]);
    expect(log).toEqual(['step a', 'step a', 'poll']);
  });

  it('does nothing for a link that is stopped', () => {
    signal.stop();
    serve([new FakeTask('a', log)]);
    expect(log).toEqual([]);
  });

  it('ends when the link is stopped, however much there is to do', () => {
    const a = new FakeTask('a', log);
    a.step = () => {
      if (log.push('step') === 10) signal.stop();
      return true;
    };
    serve([a]);
    expect(log).toHaveLength(10);
  });

  it('ends by what a task throws', () => {
    const [a, b] = [new FakeTask('a', log), new FakeTask('b', log)];
    a.steps = [
      () => {
        throw new Error('of a task');
      },
    ];
    expect(() => serve([a, b])).toThrow('of a task');
    expect(log).toEqual(['step a']);
    b.onIdle = () => {
      throw new Error('of an idle task');
    };
    answers = [0];
    expect(() => serve([b])).toThrow('of an idle task');
  });
});

/** Hands over, and wakes who waits for it, a moment after it is told to. */
const HAND_OVER = `
  const [signal, go] = [new Int32Array(data.signal), new Int32Array(data.go)];
  post('ready');
  Atomics.wait(go, 0, 0);
  Atomics.wait(go, 0, 1, 50);
  Atomics.store(signal, 0, 1);
  native.signalEventFd(data.wakeFd);
`;

it('really sleeps, and wakes by what comes and by the hand-over', async () => {
  const [wakeFd, sourceFd] = [native.createEventFd(), native.createEventFd()];
  onTestFinished(() => [wakeFd, sourceFd].forEach((fd) => native.closeFd(fd)));
  const signal = new GoSignal();
  const go = new Int32Array(new SharedArrayBuffer(4));
  const log: string[] = [];
  const task = new FakeTask('a', log, [sourceFd]);
  task.step = () => {
    if (native.drainEventFd(sourceFd)) return log.push('came') > 0;
    if (!signal.handedOver) return false;
    signal.stop();
    return log.push('handed over') > 0;
  };
  task.onIdle = () => {
    if (log.length === 1) return native.signalEventFd(sourceFd);
    Atomics.store(go, 0, 1);
    Atomics.notify(go, 0);
  };
  // Idle after 20 ms, and again after 20 ms; then it would sleep for 500 ms.
  expect(await next(startWorker(HAND_OVER, { signal: signal.buffer, go: go.buffer, wakeFd }))).toBe('ready');
  serveChannels([task], signal, wakeFd);
  expect(log).toEqual(['idle a', 'came', 'idle a', 'handed over']);
});
