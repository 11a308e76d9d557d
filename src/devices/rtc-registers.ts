import { RTC_CENTURY } from '../acpi/fixed-hardware.js';

/** Registers of the MC146818 (its data sheet's address map) and of the CMOS memory behind them. */
export const RTC_SECONDS = 0x00;
export const RTC_SECONDS_ALARM = 0x01;
export const RTC_MINUTES = 0x02;
export const RTC_MINUTES_ALARM = 0x03;
export const RTC_HOURS = 0x04;
export const RTC_HOURS_ALARM = 0x05;
export const RTC_DAY_OF_WEEK = 0x06;
export const RTC_DAY_OF_MONTH = 0x07;
export const RTC_MONTH = 0x08;
export const RTC_YEAR = 0x09;
export const RTC_REGISTER_A = 0x0a;
export const RTC_REGISTER_B = 0x0b;
export const RTC_REGISTER_C = 0x0c;
export const RTC_REGISTER_D = 0x0d;
export const CMOS_BYTES = 128;

// Register A.
/** Update in progress: time registers are not to be read. */
export const RTC_UIP = 1 << 7;
/** Divider select: the two high bits set hold the dividers in reset. */
export const RTC_DIVIDER_RESET = 0x60;
// Register B.
export const RTC_SET = 1 << 7;
export const RTC_AIE = 1 << 5;
export const RTC_UIE = 1 << 4;
/** Binary, not BCD. */
export const RTC_DM_BINARY = 1 << 2;
export const RTC_24H = 1 << 1;
// Register C. Alarm and update flags are where their enable bits are in B.
export const RTC_IRQF = 1 << 7;
export const RTC_AF = RTC_AIE;
export const RTC_UF = RTC_UIE;
// Register D.
/** Valid RAM and time: the battery is good. */
export const RTC_VRT = 1 << 7;

/** An alarm register from this value on matches any time. */
export const RTC_ALARM_ANY = 0xc0;

const TIME_REGISTERS = new Set([
  RTC_SECONDS,
  RTC_MINUTES,
  RTC_HOURS,
  RTC_DAY_OF_WEEK,
  RTC_DAY_OF_MONTH,
  RTC_MONTH,
  RTC_YEAR,
  RTC_CENTURY,
]);

export function isTimeRegister(index: number): boolean {
  return TIME_REGISTERS.has(index);
}
