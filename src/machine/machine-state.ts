/** The state of a whole machine apart from its RAM, as plain data that crosses in STATE. */
import { PostcopyError } from '../errors.js';
import { CHIPS, native, type ChipName, type NativeVcpu, type NativeVm } from '../native.js';
import { rereadTsc, restoreTime, restoreVcpu, saveVcpu, type VcpuState } from './vcpu-state.js';

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

/** Something for each chip. */
export function forEachChip<Value>(make: (chip: ChipName) => Value): Record<ChipName, Value> {
  return Object.fromEntries(CHIPS.map((chip) => [chip, make(chip)])) as Record<ChipName, Value>;
}

/** struct kvm_clock_data: clock in ns, flags, realtime, host_tsc. */
const CLOCK = { bytes: 48, nanoseconds: 0 } as const;

/**
 * Of parked vCPUs. May dirty guest memory (steal time): look for pages that hold data after this. The kvmclock is read
 * last, right behind the TSCs; `clockAt` is monotonicMicros() of that.
 */
export function saveKvmState(
  vm: NativeVm,
  vcpus: NativeVcpu[],
  msrIndices: Uint32Array,
): { cpu: KvmState; clockAt: number } {
  const chips = forEachChip((chip) => vm.getState(chip));
  const states = vcpus.map((vcpu) => saveVcpu(vcpu, msrIndices));
  // vCPU 0 last: the destination gives all vCPUs its offset.
  for (let i = vcpus.length - 1; i >= 0; i--) rereadTsc(vcpus[i]!, states[i]!);
  const clock = vm.getState('clock');
  return { cpu: { machine: 'kvm', vcpus: states, chips, clock }, clockAt: native.monotonicMicros() };
}

/**
 * Everything but time. Faults on guest memory must be served by now: KVM reads the kvmclock's page. The clock is only
 * looked at: startClocks comes after COMMIT, when there is no way back.
 */
export function restoreKvmState(vm: NativeVm, vcpus: NativeVcpu[], state: KvmState): void {
  if (state.clock.length !== CLOCK.bytes) {
    throw new PostcopyError(
      'BAD_PEER',
      `STATE has a clock of ${state.clock.length} bytes; it must have ${CLOCK.bytes}`,
    );
  }
  for (const chip of CHIPS) vm.setState(chip, state.chips[chip]);
  vcpus.forEach((vcpu, i) => restoreVcpu(vcpu, state.vcpus[i]!));
}

/**
 * Starts the guest's clocks at their saved value plus the time since, so that the guest neither loses the downtime nor
 * sees a jump beyond it. Both kvmclock and TSC move on by the same time.
 */
export function startClocks(
  vm: NativeVm,
  vcpus: NativeVcpu[],
  state: KvmState,
  sinceMicros: number,
  tscKhz: number,
): void {
  const clock = new Uint8Array(CLOCK.bytes);
  const nanoseconds = new DataView(state.clock.buffer, state.clock.byteOffset).getBigUint64(CLOCK.nanoseconds, true);
  const since = BigInt(Math.round(sinceMicros * 1000));
  new DataView(clock.buffer).setBigUint64(CLOCK.nanoseconds, nanoseconds + since, true);
  vm.setState('clock', clock);
  const ticks = BigInt(Math.round((sinceMicros * tscKhz) / 1000));
  vcpus.forEach((vcpu, i) => restoreTime(vcpu, state.vcpus[i]!, ticks));
}
