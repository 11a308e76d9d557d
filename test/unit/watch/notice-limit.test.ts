import { describe, expect, it } from 'vitest';
import { EventStream } from '../../../src/watch/stream.js';
import { lineOf } from '../../../src/watch/text.js';
import { NoticeLimit } from '../../../src/watch/notice-limit.js';

describe('notices that a guest causes', () => {
  it('are told up to a number, then one now and then, with how many were left out', () => {
    let now = 0;
    const limit = new NoticeLimit(() => now);
    const take = (times: number) => Array.from({ length: times }, () => limit.take());
    expect(take(25)).toEqual([...Array<number>(20).fill(0), ...Array<number>(5).fill(-1)]);
    now += 59_999;
    expect(take(1)).toEqual([-1]);
    now += 1;
    expect(take(2)).toEqual([6, -1]);
    now += 120_000;
    expect(take(3)).toEqual([1, 0, -1]);
    now += 1e9;
    expect(take(21)).toEqual([1, ...Array<number>(19).fill(0), -1]);
  });

  it('do not flood whoever listens, however often the guest is reset; nothing else is left out', () => {
    const stream = new EventStream('vm1');
    const told: string[] = [];
    stream.subscribe(({ type }) => told.push(type));
    for (let i = 0; i < 1000; i++) {
      stream.publish({ type: 'guest-reset', source: 'port 0x64' });
      stream.publish({ type: 'device', text: 'a virtio device waits for a reset' });
      stream.publish({ type: 'problem', text: 'a disk is full' });
    }
    const count = (type: string) => told.filter((other) => other === type).length;
    expect(count('guest-reset')).toBeLessThan(30);
    expect(count('device')).toBeLessThan(30);
    expect(count('problem')).toBe(1000);
  });

  it('say so in the log', () => {
    const happening = { type: 'guest-reset', source: 'port 0x64', at: 1, vm: 'vm1' } as const;
    expect(lineOf({ ...happening, untold: 7 })).toBe(
      'the guest asked for a reset (port 0x64): it starts again (7 more notices of this kind were left out)',
    );
  });
});
