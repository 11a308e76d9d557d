import { describe, expect, it } from 'vitest';
import { native } from '../../../src/native.js';
import { restoreKvmState, saveKvmState } from '../../../src/machine/machine-state.js';
import { clockData, fakes, kvmState, TSC } from './fake-kvm.js';
import { msrsOf } from './fake-vcpu.js';
import { lapicTimer, timerOf } from './lapic-registers.js';

describe('restoreKvmState', () => {
  it('puts the chips back before the vCPUs, and none of what counts time', () => {
    const { vm, vcpus } = fakes(1);
    const log = vm.log;
    const vcpu = vcpus[0]!;
    vcpu.setState = (name) => void log.push(`vCPU: set ${name}`);
    restoreKvmState(vm.asVm(), [vcpu.asVcpu()], kvmState(clockData(5n), 1n));
    expect(log.slice(0, 4)).toEqual(['get pit', 'set picMaster', 'set picSlave', 'set ioapic']);
    expect(log.slice(4).every((line) => line.startsWith('vCPU: set'))).toBe(true);
    expect(vcpu.msrs.size).toBe(0);
  });

  it('has no timer of a local APIC run before its clock does', () => {
    const { vm, vcpus } = fakes(1);
    const state = kvmState(clockData(5n), 1n);
    state.vcpus[0]!.lapic = lapicTimer({ initial: 1000, current: 10 });
    restoreKvmState(vm.asVm(), [vcpus[0]!.asVcpu()], state);
    expect(timerOf(vcpus[0]!.state.get('lapic')!)).toEqual({ initial: 0, current: 10 });
    expect(timerOf(state.vcpus[0]!.lapic)).toEqual({ initial: 1000, current: 10 });
  });

  it.each([0, 7, 47, 49])('refuses a clock of %d bytes while there is a way back', (bytes) => {
    const { vm, vcpus } = fakes(1);
    const restore = () => restoreKvmState(vm.asVm(), [vcpus[0]!.asVcpu()], kvmState(new Uint8Array(bytes), 1n));
    expect(restore).toThrow(expect.objectContaining({ code: 'BAD_PEER' }));
  });

  it('refuses a PIT of another size than this host has', () => {
    const { vm, vcpus } = fakes(1);
    vm.state.set('pit', new Uint8Array(112));
    const restore = () => restoreKvmState(vm.asVm(), [vcpus[0]!.asVcpu()], kvmState(clockData(5n), 1n));
    expect(restore).toThrow(expect.objectContaining({ code: 'BAD_PEER' }));
  });
});

describe('saveKvmState', () => {
  it('has the clocks that were read before, and the rest of now', () => {
    const { vm, vcpus } = fakes(2);
    vcpus.forEach((vcpu, i) => vcpu.msrs.set(TSC, 100n + BigInt(i)).set(0x1b, 7n));
    const cpu = saveKvmState(
      vm.asVm(),
      vcpus.map((vcpu) => vcpu.asVcpu()),
      Uint32Array.of(TSC, 0x1b),
      { moment: { atMicros: 0, wallClockMs: 0 }, tscs: [5n, undefined], kvmclock: clockData(9n) },
    );
    expect(vm.log).toEqual(['get picMaster', 'get picSlave', 'get ioapic', 'get pit']);
    expect(cpu.clock).toEqual(clockData(9n));
    expect(cpu.vcpus.map(({ msrs }) => msrsOf(msrs))).toEqual([
      [
        [TSC, 5n],
        [0x1b, 7n],
      ],
      [
        [TSC, 101n],
        [0x1b, 7n],
      ],
    ]);
  });

  it('has the timers of local APICs as they were when the clocks were read', () => {
    const { vm, vcpus } = fakes(1);
    vcpus[0]!.state.set('lapic', lapicTimer({ initial: 4_000_000_000, current: 1 }));
    const atMicros = native.monotonicMicros() - 1_000_000;
    const save = () =>
      saveKvmState(vm.asVm(), [vcpus[0]!.asVcpu()], Uint32Array.of(TSC), {
        moment: { atMicros, wallClockMs: 0 },
        tscs: [],
        kvmclock: clockData(9n),
      });
    const { current } = timerOf(save().vcpus[0]!.lapic);
    expect(current).toBeGreaterThan(1_000_000_000); // ns that it had left a second ago
    expect(current).toBeLessThan((native.monotonicMicros() - atMicros) * 1000 + 2);
  });
});
