/**
 * A machine of threads: no KVM. Each vCPU is a thread of this process that runs the ring-3 code of postcopy's own guest, in
 * guest RAM, at the processor's own speed. RAM is mapped at one address in every such process (GUEST_BASE), so that a guest
 * goes on in another one with all its pointers; there is one such machine to a process. A vCPU is left at any instruction by
 * a signal (native/threads/guest_context.h); its state is what the kernel keeps of a thread in user mode: general, x87 and
 * vector registers. Ports go to the device worker as a KVM vCPU's do.
 *
 * It is there to test and to measure everything but KVM where there is none, never to isolate: the guest has the rights of
 * this process. It has no ring 0, no interrupts, no local APIC, no clock of its own (it reads the host's TSC: such a guest
 * moves only between processes of one host), and its virtio devices cannot be reached by it.
 */
import { readBetween } from '../basics/read-between.js';
import { KVM_REGS_BYTES, RIP_OFFSET, threadRegisters } from '../boot/cpu-registers.js';
import { loadThreadGuest } from '../boot/thread-guest.js';
import { PostcopyError } from '../errors.js';
import { viewOf } from '../memory/byte-view.js';
import { GUEST_BASE } from '../memory/layout.js';
import { native, type NativeMemory } from '../native.js';
import type { MachineKind } from './machine-kind.js';
import { giveState, type CpuState, type ThreadState, type ThreadVcpuState } from './machine-state.js';
import { createVcpus } from './vcpus.js';

export const threadMachine: MachineKind = {
  name: 'threads',

  build(shape, cleanup) {
    const memory = new native.GuestMemory(shape.memoryBytes, 'threads');
    cleanup.add(() => memory.close());
    const vm = new native.Vm('threads', memory);
    cleanup.add(() => vm.close());
    return { memory, vm, vcpus: createVcpus(vm, shape.cpuid.length, cleanup) };
  },

  cpuid: ({ cpus }) => Array.from({ length: cpus }, () => new Uint8Array(0)),

  load({ vcpus }, memory, files, rsdpAddress) {
    const cmdline = `${files.cmdline} tsc_khz=${native.hostTscKhz()}`.trimStart();
    const { entryAddress, bootInfoAddress } = loadThreadGuest(memory, { ...files, cmdline }, rsdpAddress);
    vcpus.forEach((vcpu, index) => vcpu.setState('regs', threadRegisters(entryAddress, bootInfoAddress, index)));
  },

  tscKhz: () => native.hostTscKhz(),

  /** What comes has come from this host. */
  scalesTsc: () => true,
  setTscKhz: () => true,

  constantMsrs: () => new Uint8Array(0),
  tryMsrs: () => [],

  /** It has no exceptions. */
  tellLostPage: () => false,

  readClocks() {
    const { value: wallClockMs, atMicros } = readBetween(native.monotonicMicros, Date.now);
    return { moment: { atMicros, wallClockMs }, tscs: [], kvmclock: new Uint8Array(0) };
  },

  save({ vcpus }) {
    const states = vcpus.map((vcpu) => ({ regs: vcpu.getState('regs'), xsave: vcpu.getState('xsave') }));
    return { machine: 'threads', vcpus: states };
  },

  restore({ memory, vcpus }, cpu) {
    const states = ofThreads(cpu).vcpus;
    vcpus.forEach((vcpu, index) => {
      const { regs, xsave } = checked(states[index]!, memory);
      giveState(() => {
        vcpu.setState('regs', regs);
        vcpu.setState('xsave', xsave);
      });
    });
  },

  /** Its TSC is the host's. */
  startClocks() {},
};

function ofThreads(cpu: CpuState): ThreadState {
  if (cpu.machine === 'threads') return cpu;
  throw new PostcopyError('BAD_PEER', 'STATE is of a machine of KVM; this one is of threads');
}

/** A thread that began outside of the guest would run this process's own code. At 0, as one that never ran, it faults. */
function checked(state: ThreadVcpuState, memory: NativeMemory): ThreadVcpuState {
  const { length } = state.regs;
  if (length !== KVM_REGS_BYTES) {
    throw new PostcopyError('BAD_PEER', `STATE has registers of ${length} bytes; it must have ${KVM_REGS_BYTES}`);
  }
  const rip = viewOf(state.regs).getBigUint64(RIP_OFFSET, true);
  const into = rip - BigInt(GUEST_BASE);
  if (rip === 0n || (into >= 0n && into < BigInt(memory.bytes))) return state;
  throw new PostcopyError('BAD_PEER', `STATE has a vCPU at 0x${rip.toString(16)}, outside of the guest's RAM`);
}
