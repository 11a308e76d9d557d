import { expect, it, vi } from 'vitest';
import { native, type NativeVcpu } from '../../../src/native.js';
import { closeVcpus, Standstills } from '../../../src/machine/vcpus.js';

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

/** One that parks when its page has come. */
function waiting(name: string, log: string[]) {
  const vcpu = {
    parks: false,
    requestPause: () => void log.push(`${name} is asked`),
    waitParked: () => vcpu.parks,
    notePaused: () => log.push(`${name} is excused`) > 0,
    resume: () => void log.push(`${name} goes on`),
  };
  return vcpu;
}

const standstillsOf = (...vcpus: object[]) => new Standstills(vcpus as NativeVcpu[]);
const always = () => true;

it('excuses each vCPU as soon as its page has come, and has it go on', async () => {
  const log: string[] = [];
  const [a, b] = [waiting('a', log), waiting('b', log)];
  b.parks = true;
  const over = standstillsOf(a, b).excuse(always);
  expect(log).toEqual(['a is asked', 'b is asked', 'b is excused', 'b goes on']);
  a.parks = true;
  await over;
  expect(log.slice(4)).toEqual(['a is excused', 'a goes on']);
});

it('excuses those that run again and again, while another waits', async () => {
  const log: string[] = [];
  const [a, b] = [waiting('a', log), waiting('b', log)];
  b.parks = true;
  const standstills = standstillsOf(a, b);
  const over = standstills.excuse(always);
  log.length = 0;
  await standstills.excuse(always);
  expect(log).toEqual(['b is asked', 'b is excused', 'b goes on']);
  a.parks = true;
  await over;
  await standstills.excuse(always);
  expect(log.filter((line) => line === 'a is excused')).toHaveLength(2);
});

it('leaves vCPUs to whoever has them stand still meanwhile', async () => {
  const log: string[] = [];
  const vcpu = waiting('a', log);
  let goesOn = true;
  const standstills = standstillsOf(vcpu);
  const over = standstills.excuse(() => goesOn);
  goesOn = false;
  vcpu.parks = true;
  await over;
  expect(log).toEqual(['a is asked']);
  await standstills.excuse(always); // as it is nobody's any more
  expect(log.slice(1)).toEqual(['a is asked', 'a is excused', 'a goes on']);
});
