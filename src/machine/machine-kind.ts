/**
 * What a machine runs on: KVM (kvm-machine.ts), or threads of this process (thread-machine.ts). All else, RAM and its
 * pages, the device worker, the migration, is the same for both.
 */
import type { Cleanup } from '../basics/cleanup.js';
import type { BootFiles } from '../boot/boot-entry.js';
import type { CpuName } from '../configure/cpu-setting.js';
import type { MachineName } from '../configure/machine-setting.js';
import type { GuestMemory } from '../memory/guest-memory.js';
import type { NativeMemory, NativeVcpu, NativeVm } from '../native.js';
import type { KvmShown } from './kvm-shown.js';
import type { Clocks, CpuState } from './machine-state.js';

export interface MachineShape {
  memoryBytes: number;
  /** Packed CPUID entries, one array a vCPU. */
  cpuid: Uint8Array[];
}

/** What a machine is to be, before its CPUID is known. */
interface CpuPlan {
  cpu: CpuName;
  cpus: number;
  memoryBytes: number;
}

export interface MachineParts {
  memory: NativeMemory;
  vm: NativeVm;
  vcpus: NativeVcpu[];
  /** What the guest of a machine of KVM is shown of the CPU. */
  shown?: KvmShown;
}

export interface MachineKind {
  readonly name: MachineName;
  /** `cleanup` gets what takes back each step, also of one that throws later. */
  build(shape: MachineShape, cleanup: Cleanup): MachineParts;
  /** One array a vCPU, empty where the guest has the host's own. Throws HOST_LACKS if this host has not that CPU. */
  cpuid(plan: CpuPlan): Uint8Array[];
  /** Puts a kernel into RAM, and the first vCPU (or all) at its entry. Throws PostcopyError. */
  load(parts: MachineParts, memory: GuestMemory, files: BootFiles, rsdpAddress: number): void;
  /** The guest's TSC frequency, asked while vCPUs are parked; 0 if unknown. */
  tscKhz(parts: MachineParts): number;
  /** Whether the host can give a guest another TSC frequency than its own. */
  scalesTsc(): boolean;
  /** False if the host cannot give the guest this one. */
  setTscKhz(parts: MachineParts, khz: number): boolean;
  /** MSRs whose value is the same for the guest's whole life: packed struct kvm_msr_entry. */
  constantMsrs(parts: MachineParts): Uint8Array;
  /** Of a guest that comes from another host, before it has any state: gives it these, and says which KVM does not take. */
  tryMsrs(parts: MachineParts, msrs: Uint8Array): string[];
  /**
   * Of parked vCPUs, one of which was about to touch this page: the guest hears, as it goes on, that its host has lost it.
   * False if it cannot be told.
   */
  tellLostPage(parts: MachineParts, vcpu: number, guestAddress: number): boolean;
  /** Of parked vCPUs. */
  readClocks(parts: MachineParts): Clocks;
  /** Of parked vCPUs, with the clocks that were read when they parked. */
  save(parts: MachineParts, clocks: Clocks): CpuState;
  /** Everything but time. Throws BAD_PEER for the state of another kind of machine. */
  restore(parts: MachineParts, cpu: CpuState): void;
  /** The clocks go on where they would be by now; `atMicros`: ClocksMoment's. Nothing interrupts the guest before. */
  startClocks(parts: MachineParts, cpu: CpuState, atMicros: number, tscKhz: number): void;
}
