import {
  CMOS_BYTES,
  RTC_ALARM_ANY,
  RTC_HOURS,
  RTC_HOURS_ALARM,
  RTC_MINUTES,
  RTC_MINUTES_ALARM,
  RTC_REGISTER_B,
  RTC_SECONDS,
  RTC_SECONDS_ALARM,
} from './rtc-registers.js';
import { putTime } from './rtc-time.js';

const DAY_SECONDS = 24 * 60 * 60;
const ALARMS = [
  [RTC_SECONDS_ALARM, RTC_SECONDS],
  [RTC_MINUTES_ALARM, RTC_MINUTES],
  [RTC_HOURS_ALARM, RTC_HOURS],
] as const;

const time = new Uint8Array(CMOS_BYTES);

/**
 * Whether the alarm went off in a second after `last`, up to `now` (seconds since 1970). A clock that was looked at late
 * has not lost its alarm. An alarm has no date, so the last day is enough; a clock that was set back has none.
 */
export function alarmBetween(registers: Uint8Array, last: number, now: number): boolean {
  for (let second = Math.max(last + 1, now - DAY_SECONDS); second <= now; second++) {
    putTime(time, second * 1000, registers[RTC_REGISTER_B]!);
    if (ALARMS.every(([alarm, index]) => registers[alarm]! >= RTC_ALARM_ANY || registers[alarm] === time[index])) {
      return true;
    }
  }
  return false;
}
