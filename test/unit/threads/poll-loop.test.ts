import { describe, expect, it, onTestFinished } from 'vitest';
import type { PollSource } from '../../../src/devices/poll-source.js';
import { native, POLLIN } from '../../../src/native.js';
import { PollLoop } from '../../../src/threads/poll-loop.js';

/** A source on an eventfd that records its turns. */
function source(name: string, seen: string[]): PollSource & { events: number } {
  const fd = native.createEventFd();
  onTestFinished(() => native.closeFd(fd));
  return { fd, events: POLLIN, run: (revents) => void seen.push(`${name}:${revents}`) };
}

describe('PollLoop', () => {
  it('runs those that are ready, in their order, and leaves the others', () => {
    const seen: string[] = [];
    const [a, b, c] = ['a', 'b', 'c'].map((name) => source(name, seen)) as [PollSource, PollSource, PollSource];
    native.signalEventFd(c.fd);
    native.signalEventFd(a.fd);
    new PollLoop().turn([a, b, c], 0);
    expect(seen).toEqual(['a:1', 'c:1']);
  });

  it('asks a source for its events at every turn, and does not wait for one that wants none', () => {
    const seen: string[] = [];
    const it = source('a', seen);
    native.signalEventFd(it.fd);
    const loop = new PollLoop();
    it.events = 0;
    loop.turn([it], 0);
    expect(seen).toEqual([]);
    it.events = POLLIN;
    loop.turn([it], 0);
    expect(seen).toEqual(['a:1']);
  });

  it.each([-0.5, -1, -1e9, NaN])('does not wait, and does not fail, when the time is %d', (timeoutMs) => {
    const seen: string[] = [];
    const loop = new PollLoop();
    loop.turn([source('a', seen)], timeoutMs);
    const ready = source('b', seen);
    native.signalEventFd(ready.fd);
    loop.turn([ready], timeoutMs);
    loop.turn([ready], 1e12); // longer than poll() takes it
    expect(seen).toEqual(['b:1', 'b:1']);
  });

  it('takes 64 sources, not more', () => {
    const one = source('a', []);
    const many = (count: number): PollSource[] => new Array<PollSource>(count).fill(one);
    new PollLoop().turn(many(64), 0);
    expect(() => new PollLoop().turn(many(65), 0)).toThrow(RangeError);
  });
});
