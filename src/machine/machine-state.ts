/** The state of a whole machine apart from its RAM, as plain data that crosses in STATE. */
import { PostcopyError } from '../errors.js';
import { CHIPS, native, type ChipName, type NativeVcpu, type NativeVm } from '../native.js';
import { countsDown, withTimerMoved } from './lapic-timer.js';
import { putTsc, restoreVcpu, saveVcpu, type Shown, type VcpuState } from './vcpu-state.js';

export interface KvmState {
  machine: 'kvm';
  vcpus: VcpuState[];
  /** struct kvm_irqchip and kvm_pit_state2. */
  chips: Record<ChipName, Uint8Array>;
  /** struct kvm_clock_data: the kvmclock at the moment the vCPUs' TSCs were read. */
  clock: Uint8Array;
}

/** Of a vCPU that is a thread: struct kvm_regs, and the XSAVE area of user mode. */
export interface ThreadVcpuState {
  regs: Uint8Array;
  xsave: Uint8Array;
}

export interface ThreadState {
  machine: 'threads';
  vcpus: ThreadVcpuState[];
}

export type CpuState = KvmState | ThreadState;

export interface MachineState {
  cpu: CpuState;
  /** What the device worker saved. */
  devices: unknown;
}

/** When a guest's clocks had the values of its state. */
export interface ClocksMoment {
  /** monotonicMicros() of this host. */
  atMicros: number;
  /** The wall clock of the host where the guest was then, milliseconds since 1970; undefined if that is not known. */
  wallClockMs: number | undefined;
}

/** The clocks of a machine, read in one moment. */
export interface Clocks {
  moment: ClocksMoment;
  /** By vCPU, of a machine of KVM; undefined of one that has no TSC. */
  tscs: (bigint | undefined)[];
  /** struct kvm_clock_data; empty without KVM. */
  kvmclock: Uint8Array;
}

/** struct kvm_clock_data: clock in ns, flags, realtime, host_tsc. */
export const KVMCLOCK = { bytes: 48, nanoseconds: 0 } as const;

/** Something for each chip. */
export function forEachChip<Value>(make: (chip: ChipName) => Value): Record<ChipName, Value> {
  return Object.fromEntries(CHIPS.map((chip) => [chip, make(chip)])) as Record<ChipName, Value>;
}

/**
 * Of parked vCPUs, with their clocks, which were read before. May dirty guest memory (steal time): look for pages that hold
 * data after this.
 */
export function saveKvmState(
  vm: NativeVm,
  vcpus: NativeVcpu[],
  msrIndices: Uint32Array,
  { moment, tscs, kvmclock }: Clocks,
): KvmState {
  const chips = forEachChip((chip) => vm.getState(chip));
  const states = vcpus.map((vcpu, i) => {
    const state = saveVcpu(vcpu, msrIndices);
    const lapicAge = native.monotonicMicros() - moment.atMicros;
    const tsc = tscs[i];
    if (tsc !== undefined) putTsc(state, tsc);
    return {
      ...state,
      lapic: countsDown(state.lapic) ? withTimerMoved(state.lapic, state.lapic, -lapicAge) : state.lapic,
    };
  });
  return { machine: 'kvm', vcpus: states, chips, clock: kvmclock };
}

/**
 * Gives the kernel state that a peer has sent. Throws BAD_PEER for what the kernel or the addon does not take: structures of
 * another size, or values that no CPU has.
 */
export function giveState(give: () => void): void {
  try {
    give();
  } catch (error) {
    if (error instanceof PostcopyError) throw error;
    throw new PostcopyError('BAD_PEER', "this host's kernel does not take the state of the vCPUs or the chips", error);
  }
}

/**
 * Everything but time. Faults on guest memory must be served by now: KVM reads the kvmclock's page. What is of time is
 * only looked at: startClocks comes after COMMIT, when there is no way back.
 */
export function restoreKvmState(vm: NativeVm, vcpus: NativeVcpu[], state: KvmState, shown?: Shown): void {
  checkClocks(vm, state);
  giveState(() => {
    for (const chip of CHIPS) if (chip !== 'pit') vm.setState(chip, state.chips[chip]);
    vcpus.forEach((vcpu, i) => restoreVcpu(vcpu, state.vcpus[i]!, shown));
  });
}

/** Throws BAD_PEER. */
function checkClocks(vm: NativeVm, { clock, chips }: KvmState): void {
  const lengths: [name: string, bytes: number, wanted: number][] = [
    ['clock', clock.length, KVMCLOCK.bytes],
    ['PIT', chips.pit.length, vm.getState('pit').length],
  ];
  for (const [name, bytes, wanted] of lengths) {
    if (bytes === wanted) continue;
    throw new PostcopyError('BAD_PEER', `STATE has a ${name} of ${bytes} bytes; it must have ${wanted}`);
  }
}
