/**
 * The timer of a local APIC in one-shot and periodic mode: a register that counts down by itself, which KVM saves and loads
 * as what is left of it. Time that passes while the guest is on its way has to be taken off it. (A deadline of the TSC needs
 * no such thing: it is a value of the TSC.)
 */
import { viewOf } from '../memory/byte-view.js';

/** Intel SDM vol. 3, table 11-1: offsets in struct kvm_lapic_state, whose registers have those of the MMIO page. */
const LVT_TIMER = 0x320;
const INITIAL_COUNT = 0x380;
const CURRENT_COUNT = 0x390;
const DIVIDE_CONFIGURATION = 0x3e0;
/** Mode of the timer, bits 18:17 of its LVT entry (11.5.1). */
const MODE = { mask: 0x60000, oneShot: 0x00000, periodic: 0x20000 } as const;
/** KVM's bus clock has 1 GHz, so that a count of an undivided timer is a nanosecond. */
const BUS_CYCLES_PER_MICRO = 1000;

/** It counts, and is no deadline. */
export function countsDown(lapic: Uint8Array): boolean {
  const view = viewOf(lapic);
  const mode = view.getUint32(LVT_TIMER, true) & MODE.mask;
  return view.getUint32(INITIAL_COUNT, true) !== 0 && (mode === MODE.oneShot || mode === MODE.periodic);
}

/** Its timer does not begin to count when KVM is given this. */
export function withTimerStopped(lapic: Uint8Array): Uint8Array {
  const stopped = lapic.slice();
  viewOf(stopped).setUint32(INITIAL_COUNT, 0, true);
  return stopped;
}

/**
 * `lapic` with the timer of `saved`, `micros` later; earlier if that is negative. A timer that has run out meanwhile does
 * so when KVM is given this; a periodic one begins its next period with that, as the guest is told once, late.
 */
export function withTimerMoved(lapic: Uint8Array, saved: Uint8Array, micros: number): Uint8Array {
  const moved = lapic.slice();
  const from = viewOf(saved);
  const to = viewOf(moved);
  to.setUint32(INITIAL_COUNT, from.getUint32(INITIAL_COUNT, true), true);
  to.setUint32(CURRENT_COUNT, countAfter(from, micros), true);
  return moved;
}

function countAfter(saved: DataView, micros: number): number {
  const initial = saved.getUint32(INITIAL_COUNT, true);
  const left = saved.getUint32(CURRENT_COUNT, true);
  const periodic = (saved.getUint32(LVT_TIMER, true) & MODE.mask) === MODE.periodic;
  // KVM takes 0 of a one-shot timer for one that has run out, of a periodic one for a whole period.
  const soonest = periodic ? 1 : 0;
  if (left === 0 && !periodic) return soonest;
  const count =
    left - Math.round((micros * BUS_CYCLES_PER_MICRO) / divisorOf(saved.getUint32(DIVIDE_CONFIGURATION, true)));
  if (count <= initial) return Math.max(soonest, count);
  return periodic ? Math.max(soonest, count % initial) : initial;
}

/** Bits 3, 1 and 0 (SDM vol. 3, figure 11-10): 111 divides by 1, 000 by 2, and so on up to 110, by 128. */
function divisorOf(configuration: number): number {
  const bits = (configuration & 0b11) | ((configuration & 0b1000) >> 1);
  return 1 << ((bits + 1) & 0b111);
}
