import { describe, expect, it } from 'vitest';
import type { NativeVm } from '../../../src/native.js';
import { restoreKvmState, saveKvmState, startClocks, type KvmState } from '../../../src/machine/machine-state.js';
import { FakeVcpu, msrEntries } from './fake-vcpu.js';

const TSC = 0x10;

class FakeVm {
  readonly state = new Map<string, Uint8Array>();

  constructor(readonly log: string[]) {}

  getState(name: string): Uint8Array {
    this.log.push(`get ${name}`);
    return this.state.get(name) ?? new Uint8Array(name === 'clock' ? 48 : 1);
  }

  setState(name: string, bytes: Uint8Array): void {
    this.log.push(`set ${name}`);
    this.state.set(name, bytes);
  }

  asVm(): NativeVm {
    return this as unknown as NativeVm;
  }
}

/** struct kvm_clock_data: nanoseconds first; flags, realtime and host TSC behind it mean something only to their host. */
function clockData(nanoseconds: bigint): Uint8Array {
  const bytes = new Uint8Array(48).fill(0xee);
  new DataView(bytes.buffer).setBigUint64(0, nanoseconds, true);
  return bytes;
}

function stateOf(clock: Uint8Array, ...tscs: bigint[]): KvmState {
  const part = new Uint8Array(1);
  const vcpu = {
    regs: part,
    sregs: part,
    debugregs: part,
    xcrs: part,
    xsave: part,
    mpState: part,
    vcpuEvents: part,
    lapic: part,
  };
  return {
    machine: 'kvm',
    vcpus: tscs.map((tsc) => ({ ...vcpu, msrs: msrEntries([TSC, tsc]) })),
    chips: { picMaster: part, picSlave: part, ioapic: part, pit: part },
    clock,
  };
}

function fakes(vcpus: number): { vm: FakeVm; vcpus: FakeVcpu[] } {
  return { vm: new FakeVm([]), vcpus: Array.from({ length: vcpus }, () => new FakeVcpu()) };
}

describe('startClocks', () => {
  it('moves kvmclock and all TSCs on by the same time', () => {
    const { vm, vcpus } = fakes(2);
    const state = stateOf(clockData(7_000_000_000n), 1_000_000n, 1_000_010n);
    startClocks(
      vm.asVm(),
      vcpus.map((vcpu) => vcpu.asVcpu()),
      state,
      1234.5,
      2_000_000,
    );
    // 1,234.5 us are 1,234,500 ns, and at 2 GHz 2,469,000 ticks.
    const clock = vm.state.get('clock')!;
    expect([...clock]).toEqual([...new Uint8Array(BigUint64Array.of(7_001_234_500n).buffer), ...new Uint8Array(40)]);
    expect(vcpus.map((vcpu) => vcpu.msrs.get(TSC))).toEqual([3_469_000n, 3_469_010n]);
  });

  it('leaves the TSC where it stood if its frequency is not known', () => {
    const { vm, vcpus } = fakes(1);
    startClocks(vm.asVm(), [vcpus[0]!.asVcpu()], stateOf(clockData(5n), 77n), 1_000_000, 0);
    expect(vcpus[0]!.msrs.get(TSC)).toBe(77n);
    expect(new DataView(vm.state.get('clock')!.buffer).getBigUint64(0, true)).toBe(1_000_000_005n);
  });

  it('reads the clock out of the middle of a larger buffer', () => {
    const { vm, vcpus } = fakes(1);
    const buffer = new Uint8Array(60).fill(0xff);
    buffer.set(clockData(5n), 3);
    startClocks(vm.asVm(), [vcpus[0]!.asVcpu()], stateOf(buffer.subarray(3, 51), 1n), 1, 1_000_000);
    expect(new DataView(vm.state.get('clock')!.buffer).getBigUint64(0, true)).toBe(1005n);
  });
});

describe('restoreKvmState', () => {
  it('puts the chips back before the vCPUs, and no time', () => {
    const { vm, vcpus } = fakes(1);
    const log = vm.log;
    const vcpu = vcpus[0]!;
    vcpu.setState = (name) => void log.push(`vCPU: set ${name}`);
    restoreKvmState(vm.asVm(), [vcpu.asVcpu()], stateOf(clockData(5n), 1n));
    expect(log.slice(0, 4)).toEqual(['set picMaster', 'set picSlave', 'set ioapic', 'set pit']);
    expect(log.slice(4).every((line) => line.startsWith('vCPU: set'))).toBe(true);
    expect(vcpu.msrs.size).toBe(0);
  });

  it.each([0, 7, 47, 49])('refuses a clock of %d bytes while there is a way back', (bytes) => {
    const { vm, vcpus } = fakes(1);
    const restore = () => restoreKvmState(vm.asVm(), [vcpus[0]!.asVcpu()], stateOf(new Uint8Array(bytes), 1n));
    expect(restore).toThrow(expect.objectContaining({ code: 'BAD_PEER' }));
  });
});

describe('saveKvmState', () => {
  it('reads all TSCs again right before the clock, that of the first vCPU last', () => {
    const { vm, vcpus } = fakes(2);
    const log = vm.log;
    for (const vcpu of vcpus) {
      vcpu.getMsrs = (indices) => (
        log.push(`msrs of ${vcpus.indexOf(vcpu)}: ${[...indices].join()}`),
        new Uint8Array(0)
      );
    }
    vm.state.set('clock', clockData(9n));
    const { cpu } = saveKvmState(
      vm.asVm(),
      vcpus.map((vcpu) => vcpu.asVcpu()),
      Uint32Array.of(TSC, 0x1b),
    );
    expect(log).toEqual([
      'get picMaster',
      'get picSlave',
      'get ioapic',
      'get pit',
      `msrs of 0: ${TSC},27`,
      `msrs of 1: ${TSC},27`,
      `msrs of 1: ${TSC}`,
      `msrs of 0: ${TSC}`,
      'get clock',
    ]);
    expect(cpu.machine).toBe('kvm');
    expect(cpu.vcpus).toHaveLength(2);
    expect(cpu.clock).toEqual(clockData(9n));
  });
});
