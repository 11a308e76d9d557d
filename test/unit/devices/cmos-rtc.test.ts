import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { Bus } from '../../../src/devices/bus.js';
import { CmosRtc, cmosRtcStateSchema } from '../../../src/devices/cmos-rtc.js';
import { FakeSurroundings } from './fake-surroundings.js';

// Registers, named as in the Linux driver.
const [SECONDS, SECONDS_ALARM, MINUTES, MINUTES_ALARM, HOURS, HOURS_ALARM] = [0, 1, 2, 3, 4, 5];
const [WEEKDAY, DAY, MONTH, YEAR, CENTURY] = [6, 7, 8, 9, 0x32];
const [FREQ_SELECT, CONTROL, INTR_FLAGS, VALID] = [10, 11, 12, 13];
const [SET, AIE, UIE, DM_BINARY, H24] = [0x80, 0x20, 0x10, 0x04, 0x02];
const ANY = 0xc0;

let host: FakeSurroundings;
let bus: Bus;
let rtc: CmosRtc;

beforeEach(() => {
  host = new FakeSurroundings();
  host.wallMs = Date.UTC(2024, 6, 3, 21, 58, 59, 250); // a Wednesday
  ({ bus, rtc } = machine(host));
});

function machine(on: FakeSurroundings): { bus: Bus; rtc: CmosRtc } {
  const made = { bus: new Bus(), rtc: new CmosRtc(on) };
  made.rtc.addTo(made.bus);
  return made;
}

function get(index: number, from = bus): number {
  from.write(0x70, 1, index);
  return from.read(0x71, 1);
}

function set(index: number, value: number): void {
  bus.write(0x70, 1, index);
  bus.write(0x71, 1, value);
}

/** Century, year, month, day, weekday, hours, minutes, seconds as they are read. */
function time(from = bus): string {
  const registers = [CENTURY, YEAR, MONTH, DAY, WEEKDAY, HOURS, MINUTES, SECONDS];
  return registers.map((index) => get(index, from).toString(16).padStart(2, '0')).join(' ');
}

/** As Linux does (mc146818_set_time). */
function setTime(values: [register: number, value: number][]): void {
  const control = get(CONTROL);
  const frequency = get(FREQ_SELECT);
  set(CONTROL, control | SET);
  set(FREQ_SELECT, frequency | 0x70);
  for (const [register, value] of values) set(register, value);
  set(CONTROL, control);
  set(FREQ_SELECT, frequency);
}

/** Between any two looks at the wall clock a second goes by: the worker was not on a CPU meanwhile. */
function everyLookTakesASecond(): void {
  Object.defineProperty(host, 'wallMs', { get: () => (wall += 1000), set: (to: number) => void (wall = to) });
}
let wall = Date.UTC(2024, 6, 3, 21, 58, 59, 250);

describe('a clock that goes on between two looks at it', () => {
  it('gives no wait that is over', () => {
    set(CONTROL, H24 | UIE);
    everyLookTakesASecond();
    for (let i = 0; i < 10; i++) expect(rtc.msToTimer()).toBe(750);
  });

  it('is set to what is written, to the part of a second', () => {
    set(CONTROL, H24 | SET);
    everyLookTakesASecond();
    for (const [register, value] of [
      [HOURS, 0x11],
      [MINUTES, 0x22],
      [SECONDS, 0x33],
    ] as const)
      set(register, value);
    set(CONTROL, H24);
    const { offsetMs, second } = rtc.save();
    expect((wall + offsetMs) % 1000).toBe(250);
    expect(second).toBe(Date.UTC(2024, 6, 3, 11, 22, 33) / 1000);
  });
});

describe('the time', () => {
  it('is the wall clock of the host, in BCD and of 24 hours', () => {
    expect(time()).toBe('20 24 07 03 04 21 58 59');
    host.wallMs += 750;
    expect(time()).toBe('20 24 07 03 04 21 59 00');
    expect(get(VALID)).toBe(0x80);
    expect([get(FREQ_SELECT), get(CONTROL)]).toEqual([0x26, H24]);
  });

  it('is binary, or of 12 hours, if the guest says so', () => {
    set(CONTROL, DM_BINARY | H24);
    expect([get(YEAR), get(HOURS), get(SECONDS)]).toEqual([24, 21, 59]);
    set(CONTROL, 0);
    expect(get(HOURS)).toBe(0x89);
    host.wallMs += 3 * 3600 * 1000;
    expect(get(HOURS)).toBe(0x12); // midnight is 12 AM
    host.wallMs += 12 * 3600 * 1000;
    expect(get(HOURS)).toBe(0x92);
  });

  it('announces its update, in time to read all of it before', () => {
    expect(get(FREQ_SELECT)).toBe(0x26);
    host.wallMs += 747;
    expect(get(FREQ_SELECT)).toBe(0xa6);
    host.wallMs += 3;
    expect(get(FREQ_SELECT)).toBe(0x26);
  });

  it('can be set, and goes on half a second later', () => {
    setTime([
      [SECONDS, 0x10],
      [MINUTES, 0x20],
      [HOURS, 0x03],
      [DAY, 0x29],
      [MONTH, 0x02],
      [YEAR, 0x99],
      [CENTURY, 0x19],
    ]);
    expect(time()).toBe('19 99 03 01 02 03 20 10'); // no 29 February in 1999
    host.wallMs += 499;
    expect(get(SECONDS)).toBe(0x10);
    host.wallMs += 1;
    expect(get(SECONDS)).toBe(0x11);
    expect(get(CONTROL)).toBe(H24);
  });

  it('stands still while it is set', () => {
    set(CONTROL, SET | H24);
    host.wallMs += 60_000;
    expect(time()).toBe('20 24 07 03 04 21 58 59');
    expect(rtc.msToTimer()).toBe(Infinity);
    set(CONTROL, H24);
    expect(time()).toBe('20 24 07 03 04 21 58 59');
  });

  it('takes single registers too', () => {
    set(HOURS, 0x05);
    set(WEEKDAY, 0x01); // follows the date
    expect(time()).toBe('20 24 07 03 04 05 58 59');
    host.wallMs += 750; // its seconds end when they did before
    expect(time()).toBe('20 24 07 03 04 05 59 00');
  });

  it('follows the host when that steps', () => {
    set(HOURS, 0x20);
    host.wallMs -= 24 * 3600 * 1000;
    expect(time()).toBe('20 24 07 02 03 20 58 59');
  });
});

describe('interrupts', () => {
  it('come at each update, until the flags are read', () => {
    expect(rtc.msToTimer()).toBe(Infinity);
    set(CONTROL, UIE | H24);
    expect(rtc.msToTimer()).toBe(750);
    host.wallMs += 749;
    rtc.runTimers();
    expect(host.irqs).toEqual([]);
    host.wallMs += 1;
    rtc.runTimers();
    rtc.runTimers();
    expect(host.irqs).toEqual(['8:1']);
    expect(get(INTR_FLAGS)).toBe(0x90);
    expect(get(INTR_FLAGS)).toBe(0);
    expect(host.irqs).toEqual(['8:1', '8:0']);
    expect(rtc.msToTimer()).toBe(1000);
  });

  it('come for the alarm at its time', () => {
    for (const [register, value] of [
      [SECONDS_ALARM, 0x02],
      [MINUTES_ALARM, 0x59],
      [HOURS_ALARM, 0x21],
    ] as const) {
      set(register, value);
    }
    set(CONTROL, AIE | H24);
    host.wallMs += 2750 - 1;
    rtc.runTimers();
    expect(host.irqs).toEqual([]);
    host.wallMs += 1;
    rtc.runTimers();
    expect(host.irqs).toEqual(['8:1']);
    expect(get(INTR_FLAGS)).toBe(0xb0);
  });

  it('come for an alarm that a busy host is late for, but not for one before it was set', () => {
    set(SECONDS_ALARM, 0x58);
    set(MINUTES_ALARM, ANY);
    set(HOURS_ALARM, 0xff);
    set(CONTROL, AIE | H24);
    rtc.runTimers();
    host.wallMs += 58_000;
    rtc.runTimers();
    expect(host.irqs).toEqual([]);
    host.wallMs += 5_000;
    rtc.runTimers();
    expect(host.irqs).toEqual(['8:1']);
  });

  it('are flags only as long as they are not enabled', () => {
    host.wallMs += 1000;
    expect(get(INTR_FLAGS)).toBe(0x10);
    host.wallMs += 1000;
    rtc.runTimers();
    set(CONTROL, UIE | H24);
    expect(host.irqs).toEqual(['8:1']);
    set(CONTROL, H24);
    expect(host.irqs).toEqual(['8:1', '8:0']);
  });
});

it('keeps bytes for the guest, read-only registers aside', () => {
  set(0x0f, 0x0a);
  set(0x7f, 0x55);
  set(VALID, 0);
  set(INTR_FLAGS, 0xff);
  set(FREQ_SELECT, 0xff);
  expect([0x0f, 0x7f, VALID, INTR_FLAGS, FREQ_SELECT].map((index) => get(index))).toEqual([10, 0x55, 0x80, 0, 0x7f]);
  expect(get(0x8f)).toBe(10); // bit 7 masks NMIs
  expect(bus.read(0x70, 1)).toBe(0xff);
});

describe('save and restore', () => {
  it('goes on with what the guest set, by the clock of the new host', () => {
    set(HOURS, 0x05);
    set(SECONDS_ALARM, 0x30);
    set(MINUTES_ALARM, ANY);
    set(HOURS_ALARM, ANY);
    set(CONTROL, AIE | H24);
    set(0x40, 7);
    bus.write(0x70, 1, DAY);
    const state = JSON.parse(JSON.stringify(rtc.save()));
    const there = new FakeSurroundings();
    there.wallMs = host.wallMs + 32_000;
    const moved = machine(there);
    moved.rtc.restore(cmosRtcStateSchema.parse(state));
    expect(moved.rtc.save()).toEqual(state);
    expect(moved.bus.read(0x71, 1)).toBe(0x03);
    expect(time(moved.bus)).toBe('20 24 07 03 04 05 59 31');
    expect(there.irqs).toEqual([]);
    moved.rtc.runTimers(); // the alarm fell into the hand-over
    expect(there.irqs).toEqual(['8:1']);
    expect(get(0x40, moved.bus)).toBe(7);
  });

  it('keeps its time on a host whose clock says another, and the alarm comes when it is due by that', () => {
    set(SECONDS_ALARM, 0x01);
    set(MINUTES_ALARM, ANY);
    set(HOURS_ALARM, ANY);
    set(CONTROL, AIE | H24);
    const there = new FakeSurroundings();
    there.wallMs = host.wallMs + 3_600_000;
    there.micros = 5_000_000;
    const moved = machine(there);
    moved.rtc.restore(cmosRtcStateSchema.parse(rtc.save()));
    moved.rtc.startClocks(4_000_000, host.wallMs); // a second ago
    expect(time(moved.bus)).toBe('20 24 07 03 04 21 59 00');
    moved.rtc.runTimers();
    expect(there.irqs).toEqual([]);
    expect(moved.rtc.msToTimer()).toBe(750);
    there.wallMs += 750;
    moved.rtc.runTimers();
    expect(there.irqs).toEqual(['8:1']);
  });

  it('goes on by the clock of its new host if its last one did not say what time it was', () => {
    const there = new FakeSurroundings();
    there.wallMs = host.wallMs + 5000;
    const moved = machine(there);
    moved.rtc.restore(cmosRtcStateSchema.parse(rtc.save()));
    moved.rtc.startClocks(0, undefined);
    expect(time(moved.bus)).toBe('20 24 07 03 04 21 59 04');
  });

  it('raises a line that was high', () => {
    set(CONTROL, UIE | H24);
    host.wallMs += 1000;
    rtc.runTimers();
    const there = new FakeSurroundings();
    machine(there).rtc.restore(rtc.save());
    expect(there.irqs).toEqual(['8:1']);
  });

  it('refuses state that is none', () => {
    const good = rtc.save();
    const bad = [
      { ...good, index: 128 },
      { ...good, registers: [] },
      { ...good, offsetMs: 1e16 },
      { ...good, offsetMs: NaN },
      { ...good, more: 1 },
    ];
    for (const state of bad) expect(cmosRtcStateSchema.safeParse(state).success).toBe(false);
    expect(cmosRtcStateSchema.safeParse(good).success).toBe(true);
  });
});

it('answers any guest with bytes, and always has a state that can move', () => {
  const access = fc.record({ index: fc.nat(255), value: fc.nat(255), write: fc.boolean(), passes: fc.nat(2000) });
  fc.assert(
    fc.property(fc.array(access, { maxLength: 60 }), (accesses) => {
      for (const { index, value, write, passes } of accesses) {
        if (write) set(index, value);
        const read = get(index);
        expect(Number.isInteger(read) && read >= 0 && read <= 0xff).toBe(true);
        host.wallMs += passes;
        rtc.runTimers();
        expect(rtc.msToTimer()).toBeGreaterThan(0);
      }
      machine(new FakeSurroundings()).rtc.restore(cmosRtcStateSchema.parse(rtc.save()));
    }),
  );
});
