import {
  RTC_24H,
  RTC_DAY_OF_MONTH,
  RTC_DAY_OF_WEEK,
  RTC_DM_BINARY,
  RTC_HOURS,
  RTC_MINUTES,
  RTC_MONTH,
  RTC_SECONDS,
  RTC_YEAR,
} from './rtc-registers.js';
import { RTC_CENTURY } from '../acpi/fixed-hardware.js';

/** Of twelve hours. */
const PM = 1 << 7;

/** Puts a time (ms since 1970, UTC) into the time registers, as the mode bits of register B want them. */
export function putTime(registers: Uint8Array, millis: number, registerB: number): void {
  const time = new Date(millis);
  const year = time.getUTCFullYear();
  const coded = (value: number): number => encode(value, registerB);
  registers[RTC_SECONDS] = coded(time.getUTCSeconds());
  registers[RTC_MINUTES] = coded(time.getUTCMinutes());
  registers[RTC_HOURS] = encodeHours(time.getUTCHours(), registerB);
  registers[RTC_DAY_OF_WEEK] = coded(time.getUTCDay() + 1); // 1 is Sunday
  registers[RTC_DAY_OF_MONTH] = coded(time.getUTCDate());
  registers[RTC_MONTH] = coded(time.getUTCMonth() + 1);
  registers[RTC_YEAR] = coded(year % 100);
  registers[RTC_CENTURY] = coded(Math.floor(year / 100));
}

/** The time that the registers hold. Values out of range carry over, and the day of the week is not looked at. */
export function timeIn(registers: Uint8Array, registerB: number): number {
  const value = (index: number): number => decode(registers[index]!, registerB);
  return Date.UTC(
    value(RTC_CENTURY) * 100 + value(RTC_YEAR),
    value(RTC_MONTH) - 1,
    value(RTC_DAY_OF_MONTH),
    decodeHours(registers[RTC_HOURS]!, registerB),
    value(RTC_MINUTES),
    value(RTC_SECONDS),
  );
}

function encodeHours(hours: number, registerB: number): number {
  if ((registerB & RTC_24H) !== 0) return encode(hours, registerB);
  return encode(hours % 12 || 12, registerB) | (hours >= 12 ? PM : 0);
}

function decodeHours(byte: number, registerB: number): number {
  if ((registerB & RTC_24H) !== 0) return decode(byte, registerB);
  return (decode(byte & ~PM, registerB) % 12) + ((byte & PM) !== 0 ? 12 : 0);
}

function encode(value: number, registerB: number): number {
  if ((registerB & RTC_DM_BINARY) !== 0) return value & 0xff;
  return ((Math.floor(value / 10) % 10) << 4) | (value % 10);
}

function decode(byte: number, registerB: number): number {
  return (registerB & RTC_DM_BINARY) !== 0 ? byte : (byte >> 4) * 10 + (byte & 0xf);
}
