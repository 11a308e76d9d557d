import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import type { MmioTransport } from '../../../src/devices/virtio/mmio-transport.js';
import { DeviceSet } from '../../../src/devices/device-set.js';
import { PostcopyError } from '../../../src/errors.js';
import { FakeSurroundings } from './fake-surroundings.js';

let host: FakeSurroundings;
let devices: DeviceSet;

beforeEach(() => {
  host = new FakeSurroundings();
  devices = new DeviceSet(host);
});

describe('ports and MMIO', () => {
  it('leads COM1 to the serial port', () => {
    devices.portWrite(0x3f8, 1, 0x41);
    expect(host.output).toEqual([0x41]);
    expect(devices.portRead(0x3fd, 1)).toBe(0x60);
  });

  it('reads all ones elsewhere', () => {
    expect([devices.portRead(0x2fd, 1), devices.portRead(0xcf8, 4)]).toEqual([0xff, 0xffffffff]);
    expect([devices.mmioRead(0xd0000000, 4), devices.mmioRead(0xd0000000, 8)]).toEqual([0xffffffff, 2n ** 64n - 1n]);
    devices.mmioWrite(0xd0000000, 8, 1n);
    devices.mmioWrite(0xd0000000, 4, 1);
  });
});

describe('reset', () => {
  it('by the reset control register, on the rising edge only', () => {
    devices.portWrite(0xcf9, 1, 0x02);
    expect(host.events).toEqual([]);
    devices.portWrite(0xcf9, 1, 0x06);
    devices.portWrite(0xcf9, 1, 0x06);
    expect(host.events).toEqual(['reset by reset control register']);
    expect(devices.portRead(0xcf9, 1)).toBe(0x06);
  });

  it('not by PCI configuration accesses that touch 0xCF9', () => {
    devices.portWrite(0xcf8, 4, 0x80000600);
    devices.portWrite(0xcf8, 2, 0x0600);
    expect(host.events).toEqual([]);
  });

  it('by the keyboard controller, which is never busy', () => {
    expect(devices.portRead(0x64, 1)).toBe(0);
    devices.portWrite(0x64, 1, 0xaa);
    expect(host.events).toEqual([]);
    devices.portWrite(0x64, 1, 0xfe);
    expect(host.events).toEqual(['reset by keyboard controller']);
  });
});

describe('pvpanic', () => {
  it('tells once that the guest has panicked, and after a move that it had', () => {
    expect(devices.portRead(0x505, 1)).toBe(3);
    expect(devices.save(0)).not.toHaveProperty('pvpanic');
    host.wallMs = 1_700_000_000_000;
    devices.portWrite(0x505, 1, 4);
    expect(host.events).toEqual([]);
    devices.portWrite(0x505, 1, 1);
    devices.portWrite(0x505, 1, 2);
    expect(host.events).toEqual(['panicked at 1700000000000']);
    const state = structuredClone(devices.save(0));
    expect(state.pvpanic).toEqual({ panickedAt: 1_700_000_000_000 });
    const there = new FakeSurroundings();
    new DeviceSet(there).restore(state);
    expect(there.events).toEqual(['panicked at 1700000000000']);
  });
});

describe('ACPI power management', () => {
  it('is in ACPI mode', () => {
    expect(devices.portRead(0x604, 2)).toBe(0x0001);
  });

  it('powers off on SLP_EN with the type of S5', () => {
    devices.portWrite(0x604, 2, 5 << 10);
    expect(host.events).toEqual([]);
    devices.portWrite(0x604, 2, (5 << 10) | (1 << 13));
    expect(host.events).toEqual(['power-off']);
    expect(devices.portRead(0x604, 2)).toBe((5 << 10) | 1); // SLP_EN reads as 0
  });

  it('does nothing on SLP_EN with another type', () => {
    devices.portWrite(0x604, 2, (3 << 10) | (1 << 13));
    expect(host.events).toEqual([]);
  });

  it('counts 3,579,545 times a second, 32 bits, also in parts', () => {
    host.micros = 1_000_000;
    expect(devices.portRead(0x608, 4)).toBe(3_579_545);
    expect(devices.portRead(0x608, 2)).toBe(3_579_545 & 0xffff);
    expect(devices.portRead(0x60a, 1)).toBe((3_579_545 >> 16) & 0xff);
    host.micros = 1_200_000_000; // 20 minutes: 4,295,454,000 ticks
    expect(devices.portRead(0x608, 4)).toBe(4_295_454_000 - 2 ** 32);
    devices.portWrite(0x608, 4, 0);
    expect(devices.portRead(0x608, 4)).toBe(4_295_454_000 - 2 ** 32);
  });

  it('raises the SCI for the power button while it is enabled, until the status is cleared', () => {
    devices.pressPowerButton();
    expect(host.irqs).toEqual([]);
    devices.portWrite(0x602, 2, 0x0120);
    expect(devices.portRead(0x602, 2)).toBe(0x0120);
    expect(host.irqs).toEqual(['9:1']);
    expect(devices.portRead(0x600, 4)).toBe(0x01200100);
    devices.portWrite(0x600, 2, 0x0020);
    expect(host.irqs).toEqual(['9:1']);
    devices.portWrite(0x600, 2, 0x0100);
    expect(host.irqs).toEqual(['9:1', '9:0']);
    expect(devices.portRead(0x600, 2)).toBe(0);
  });
});

describe('save and restore', () => {
  /** A machine in the middle of something. */
  function busy(): unknown {
    devices.portWrite(0x3fa, 1, 0x01);
    devices.portWrite(0x3fc, 1, 0x0b);
    devices.portWrite(0x3f9, 1, 0x05);
    devices.serialInput(Buffer.from('twenty bytes of text'));
    devices.portRead(0x3f8, 1);
    devices.portWrite(0x602, 2, 0x0100);
    devices.pressPowerButton();
    devices.portWrite(0xcf9, 1, 0x02);
    host.micros = 2_000_000;
    return JSON.parse(JSON.stringify(devices.save(host.micros)));
  }

  it('goes on where it was, with its interrupt lines', () => {
    const state = busy();
    const there = new FakeSurroundings();
    there.micros = 777_000_000;
    const restored = new DeviceSet(there);
    restored.restore(state);
    expect(there.irqs).toEqual(['4:1', '9:1']);
    expect(restored.save(there.micros)).toEqual(state);
    let text = '';
    while ((restored.portRead(0x3fd, 1) & 1) !== 0) text += String.fromCharCode(restored.portRead(0x3f8, 1));
    expect(text).toBe('wenty bytes of text');
    expect(restored.portRead(0x3fc, 1)).toBe(0x0b);
    restored.portWrite(0xcf9, 1, 0x06);
    expect(there.events).toHaveLength(1);
  });

  it('moves its timer and its clock on by the time that the guest was away, whatever the host says', () => {
    host.micros = 1_000_000;
    devices.portWrite(0x70, 1, 0x00);
    const second = devices.portRead(0x71, 1);
    const state = JSON.parse(JSON.stringify(devices.save(1_000_000)));
    const clocks = { wallClockMs: host.wallMs };
    const there = new FakeSurroundings();
    there.micros = 777_000_000;
    there.wallMs = host.wallMs - 3_600_000; // an hour behind
    const restored = new DeviceSet(there);
    restored.restore(state);
    // Read 2.5 s ago by the clock of this host; loading took some of that.
    restored.startClocks({ ...clocks, atMicros: 777_000_000 - 2_500_000 });
    expect(restored.portRead(0x608, 4)).toBe(Math.floor(3.5 * 3_579_545));
    restored.portWrite(0x70, 1, 0x00);
    expect(restored.portRead(0x71, 1)).toBe(second + 2);
    restored.portWrite(0x70, 1, 0x04);
    expect(restored.portRead(0x71, 1)).toBe(0x12);
    there.micros += 500_000;
    there.wallMs += 500;
    expect(restored.portRead(0x608, 4)).toBe(4 * 3_579_545);
    restored.portWrite(0x70, 1, 0x00);
    expect(restored.portRead(0x71, 1)).toBe(second + 3);
  });

  it('tells its timer as of the moment asked for, and as it wraps', () => {
    host.micros = 2_000_000_000;
    expect(devices.save(1_000_000).acpiPm.timerTicks).toBe(3_579_545);
    expect(devices.save(-1_000_000).acpiPm.timerTicks).toBe(2 ** 32 - 3_579_545);
    expect(devices.save(1_200_000_000).acpiPm.timerTicks).toBe((1200 * 3_579_545) % 2 ** 32);
  });

  it('changes nothing at the source', () => {
    const state = busy();
    expect(devices.save(host.micros)).toEqual(state);
  });

  it('leaves the lines down for an idle machine', () => {
    const there = new FakeSurroundings();
    new DeviceSet(there).restore(devices.save(0));
    expect(there.irqs).toEqual([]);
  });

  it('refuses state that is none, and stays as it was', () => {
    const good = devices.save(0);
    const bad: unknown[] = [
      undefined,
      null,
      [],
      {},
      { ...good, version: good.version + 1 },
      { ...good, more: 1 },
      { ...good, serial: { ...good.serial, ier: 0x10 } },
      { ...good, serial: { ...good.serial, fifo: new Array(17).fill(0) } },
      { ...good, serial: { ...good.serial, input: new Array(4097).fill(0) } },
      { ...good, serial: { ...good.serial, lcr: -1 } },
      { ...good, acpiPm: { ...good.acpiPm, timerTicks: 2 ** 32 } },
      { ...good, acpiPm: { ...good.acpiPm, status: 1.5 } },
      { ...good, resetControl: {} },
    ];
    for (const state of bad) {
      expect(() => devices.restore(state)).toThrow(PostcopyError);
    }
    expect(devices.save(0)).toEqual(good);
  });

  it('tells a device that is another one from state that is none', () => {
    const refusal = new PostcopyError('REFUSED', 'a device of type 1 at the source is one of type 2 here');
    const failing = (error: Error) => {
      const transport = { save: () => ({}), restore: () => { throw error; } } as unknown as MmioTransport; // prettier-ignore
      return new DeviceSet(host, [transport]);
    };
    const state = failing(refusal).save(0);
    expect(() => failing(refusal).restore(state)).toThrow(refusal);
    expect(() => failing(new Error('it')).restore(state)).toThrow(expect.objectContaining({ code: 'BAD_PEER' }));
  });
});

it('answers any access with an unsigned value of its size', () => {
  const port = fc.oneof(fc.integer({ min: 0x3f0, max: 0x402 }), fc.integer({ min: 0x5fe, max: 0x60d }), fc.nat(0xffff));
  const access = fc.record({ port, size: fc.constantFrom(1, 2, 4), value: fc.nat(0xffffffff), write: fc.boolean() });
  fc.assert(
    fc.property(fc.array(access, { maxLength: 200 }), (accesses) => {
      const set = new DeviceSet(new FakeSurroundings());
      for (const { port, size, value, write } of accesses) {
        if (write) set.portWrite(port, size, value % 2 ** (8 * size));
        const read = set.portRead(port, size);
        expect(Number.isInteger(read) && read >= 0 && read < 2 ** (8 * size)).toBe(true);
      }
      const other = new DeviceSet(new FakeSurroundings());
      other.restore(JSON.parse(JSON.stringify(set.save(0))));
      expect(other.save(0)).toEqual(set.save(0));
    }),
  );
});
