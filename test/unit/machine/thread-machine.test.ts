import { describe, expect, it } from 'vitest';
import { threadRegisters } from '../../../src/boot/cpu-registers.js';
import { GuestMemory } from '../../../src/memory/guest-memory.js';
import { GUEST_BASE } from '../../../src/memory/layout.js';
import { native } from '../../../src/native.js';
import type { MachineParts } from '../../../src/machine/machine-kind.js';
import type { CpuState, KvmState, ThreadState } from '../../../src/machine/machine-state.js';
import { kvmMachine } from '../../../src/machine/kvm-machine.js';
import { threadMachine } from '../../../src/machine/thread-machine.js';
import { makeElf, MIB } from '../boot/images.js';
import { FakeRam } from '../memory/fake-ram.js';
import { FakeVcpu } from './fake-vcpu.js';

const BYTES = 0x10000;
const xsave = Uint8Array.of(1, 2, 3);

function partsOf(vcpus: FakeVcpu[]): MachineParts {
  return { memory: { bytes: BYTES }, vm: {}, vcpus: vcpus.map((vcpu) => vcpu.asVcpu()) } as unknown as MachineParts;
}

function stateAt(...rips: number[]): ThreadState {
  return { machine: 'threads', vcpus: rips.map((rip, index) => ({ regs: threadRegisters(rip, 0, index), xsave })) };
}

const chip = new Uint8Array(1);
const ofKvm: KvmState = {
  machine: 'kvm',
  vcpus: [],
  chips: { picMaster: chip, picSlave: chip, ioapic: chip, pit: chip },
  clock: new Uint8Array(48),
};

describe('a machine of threads', () => {
  it('takes over general and vector registers of each vCPU, and what it saves is the same', () => {
    const vcpus = [new FakeVcpu(), new FakeVcpu()];
    const state = stateAt(GUEST_BASE, GUEST_BASE + BYTES - 1);
    threadMachine.restore(partsOf(vcpus), state);
    for (const vcpu of vcpus) expect(vcpu.log).toEqual(['set regs', 'set xsave']);
    const clocks = threadMachine.readClocks(partsOf(vcpus));
    expect(threadMachine.save(partsOf(vcpus), clocks)).toEqual(state);
    expect(Math.abs(Date.now() - clocks.moment.wallClockMs!)).toBeLessThan(60_000);
  });

  it('takes a vCPU that never ran', () => {
    const vcpu = new FakeVcpu();
    threadMachine.restore(partsOf([vcpu]), stateAt(0));
    expect(vcpu.log).toEqual(['set regs', 'set xsave']);
  });

  it.each([1, GUEST_BASE - 1, GUEST_BASE + BYTES, 2 * GUEST_BASE])(
    'refuses a vCPU at %d, which is not in RAM',
    (rip) => {
      const vcpus = [new FakeVcpu(), new FakeVcpu()];
      expect(() => threadMachine.restore(partsOf(vcpus), stateAt(GUEST_BASE, rip))).toThrow(
        expect.objectContaining({
          code: 'BAD_PEER',
          message: `STATE has a vCPU at 0x${rip.toString(16)}, outside of the guest's RAM`,
        }),
      );
      expect(vcpus[1]!.log).toEqual([]);
    },
  );

  it('refuses the state of a machine of KVM', () => {
    const vcpu = new FakeVcpu();
    expect(() => threadMachine.restore(partsOf([vcpu]), ofKvm)).toThrow(
      expect.objectContaining({ code: 'BAD_PEER', message: expect.stringContaining('is of a machine of KVM') }),
    );
    expect(vcpu.log).toEqual([]);
  });

  it.each([0, 128, 130, 143])('refuses general registers of %d bytes', (bytes) => {
    const vcpu = new FakeVcpu();
    const state: ThreadState = { machine: 'threads', vcpus: [{ regs: new Uint8Array(bytes), xsave }] };
    expect(() => threadMachine.restore(partsOf([vcpu]), state)).toThrow(
      expect.objectContaining({ code: 'BAD_PEER', message: `STATE has registers of ${bytes} bytes; it must have 144` }),
    );
    expect(vcpu.log).toEqual([]);
  });

  it('begins every vCPU at the entry, and tells the guest the frequency of its clock', () => {
    const vcpus = [new FakeVcpu(), new FakeVcpu(), new FakeVcpu()];
    const memory = new GuestMemory(new FakeRam(64 * MIB));
    const entry = GUEST_BASE + MIB;
    const files = { kernel: makeElf({ linearEntry: entry }), kernelPath: 'guest.elf', cmdline: 'a=b' };
    threadMachine.load(partsOf(vcpus), memory, files, 0xe0000);
    vcpus.forEach((vcpu, index) => expect(vcpu.state.get('regs')).toEqual(threadRegisters(entry, 0x6000, index)));
    const cmdline = Buffer.from(memory.read(0x20000, 64)).toString('latin1').split('\0')[0];
    expect(cmdline).toBe(`a=b tsc_khz=${native.hostTscKhz()}`);
    expect(threadMachine.tscKhz(partsOf(vcpus))).toBe(native.hostTscKhz());
    expect(threadMachine.cpuid({ cpu: 'host', cpus: 2, memoryBytes: 1 })).toEqual([
      new Uint8Array(0),
      new Uint8Array(0),
    ]);
  });
});

describe('a machine of KVM', () => {
  it('refuses the state of a machine of threads', () => {
    const vcpu = new FakeVcpu();
    for (const take of [
      (cpu: CpuState) => kvmMachine.restore(partsOf([vcpu]), cpu),
      (cpu: CpuState) => kvmMachine.startClocks(partsOf([vcpu]), cpu, 0, 0),
    ]) {
      expect(() => take(stateAt(GUEST_BASE))).toThrow(
        expect.objectContaining({ code: 'BAD_PEER', message: expect.stringContaining('is of a machine of threads') }),
      );
    }
    expect(vcpu.log).toEqual([]);
  });
});
