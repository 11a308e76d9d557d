import { describe, expect, it, vi } from 'vitest';
import type { Happening, What } from '../../../src/watch/events.js';
import { EventStream } from '../../../src/watch/stream.js';
import { lineOf } from '../../../src/watch/text.js';

const RUNNING: What = { type: 'state', state: 'running' };

describe('a stream of events', () => {
  it('tells everybody what happens, to which VM, and when', () => {
    const stream = new EventStream('vm1');
    const heard: Happening[][] = [[], []];
    for (const list of heard) stream.subscribe((happening) => list.push(happening));
    const before = Date.now();
    stream.publish(RUNNING);
    for (const [happening] of heard) {
      expect(happening).toEqual({ ...RUNNING, vm: 'vm1', at: expect.any(Number) });
      expect(happening?.at).toBeGreaterThanOrEqual(before);
    }
  });

  it('tells nobody who listens no more', () => {
    const stream = new EventStream('vm1');
    const listener = vi.fn();
    const [first, second] = [stream.subscribe(listener), stream.subscribe(listener)];
    first();
    first();
    stream.publish(RUNNING);
    expect(listener).toHaveBeenCalledTimes(1);
    second();
    stream.publish(RUNNING);
    expect(listener).toHaveBeenCalledTimes(1);
  });

  it('goes on when somebody who listens fails, at once or later, and warns of it', async () => {
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const stream = new EventStream('vm1');
    const last = vi.fn();
    stream.subscribe(() => {
      throw new Error('no space left');
    });
    stream.subscribe(() => Promise.reject(new Error('later')));
    stream.subscribe(last);
    stream.publish(RUNNING);
    expect(last).toHaveBeenCalledTimes(1);
    await new Promise((resolve) => setImmediate(resolve));
    expect(warned).toHaveBeenCalledWith(expect.stringContaining('no space left'), 'PostcopyWarning');
    warned.mockRestore();
  });

  it('waits for nobody', () => {
    const stream = new EventStream('vm1');
    stream.subscribe(() => new Promise(() => {}));
    const last = vi.fn();
    stream.subscribe(last);
    stream.publish(RUNNING);
    expect(last).toHaveBeenCalledTimes(1);
  });

  it('may be left, and joined, by those who are just told', () => {
    const stream = new EventStream('vm1');
    const late = vi.fn();
    const leave = stream.subscribe(() => {
      leave();
      stream.subscribe(late);
    });
    stream.publish(RUNNING);
    expect(late).not.toHaveBeenCalled();
    stream.publish(RUNNING);
    expect(late).toHaveBeenCalledTimes(1);
  });
});

it.each<[What, string | undefined]>([
  [{ type: 'refused', peer: 'a:1', reasons: ['too big', 'too old'] }, 'refused a VM from a:1: too big; too old'],
  [{ type: 'not-begun', peer: 'a:1', reason: 'silence' }, 'no VM came from a:1: silence; still waiting for one'],
  [{ type: 'arrived', peer: 'a:1', paused: false }, 'the VM has come from a:1 and runs here'],
  [{ type: 'arrived', peer: 'a:1', paused: true }, 'the VM has come from a:1 and is paused here'],
  [{ type: 'whole', peer: 'a:1' }, 'all of the VM has arrived from a:1'],
  [{ type: 'guest-reset', source: 'port 0x64' }, 'the guest asked for a reset (port 0x64): it starts again'],
  [
    { type: 'migration-failed', peer: 'a:1', state: 'paused', reason: 'no' },
    'the migration to a:1 failed, the VM is paused here: no',
  ],
  [{ type: 'disks-back' }, 'vm1 goes on with disks that another host has had'],
  [{ type: 'doubt-settled', peer: 'a:1' }, 'vm1 goes on here: a:1 has not run it'],
  [{ type: 'lost', text: 'the link was lost' }, 'the link was lost'],
  [{ type: 'device', text: 'a disk is slow' }, 'a disk is slow'],
  [RUNNING, undefined],
  [{ type: 'ended', reason: 'stopped', message: 'vm1 was stopped' }, undefined],
])('%j: the log has %j', (what, line) => {
  expect(lineOf({ at: 0, vm: 'vm1', ...what })).toBe(line);
});
