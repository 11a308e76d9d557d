/** The registers of a local APIC that make its timer (Intel SDM vol. 3, 11.5.4). */
import { LAPIC_BYTES } from './fake-vcpu.js';

export interface LapicTimer {
  initial: number;
  current: number;
  mode?: 'one-shot' | 'periodic' | 'deadline';
  /** As the register has it. */
  divide?: number;
}

const MODES = { 'one-shot': 0, periodic: 0x20000, deadline: 0x40000 };

/** Divided by 1. All other registers hold ones. */
export function lapicTimer({ initial, current, mode = 'one-shot', divide = 0b1011 }: LapicTimer): Uint8Array {
  const lapic = new Uint8Array(LAPIC_BYTES).fill(0xff);
  const view = new DataView(lapic.buffer);
  view.setUint32(0x320, MODES[mode] | 0xec, true);
  view.setUint32(0x380, initial, true);
  view.setUint32(0x390, current, true);
  view.setUint32(0x3e0, divide, true);
  return lapic;
}

export function timerOf(lapic: Uint8Array): { initial: number; current: number } {
  const view = new DataView(lapic.buffer, lapic.byteOffset);
  return { initial: view.getUint32(0x380, true), current: view.getUint32(0x390, true) };
}
