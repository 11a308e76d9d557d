/**
 * Everything KVM knows of a vCPU, as the kernel's own structures (stable ABI, x86-64), and the order in which it has to
 * be put back. Documentation/virt/kvm/api.rst.
 */
import { PostcopyError } from '../errors.js';
import { viewOf } from '../memory/byte-view.js';
import { VCPU_STATES, type NativeVcpu } from '../native.js';
import { withTimerStopped } from './lapic-timer.js';
import { decodeMsrs, describeMsr, encodeMsrs, MSR_ENTRY_BYTES, type Msr } from './msrs.js';

/** In the order of reading. msrs: packed struct kvm_msr_entry. */
const PARTS = [...VCPU_STATES, 'msrs'] as const;
export type VcpuPart = (typeof PARTS)[number];
export type VcpuState = Record<VcpuPart, Uint8Array>;

/** Something for each part of a vCPU, in the order of reading. */
export function forEachPart<Value>(make: (part: VcpuPart) => Value): Record<VcpuPart, Value> {
  return Object.fromEntries(PARTS.map((part) => [part, make(part)])) as Record<VcpuPart, Value>;
}

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

/**
 * MTRRs (Intel SDM vol. 3, 12.11) and IA32_DEBUGCTL, in which a guest asks for bus lock traps: KVM has them and does not list
 * them, or not always, in KVM_GET_MSR_INDEX_LIST.
 */
export const NOT_LISTED = [
  0x1d9,
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

/** What a guest is shown of the CPU: of all else there is no state of its own, whatever the source's KVM says. */
export interface Shown {
  /** Whether the guest has no such MSR. */
  hides(index: number): boolean;
  /** Components of its XSAVE area, as in XCR0. */
  xfeatures: bigint;
}

const EVERYTHING: Shown = { hides: () => false, xfeatures: (1n << 64n) - 1n };
/** x87 and SSE are there without XSAVE. */
const LEGACY_XFEATURES = 0b11n;
/** XSTATE_BV (Intel SDM vol. 1, 13.4.2). */
const XSTATE_BV_OFFSET = 512;

/**
 * KVM before Linux 6.6 gives the components of the host, also those that the guest is not shown and has nothing in; a host
 * without them does not take them.
 */
function limitXsave(xsave: Uint8Array, xfeatures: bigint): Uint8Array {
  if (xsave.length < XSTATE_BV_OFFSET + 8) return xsave;
  const there = viewOf(xsave).getBigUint64(XSTATE_BV_OFFSET, true);
  const shown = there & (xfeatures | LEGACY_XFEATURES);
  if (shown === there) return xsave;
  const limited = xsave.slice();
  viewOf(limited).setBigUint64(XSTATE_BV_OFFSET, shown, true);
  return limited;
}

export function saveVcpu(vcpu: NativeVcpu, msrIndices: Uint32Array): VcpuState {
  return forEachPart((part) => (part === 'msrs' ? vcpu.getMsrs(msrIndices) : vcpu.getState(part)));
}

/**
 * Puts a vCPU back as it was, but for its time (clocks.ts): the timer of its LAPIC stands still. CPUID must be set. The order matters: sregs hold the APIC
 * base that the LAPIC needs and CR4/XCR0 bits that XSAVE needs; debug registers and events come last, so that nothing
 * before clears them.
 */
export function restoreVcpu(vcpu: NativeVcpu, state: VcpuState, shown = EVERYTHING): void {
  for (const part of ['sregs', 'regs', 'xcrs'] as const) vcpu.setState(part, state[part]);
  vcpu.setState('xsave', limitXsave(state.xsave, shown.xfeatures));
  const isSet = (index: number): boolean => !SET_AT_COMMIT.has(index) && !NEVER_SET.has(index) && !shown.hides(index);
  setMsrs(vcpu, selectMsrs(state.msrs, isSet));
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

function tscEntry(tsc: bigint): Msr[] {
  return [{ index: MSR_IA32_TSC, value: BigInt.asUintN(64, tsc) }];
}

/** The value of one of the MSRs of a saved vCPU; undefined if it is none of them. */
export function savedMsr(msrs: Uint8Array, index: number): bigint | undefined {
  return decodeMsrs(msrs).find((msr) => msr.index === index)?.value;
}

/** The entries whose index is wanted, in order: the TSC (0x10) comes before its deadline (0x6e0). */
function selectMsrs(msrs: Uint8Array, wanted: (index: number) => boolean): Msr[] {
  return decodeMsrs(msrs)
    .filter(({ index }) => wanted(index))
    .sort((a, b) => a.index - b.index);
}

/** Throws HOST_LACKS, with all that KVM does not take. */
function setMsrs(vcpu: NativeVcpu, msrs: readonly Msr[]): void {
  const refused = refusedMsrs(vcpu, msrs);
  if (refused.length === 0) return;
  throw new PostcopyError('HOST_LACKS', `this host's KVM does not take ${refused.map(describeValue).join(', ')}`);
}

export function describeValue({ index, value }: Msr): string {
  return `${describeMsr(index)} = 0x${value.toString(16)}`;
}

/**
 * Sets these, and returns those that the guest would not have as it left with them. KVM stops at an MSR that it does not let us
 * set. Where the vCPU has that value already (an MSR that is read-only on this host), there is nothing to set; nor where
 * this host's KVM has no such MSR and it holds 0, as after a reset: KVM before Linux 6.4 lists the performance counters of
 * Intel's CPUs on AMD's as well. What a guest may begin to use later is a matter of CPUID, checked before.
 */
export function refusedMsrs(vcpu: NativeVcpu, msrs: readonly Msr[]): Msr[] {
  const entries = encodeMsrs(msrs);
  const refused: Msr[] = [];
  for (let at = 0; at < msrs.length; at++) {
    at += vcpu.setMsrs(entries.subarray(at * MSR_ENTRY_BYTES));
    const stopped = msrs[at];
    if (stopped !== undefined && stopped.value !== (valueNow(vcpu, stopped.index) ?? 0n)) refused.push(stopped);
  }
  return refused;
}

/** Undefined if this host's KVM has no such MSR. */
function valueNow(vcpu: NativeVcpu, index: number): bigint | undefined {
  return savedMsr(vcpu.getMsrs(Uint32Array.of(index)), index);
}
