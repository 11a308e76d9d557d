import { afterEach, describe, expect, it, vi } from 'vitest';
import { readClocks, startClocks } from '../../../src/machine/clocks.js';
import { native } from '../../../src/native.js';
import { clockData, fakes, kvmState, TSC, type FakeVm } from './fake-kvm.js';
import type { FakeVcpu } from './fake-vcpu.js';
import { lapicTimer, timerOf } from './lapic-registers.js';

const DEADLINE = 0x6e0;
const NOW = 50_000_000;

afterEach(() => void vi.restoreAllMocks());

/** Time stands still for who sets clocks. */
function standStill(): void {
  vi.spyOn(native, 'monotonicMicros').mockReturnValue(NOW);
}

function start(
  { vm, vcpus }: { vm: FakeVm; vcpus: FakeVcpu[] },
  state: Parameters<typeof startClocks>[2],
  since: number,
  khz: number,
) {
  const handles = vcpus.map((vcpu) => vcpu.asVcpu());
  startClocks(vm.asVm(), handles, state, NOW - since, khz);
}

function kvmclockOf(vm: FakeVm): bigint {
  return new DataView(vm.state.get('clock')!.buffer).getBigUint64(0, true);
}

describe('startClocks', () => {
  it('moves kvmclock, all TSCs and timers on by the same time', () => {
    standStill();
    const machine = fakes(2);
    for (const vcpu of machine.vcpus) {
      vcpu.msrs.set(TSC, 70_000n); // of its new host
      vcpu.offset = -1000n;
    }
    const state = kvmState(clockData(7_000_000_000n), 1_000_000n, 1_000_010n);
    state.vcpus[1]!.lapic = lapicTimer({ initial: 9_000_000, current: 5_000_000 });
    start(machine, state, 1234.5, 2_000_000);
    // 1,234.5 us are 1,234,500 ns, and at 2 GHz 2,469,000 ticks.
    const { vm, vcpus } = machine;
    expect([...vm.state.get('clock')!]).toEqual([
      ...new Uint8Array(BigUint64Array.of(7_001_234_500n).buffer),
      ...new Uint8Array(40),
    ]);
    expect(vcpus.map((vcpu) => vcpu.offset)).toEqual([-1000n + 3_469_000n - 70_000n, -1000n + 3_469_000n - 70_000n]);
    expect(timerOf(vcpus[1]!.state.get('lapic')!)).toEqual({ initial: 9_000_000, current: 5_000_000 - 1_234_500 });
    expect(vcpus[0]!.state.has('lapic')).toBe(false);
    expect(vm.log).toEqual(['set pit', 'set clock']);
  });

  it('keeps TSCs apart that the guest has set apart', () => {
    standStill();
    const machine = fakes(3);
    for (const vcpu of machine.vcpus) vcpu.msrs.set(TSC, 0n);
    for (const vcpu of machine.vcpus) vcpu.offset = 0n;
    start(machine, kvmState(clockData(0n), 100n, 100n + 999_999_999n, 100n + 1_000_000_000n), 0, 1_000_000);
    expect(machine.vcpus.map((vcpu) => vcpu.offset)).toEqual([100n, 100n, 1_000_000_100n]);
  });

  it('writes TSCs where KVM takes no offsets, and sets deadlines behind that', () => {
    standStill();
    const machine = fakes(2);
    const state = kvmState(clockData(0n), 1_000_000n, 1_000_000n);
    state.vcpus[1]!.msrs = state.vcpus[1]!.msrs.slice();
    const entry = state.vcpus[1]!.msrs;
    const withDeadline = new Uint8Array(32);
    withDeadline.set(entry);
    new DataView(withDeadline.buffer).setUint32(16, DEADLINE, true);
    new DataView(withDeadline.buffer).setBigUint64(24, 5000n, true);
    state.vcpus[1]!.msrs = withDeadline;
    start(machine, state, 1000, 1_000_000);
    expect(machine.vcpus.map((vcpu) => vcpu.msrs.get(TSC))).toEqual([2_000_000n, 2_000_000n]);
    expect(machine.vcpus[0]!.log).toEqual(['msr 10', 'msr 10']);
    expect(machine.vcpus[1]!.log).toEqual(['msr 10', 'msr 6e0']);
    expect(machine.vcpus[1]!.msrs.get(DEADLINE)).toBe(5000n);
  });

  it('leaves the TSC where it stood if its frequency is not known', () => {
    standStill();
    const machine = fakes(1);
    start(machine, kvmState(clockData(5n), 77n), 1_000_000, 0);
    expect(machine.vcpus[0]!.msrs.get(TSC)).toBe(77n);
    expect(kvmclockOf(machine.vm)).toBe(1_000_000_005n);
  });

  it('sets a clock again when it was held up meanwhile', () => {
    let now = NOW;
    vi.spyOn(native, 'monotonicMicros').mockImplementation(() => now);
    const machine = fakes(1);
    const { vm } = machine;
    const { setState } = vm;
    const holdUps = [0, 30_000, 21, 3]; // PIT, clock, clock, clock
    vm.setState = (name, bytes) => {
      setState.call(vm, name, bytes);
      now += holdUps.shift() ?? 0;
    };
    start(machine, kvmState(clockData(0n), 1n), 0, 1000);
    expect(vm.log).toEqual(['set pit', 'set clock', 'set clock', 'set clock']);
    expect(kvmclockOf(vm)).toBe(30_021_000n);
  });

  it('reads the clock out of the middle of a larger buffer', () => {
    standStill();
    const machine = fakes(1);
    const buffer = new Uint8Array(60).fill(0xff);
    buffer.set(clockData(5n), 3);
    start(machine, kvmState(buffer.subarray(3, 51), 1n), 1, 1_000_000);
    expect(kvmclockOf(machine.vm)).toBe(1005n);
  });
});

describe('readClocks', () => {
  it('reads what belongs together in one moment, again when it was held up', () => {
    let now = NOW;
    vi.spyOn(native, 'monotonicMicros').mockImplementation(() => now);
    const { vm, vcpus } = fakes(2);
    let reading = 0;
    const { getState } = vm;
    vm.getState = (name) => {
      now += reading++ === 0 ? 9000 : 10;
      vcpus[0]!.msrs.set(TSC, BigInt(reading));
      return getState.call(vm, name);
    };
    vcpus.forEach((vcpu) => vcpu.msrs.set(TSC, 0n));
    const clocks = readClocks(
      vm.asVm(),
      vcpus.map((vcpu) => vcpu.asVcpu()),
    );
    expect(clocks.moment.atMicros).toBe(NOW + 9005);
    expect(clocks.tscs).toEqual([1n, 0n]);
    expect(clocks.kvmclock).toHaveLength(48);
  });
});
