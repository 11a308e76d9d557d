import { expect, it, vi } from 'vitest';
import { native, type NativeVcpu } from '../../../src/native.js';
import { closeVcpus } from '../../../src/machine/vcpus.js';

it('waits for all vCPUs that are stuck no longer than for one', () => {
  let now = 0;
  vi.spyOn(native, 'monotonicMicros').mockImplementation(() => now * 1000);
  const told: string[] = [];
  const vcpu = (name: string, takesMs: number): NativeVcpu =>
    ({
      requestPause: () => told.push(name),
      close: (ms: number) => {
        told.push(`${name} ${ms}`);
        now += Math.min(ms, takesMs);
        return takesMs <= ms;
      },
    }) as unknown as NativeVcpu;
  expect(closeVcpus([vcpu('a', 0.5), vcpu('b', Infinity), vcpu('c', Infinity), vcpu('d', 1)], 1000)).toBe(false);
  expect(told).toEqual(['a', 'b', 'c', 'd', 'a 1000', 'b 1000', 'c 10', 'd 10']);
  expect(closeVcpus([vcpu('a', 1), vcpu('b', 1)], 1000)).toBe(true);
});
