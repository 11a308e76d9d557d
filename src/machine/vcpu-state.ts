/**
 * Everything KVM knows of a vCPU, as the kernel's own structures (stable ABI, x86-64), and the order in which it has to
 * be put back. Documentation/virt/kvm/api.rst.
 */
import { PostcopyError } from '../errors.js';
import { viewOf } from '../memory/byte-view.js';
import { VCPU_STATES, type NativeVcpu } from '../native.js';
import { withTimerStopped } from './lapic-timer.js';

/** In the order of reading. msrs: packed struct kvm_msr_entry. */
const PARTS = [...VCPU_STATES, 'msrs'] as const;
export type VcpuPart = (typeof PARTS)[number];
export type VcpuState = Record<VcpuPart, Uint8Array>;

/** Something for each part of a vCPU, in the order of reading. */
export function forEachPart<Value>(make: (part: VcpuPart) => Value): Record<VcpuPart, Value> {
  return Object.fromEntries(PARTS.map((part) => [part, make(part)])) as Record<VcpuPart, Value>;
}

/** struct kvm_msr_entry: index, reserved, value. */
const MSR_ENTRY_BYTES = 16;

/** The time stamp counter (Intel SDM vol. 4): set at COMMIT, when the length of the pause is known. */
const MSR_IA32_TSC = 0x10;
/** An absolute TSC value: means something only after the TSC and the LAPIC's timer mode are set. */
const MSR_IA32_TSC_DEADLINE = 0x6e0;
/**
 * Writing these makes KVM write the wall clock into guest memory, once (Documentation/virt/kvm/x86/msr.rst). That has
 * happened at the source; done again it could hit a page that the guest has since put to another use.
 */
const MSR_KVM_WALL_CLOCK = 0x11;
const MSR_KVM_WALL_CLOCK_NEW = 0x4b564d00;

/** MTRRs (Intel SDM vol. 3, 12.11): KVM has them and does not list them in KVM_GET_MSR_INDEX_LIST. */
export const MTRRS = [
  0x2ff,
  0x250,
  0x258,
  0x259,
  ...Array.from({ length: 8 }, (_, i) => 0x268 + i),
  ...Array.from({ length: 16 }, (_, i) => 0x200 + i),
];

/** In ticks: hours, at any frequency. */
const FAR_AWAY = 1n << 46n;

const SET_AT_COMMIT = new Set([MSR_IA32_TSC, MSR_IA32_TSC_DEADLINE]);
const NEVER_SET = new Set([MSR_KVM_WALL_CLOCK, MSR_KVM_WALL_CLOCK_NEW]);

export function saveVcpu(vcpu: NativeVcpu, msrIndices: Uint32Array): VcpuState {
  return forEachPart((part) => (part === 'msrs' ? vcpu.getMsrs(msrIndices) : vcpu.getState(part)));
}

/**
 * Puts a vCPU back as it was, but for its time (clocks.ts): the timer of its LAPIC stands still. CPUID must be set. The order matters: sregs hold the APIC
 * base that the LAPIC needs and CR4/XCR0 bits that XSAVE needs; debug registers and events come last, so that nothing
 * before clears them.
 */
export function restoreVcpu(vcpu: NativeVcpu, state: VcpuState): void {
  for (const part of ['sregs', 'regs', 'xcrs', 'xsave'] as const) vcpu.setState(part, state[part]);
  setMsrs(
    vcpu,
    selectMsrs(state.msrs, (index) => !SET_AT_COMMIT.has(index) && !NEVER_SET.has(index)),
  );
  vcpu.setState('lapic', withTimerStopped(state.lapic));
  for (const part of ['debugregs', 'mpState', 'vcpuEvents'] as const) vcpu.setState(part, state[part]);
}

/** The TSC of a parked vCPU, now; undefined if it has none. */
export function readTsc(vcpu: NativeVcpu): bigint | undefined {
  return valueNow(vcpu, MSR_IA32_TSC);
}

export function savedTsc({ msrs }: VcpuState): bigint | undefined {
  return savedMsr(msrs, MSR_IA32_TSC);
}

/** Puts a TSC that was read at another time than the rest into the state. */
export function putTsc({ msrs }: VcpuState, tsc: bigint): void {
  const view = viewOf(msrs);
  for (let at = 0; at < msrs.length; at += MSR_ENTRY_BYTES) {
    if (view.getUint32(at, true) === MSR_IA32_TSC) view.setBigUint64(at + 8, tsc, true);
  }
}

/**
 * Sets the TSC by its MSR, where KVM takes no offset (before Linux 5.16): KVM then guesses what is meant. It takes a value
 * that is less than a second from what the last TSC written has come to for that same TSC: so all vCPUs get one. Before
 * Linux 6.7 it counts the creation of the vCPU as such a write, of 0, so that a guest that is as old as its new machine
 * would be given that one's TSC: for the `first` vCPU a value that is far from both comes in between.
 */
export function writeTsc(vcpu: NativeVcpu, tsc: bigint, first: boolean): void {
  if (first) setMsrs(vcpu, tscEntry(tsc ^ FAR_AWAY));
  setMsrs(vcpu, tscEntry(tsc));
}

/** Sets the deadline of the LAPIC's timer, a value of the TSC: behind that. */
export function restoreDeadline(vcpu: NativeVcpu, state: VcpuState): void {
  setMsrs(
    vcpu,
    selectMsrs(state.msrs, (index) => index === MSR_IA32_TSC_DEADLINE),
  );
}

function tscEntry(tsc: bigint): Uint8Array {
  const entry = new Uint8Array(MSR_ENTRY_BYTES);
  viewOf(entry).setUint32(0, MSR_IA32_TSC, true);
  viewOf(entry).setBigUint64(8, BigInt.asUintN(64, tsc), true);
  return entry;
}

/** The value of one of the MSRs of a saved vCPU; undefined if it is none of them. */
export function savedMsr(msrs: Uint8Array, index: number): bigint | undefined {
  const view = viewOf(msrs);
  for (let at = 0; at + MSR_ENTRY_BYTES <= msrs.length; at += MSR_ENTRY_BYTES) {
    if (view.getUint32(at, true) === index) return view.getBigUint64(at + 8, true);
  }
  return undefined;
}

/** A copy of the entries whose index is wanted, in order: the TSC (0x10) comes before its deadline (0x6e0). */
function selectMsrs(msrs: Uint8Array, wanted: (index: number) => boolean): Uint8Array {
  const view = viewOf(msrs);
  const selected: { index: number; entry: Uint8Array }[] = [];
  for (let at = 0; at + MSR_ENTRY_BYTES <= msrs.length; at += MSR_ENTRY_BYTES) {
    const index = view.getUint32(at, true);
    if (wanted(index)) selected.push({ index, entry: msrs.subarray(at, at + MSR_ENTRY_BYTES) });
  }
  selected.sort((a, b) => a.index - b.index);
  const copy = new Uint8Array(selected.length * MSR_ENTRY_BYTES);
  selected.forEach(({ entry }, i) => copy.set(entry, i * MSR_ENTRY_BYTES));
  return copy;
}

/**
 * KVM stops at an MSR that it does not let us set. Where the vCPU has that value already (an MSR that is read-only on
 * this host), there is nothing to set; nor where this host's KVM has no such MSR and it holds 0, as after a reset: KVM
 * before Linux 6.4 lists the performance counters of Intel's CPUs on AMD's as well. What a guest may begin to use later is
 * a matter of CPUID, checked before. Anything else would be a guest with other state than it left with.
 */
function setMsrs(vcpu: NativeVcpu, entries: Uint8Array): void {
  const view = viewOf(entries);
  for (let at = 0; at < entries.length;) {
    at += vcpu.setMsrs(entries.subarray(at)) * MSR_ENTRY_BYTES;
    if (at >= entries.length) return;
    const index = view.getUint32(at, true);
    const value = view.getBigUint64(at + 8, true);
    if (value !== (valueNow(vcpu, index) ?? 0n)) {
      throw new PostcopyError(
        'HOST_LACKS',
        `this host's KVM does not take MSR 0x${index.toString(16)} = 0x${value.toString(16)}`,
      );
    }
    at += MSR_ENTRY_BYTES;
  }
}

/** Undefined if this host's KVM has no such MSR. */
function valueNow(vcpu: NativeVcpu, index: number): bigint | undefined {
  return savedMsr(vcpu.getMsrs(Uint32Array.of(index)), index);
}
