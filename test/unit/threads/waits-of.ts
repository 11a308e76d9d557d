import { vi } from 'vitest';
import { native } from '../../../src/native.js';
import { PollSet } from '../../../src/threads/poll-set.js';

/** What a task would be polled for: [fd, events] of each. */
export function waitsOf(task: { sources(set: PollSet): void }): [fd: number, events: number][] {
  const set = new PollSet();
  task.sources(set);
  const waits: [number, number][] = [];
  const poll = vi.spyOn(native, 'poll').mockImplementation((triples, count) => {
    for (let i = 0; i < count; i++) waits.push([triples[i * 3] ?? NaN, triples[i * 3 + 1] ?? NaN]);
    return 0;
  });
  set.wait(0);
  poll.mockRestore();
  return waits;
}
