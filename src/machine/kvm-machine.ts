/** A machine of KVM: boots what has a PVH or a Linux entry point. */
import { bootRegisters } from '../boot/cpu-registers.js';
import { guestCpuid } from '../boot/cpuid.js';
import { interruptRouting } from '../boot/interrupt-routing.js';
import { loadKernel } from '../boot/load-kernel.js';
import { PostcopyError } from '../errors.js';
import { KVM_IDENTITY_MAP_ADDRESS, KVM_TSS_ADDRESS, ramRegions } from '../memory/layout.js';
import { native } from '../native.js';
import type { MachineKind } from './machine-kind.js';
import { readClocks, startClocks } from './clocks.js';
import { KvmShown } from './kvm-shown.js';
import { tellLostPage } from './machine-check.js';
import { restoreKvmState, saveKvmState, type CpuState, type KvmState } from './machine-state.js';
import { NOT_LISTED } from './vcpu-state.js';
import { CLOSE_WAIT_MS, createVcpus } from './vcpus.js';

export const kvmMachine: MachineKind = {
  name: 'kvm',

  build(shape, cleanup) {
    const memory = new native.GuestMemory(shape.memoryBytes, 'anonymous');
    cleanup.add(() => memory.close());
    const vm = new native.Vm();
    cleanup.add(() => vm.close());
    vm.createIrqchip(KVM_TSS_ADDRESS, KVM_IDENTITY_MAP_ADDRESS);
    vm.setRouting(interruptRouting());
    ramRegions(shape.memoryBytes).forEach((region, slot) =>
      vm.setMemory(slot, region.guestAddress, memory, region.ramOffset, region.bytes),
    );
    const vcpus = createVcpus(vm, shape.cpuid.length, cleanup);
    vcpus.forEach((vcpu, index) => vcpu.setCpuid(shape.cpuid[index]!));
    for (const vcpu of vcpus) vcpu.setUpMachineChecks(); // without, a guest is told of no lost page
    const shown = new KvmShown(vcpus[0]!, shape.cpuid[0]!, [...native.kvmMsrIndices(), ...NOT_LISTED]);
    return { memory, vm, vcpus, shown };
  },

  cpuid({ cpu, cpus, memoryBytes }) {
    const supported = native.kvmSupportedCpuid();
    const tscDeadlineTimer = (native.kvmProbe().capabilities['tscDeadlineTimer'] ?? 0) > 0;
    const tscKhz = kvmTscKhz();
    const { guestAddress, bytes } = ramRegions(memoryBytes).at(-1)!;
    const common = { cpu, cpus, ramEnd: guestAddress + bytes, tscKhz, tscDeadlineTimer };
    return Array.from({ length: cpus }, (_, cpuIndex) => guestCpuid(supported, { ...common, cpuIndex }));
  },

  load({ vcpus }, memory, files, rsdpAddress) {
    const entry = loadKernel(memory, files, rsdpAddress);
    const first = vcpus[0]!;
    const registers = bootRegisters(entry, first.getState('sregs'));
    first.setState('sregs', registers.sregs);
    first.setState('regs', registers.regs);
  },

  tscKhz: ({ vcpus }) => vcpus[0]!.getTscKhz(),

  scalesTsc: () => (native.kvmProbe().capabilities['tscControl'] ?? 0) > 0,

  setTscKhz: ({ vcpus }, khz) => vcpus.every((vcpu) => vcpu.setTscKhz(khz)),

  readClocks: ({ vm, vcpus }) => readClocks(vm, vcpus),

  tellLostPage: ({ vcpus, shown }, vcpu, guestAddress) =>
    tellLostPage(vcpus, vcpu, guestAddress, shown!.broadcastsMachineChecks),

  constantMsrs: ({ shown }) => shown!.constantMsrs,

  tryMsrs: ({ vcpus, shown }, msrs) => shown!.tryMsrs(vcpus, msrs),

  save: ({ vm, vcpus, shown }, clocks) => saveKvmState(vm, vcpus, shown!.msrs, clocks),

  restore({ vm, vcpus, shown }, cpu) {
    const state = ofKvm(cpu);
    restoreKvmState(vm, vcpus, state, shown!);
    shown!.cameWith(state.vcpus[0]!.msrs);
  },

  startClocks: ({ vm, vcpus }, cpu, atMicros, tscKhz) => startClocks(vm, vcpus, ofKvm(cpu), atMicros, tscKhz),
};

function ofKvm(cpu: CpuState): KvmState {
  if (cpu.machine === 'kvm') return cpu;
  throw new PostcopyError('BAD_PEER', `STATE is of a machine of ${cpu.machine}; this one is of KVM`);
}

/** The frequency KVM gives a vCPU here, 0 if it does not say; it can be asked only of a vCPU. */
export function kvmTscKhz(): number {
  const vm = new native.Vm();
  try {
    const vcpu = new native.Vcpu(vm, 0);
    const khz = vcpu.getTscKhz();
    vcpu.close(CLOSE_WAIT_MS);
    return khz;
  } finally {
    vm.close();
  }
}
