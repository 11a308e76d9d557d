import { z } from 'zod';
import { readBetween } from '../basics/read-between.js';
import { CMOS_PORT, CMOS_PORTS, RTC_GSI } from '../memory/layout.js';
import type { Bus } from './bus.js';
import type { Surroundings } from './surroundings.js';
import { IrqLine } from './irq-line.js';
import { alarmBetween } from './rtc-alarm.js';
import {
  CMOS_BYTES,
  isTimeRegister,
  RTC_24H,
  RTC_AF,
  RTC_AIE,
  RTC_DIVIDER_RESET,
  RTC_IRQF,
  RTC_REGISTER_A,
  RTC_REGISTER_B,
  RTC_REGISTER_C,
  RTC_REGISTER_D,
  RTC_SET,
  RTC_UF,
  RTC_UIE,
  RTC_UIP,
  RTC_VRT,
} from './rtc-registers.js';
import { putTime, timeIn } from './rtc-time.js';
import { byteSchema } from './state-schema.js';

/** 32,768 Hz time base, periodic rate 1,024 Hz: what PC firmware leaves. */
const REGISTER_A_AT_START = 0x26;
const INDEX_MASK = CMOS_BYTES - 1;
const NOBODY_DRIVES = 0xff;

const SECOND_MS = 1000;
const MICROS_PER_MS = 1000;
/** UIP announces an update 244 us before it begins, and an update takes 1,984 us; in whole milliseconds. */
const UPDATE_MS = 3;
/** "The first update cycle begins one-half second" after the dividers leave their reset: drivers set the time with that. */
const AFTER_RESET_MS = 500;

/** Any time that the registers can hold, and far from the ends of Date. */
const FARTHEST_MS = 1e15;
const timeSchema = z.number().min(-FARTHEST_MS).max(FARTHEST_MS);

export const cmosRtcStateSchema = z.strictObject({
  index: byteSchema.max(INDEX_MASK),
  registers: z.array(byteSchema).length(CMOS_BYTES),
  offsetMs: timeSchema,
  second: timeSchema,
});
export type CmosRtcState = z.infer<typeof cmosRtcStateSchema>;

/**
 * Real-time clock and CMOS memory of a PC (MC146818A): the host's wall clock, in UTC, and an offset from when the guest
 * sets it. Alarm and update interrupts come; the periodic interrupt and the square wave do not (Linux uses timers of its
 * own for them). A VM that moves keeps its time, whatever the wall clock of its new host says, as do all clocks of its
 * guest; from then on it runs as that clock does.
 *
 * The time registers are computed when they are read, except while SET stops the clock: then they hold what was written.
 */
export class CmosRtc {
  readonly #surroundings: Surroundings;
  readonly #irq: IrqLine;
  readonly #registers = new Uint8Array(CMOS_BYTES);
  #index = 0;
  /** The guest's time is the host's plus this. */
  #offsetMs = 0;
  /** The last second of the guest's time that was looked at for its update and alarm. */
  #second: number;

  constructor(surroundings: Surroundings) {
    this.#surroundings = surroundings;
    this.#irq = new IrqLine(surroundings, RTC_GSI);
    this.#registers[RTC_REGISTER_A] = REGISTER_A_AT_START;
    this.#registers[RTC_REGISTER_B] = RTC_24H;
    this.#second = this.#nowSecond();
  }

  /** Index, then data. */
  addTo(ports: Bus): void {
    ports.add(CMOS_PORT, CMOS_PORTS, {
      accessBytes: 1,
      read: (offset) => (offset === 0 ? NOBODY_DRIVES : this.#read(this.#index)),
      write: (offset, _size, value) => {
        if (offset === 0)
          this.#index = value & INDEX_MASK; // bit 7 masks NMIs, of which there are none
        else this.#write(this.#index, value);
      },
    });
  }

  /** Milliseconds until runTimers() is to be called; Infinity if the guest waits for no interrupt. */
  msToTimer(): number {
    if ((this.#b & (RTC_AIE | RTC_UIE)) === 0 || this.#stopped) return Infinity;
    return msToNextSecond(this.#now());
  }

  /** Catches up with the clock: updates and alarms since the last call, and their interrupt. */
  runTimers(): void {
    if (this.#stopped) return;
    const now = this.#nowSecond();
    if (now === this.#second) return;
    this.#registers[RTC_REGISTER_C]! |= RTC_UF;
    if (alarmBetween(this.#registers, this.#second, now)) this.#registers[RTC_REGISTER_C]! |= RTC_AF;
    this.#second = now;
    this.#updateIrq();
  }

  save(): CmosRtcState {
    return {
      index: this.#index,
      registers: [...this.#registers],
      offsetMs: this.#offsetMs,
      second: this.#second,
    };
  }

  restore(state: CmosRtcState): void {
    this.#index = state.index;
    this.#registers.set(state.registers);
    this.#offsetMs = state.offsetMs;
    this.#second = Math.floor(state.second);
    this.#irq.restore(this.#interrupts);
  }

  /**
   * The wall clock of the guest's last host was `wallClockMs` at `atMicros` (nowMicros()); where that is not known, the
   * clock goes on by the one here.
   */
  startClocks(atMicros: number, wallClockMs: number | undefined): void {
    if (wallClockMs === undefined) return;
    const host = this.#surroundings;
    const now = readBetween(
      () => host.nowMicros(),
      () => host.wallClockMs(),
    );
    const there = wallClockMs + (now.atMicros - atMicros) / MICROS_PER_MS;
    this.#offsetMs += Math.round(there - now.value);
  }

  get #b(): number {
    return this.#registers[RTC_REGISTER_B]!;
  }

  get #stopped(): boolean {
    return (this.#b & RTC_SET) !== 0;
  }

  get #interrupts(): boolean {
    return (this.#registers[RTC_REGISTER_C]! & this.#b & (RTC_AF | RTC_UF)) !== 0;
  }

  #now(): number {
    return this.#surroundings.wallClockMs() + this.#offsetMs;
  }

  #nowSecond(): number {
    return secondOf(this.#now());
  }

  #read(index: number): number {
    if (index === RTC_REGISTER_A) return this.#registers[index]! | (this.#updating() ? RTC_UIP : 0);
    if (index === RTC_REGISTER_C) return this.#readFlags();
    if (index === RTC_REGISTER_D) return RTC_VRT;
    if (isTimeRegister(index) && !this.#stopped) this.#putTime();
    return this.#registers[index]!;
  }

  #updating(): boolean {
    return !this.#stopped && msToNextSecond(this.#now()) <= UPDATE_MS;
  }

  /** Reading the flags clears them, and takes the interrupt back. */
  #readFlags(): number {
    this.runTimers();
    const flags = this.#registers[RTC_REGISTER_C]! | (this.#interrupts ? RTC_IRQF : 0);
    this.#registers[RTC_REGISTER_C] = 0;
    this.#updateIrq();
    return flags;
  }

  #write(index: number, value: number): void {
    this.runTimers(); // what was due before this changes it
    if (index === RTC_REGISTER_A) this.#writeA(value);
    else if (index === RTC_REGISTER_B) this.#writeB(value);
    else if (isTimeRegister(index)) this.#writeTime(index, value);
    else if (index !== RTC_REGISTER_C && index !== RTC_REGISTER_D) this.#registers[index] = value;
  }

  #writeA(value: number): void {
    const wasReset = isDividerReset(this.#registers[RTC_REGISTER_A]!);
    this.#registers[RTC_REGISTER_A] = value & ~RTC_UIP;
    if (!wasReset || isDividerReset(value)) return;
    const wallMs = this.#surroundings.wallClockMs();
    this.#setTime(secondOf(wallMs + this.#offsetMs) * SECOND_MS + AFTER_RESET_MS, wallMs);
  }

  #writeB(value: number): void {
    if ((value & RTC_SET) === 0 && this.#stopped) this.#takeTime();
    else if ((value & RTC_SET) !== 0 && !this.#stopped) this.#putTime();
    this.#registers[RTC_REGISTER_B] = value;
    this.#updateIrq();
  }

  #writeTime(index: number, value: number): void {
    if (!this.#stopped) this.#putTime();
    this.#registers[index] = value;
    if (!this.#stopped) this.#takeTime();
  }

  #putTime(): void {
    putTime(this.#registers, this.#nowSecond() * SECOND_MS, this.#b);
  }

  /** The registers say which second it is; the dividers, which nobody stopped, when it ends. */
  #takeTime(): void {
    const wallMs = this.#surroundings.wallClockMs();
    const now = wallMs + this.#offsetMs;
    this.#setTime(timeIn(this.#registers, this.#b) + (now - secondOf(now) * SECOND_MS), wallMs);
  }

  /**
   * The clock goes on from there. `wallMs`: the reading of the host's clock that `millis` was made of; a second one might
   * be of another second.
   */
  #setTime(millis: number, wallMs: number): void {
    this.#offsetMs = millis - wallMs;
    this.#second = secondOf(millis);
  }

  #updateIrq(): void {
    this.#irq.set(this.#interrupts);
  }
}

function secondOf(millis: number): number {
  return Math.floor(millis / SECOND_MS);
}

/** More than 0, and at most a second. */
function msToNextSecond(millis: number): number {
  return (secondOf(millis) + 1) * SECOND_MS - millis;
}

function isDividerReset(registerA: number): boolean {
  return (registerA & RTC_DIVIDER_RESET) === RTC_DIVIDER_RESET;
}
