import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { Serial } from '../../../src/devices/serial.js';
import { FakeSurroundings } from './fake-surroundings.js';

// Register offsets, named as in the Linux driver.
const [RX, TX, IER, IIR, FCR, LCR, MCR, LSR, MSR, SCR] = [0, 0, 1, 2, 2, 3, 4, 5, 6, 7];
const NO_INT = 0x01;

let host: FakeSurroundings;
let serial: Serial;
const out = (offset: number, value: number): void => serial.write(offset, 1, value);
const inb = (offset: number): number => serial.read(offset);
const type = (text: string): number => serial.input(Buffer.from(text));

beforeEach(() => {
  host = new FakeSurroundings();
  serial = new Serial(host);
});

describe('as the Linux driver finds it', () => {
  it('is there: IER keeps its low nibble only', () => {
    out(IER, 0);
    expect(inb(IER)).toBe(0);
    out(IER, 0xff);
    expect(inb(IER)).toBe(0x0f);
  });

  it('loops modem outputs back', () => {
    out(MCR, 0x10 | 0x0a);
    expect(inb(MSR) & 0xf0).toBe(0x90);
    out(MCR, 0x10 | 0x05);
    expect(inb(MSR) & 0xf0).toBe(0x60);
    out(MCR, 0);
    expect(inb(MSR)).toBe(0xb0);
  });

  it('is a 16550A: FIFO bits in IIR, none of a 16750 or 16650', () => {
    expect(inb(IIR)).toBe(NO_INT);
    out(FCR, 0x01);
    expect(inb(IIR)).toBe(0xc0 | NO_INT);
    out(FCR, 0x21);
    expect(inb(IIR) >> 5).toBe(6);
    out(LCR, 0xbf);
    expect(inb(IIR)).not.toBe(0); // EFR of a 16650 would read 0
    out(LCR, 0);
    out(FCR, 0);
    expect(inb(IIR)).toBe(NO_INT);
  });

  it('has a divisor behind DLAB and a scratch register', () => {
    out(LCR, 0x83);
    out(RX, 0x01);
    out(IER, 0x02);
    expect([inb(RX), inb(IER)]).toEqual([1, 2]);
    out(LCR, 0x03);
    expect([inb(IER), inb(LCR)]).toEqual([0, 3]);
    out(SCR, 0x5a);
    expect(inb(SCR)).toBe(0x5a);
    expect(host.output).toEqual([]);
  });

  it('raises the transmitter interrupt whenever it is enabled (no UART_BUG_THRE, no UART_BUG_TXEN)', () => {
    out(IER, 0x02);
    expect(inb(IIR) & NO_INT).toBe(0);
    out(IER, 0);
    out(IER, 0x02);
    expect(inb(IIR)).toBe(0x02);
    expect(inb(IIR)).toBe(NO_INT); // reading it takes it back
    out(IER, 0);
    out(IER, 0x02);
    expect(inb(LSR) & 0x60).toBe(0x60);
    expect(inb(IIR) & NO_INT).toBe(0);
    out(IER, 0);
    expect(inb(IIR)).toBe(NO_INT);
  });

  it('has a FIFO of 16 bytes in loop mode, then overruns', () => {
    out(FCR, 0x01);
    out(MCR, 0x10);
    for (let byte = 0; byte < 20; byte++) out(TX, byte);
    expect(host.output).toEqual([]);
    expect(inb(LSR)).toBe(0x63); // overrun, data ready
    expect(inb(LSR)).toBe(0x61); // reading took the overrun back
    const read: number[] = [];
    while ((inb(LSR) & 1) !== 0) read.push(inb(RX));
    expect(read).toEqual([...Array(16).keys()]);
  });
});

describe('sending', () => {
  it('passes bytes on and is always ready', () => {
    for (const byte of Buffer.from('hi\n')) {
      expect(inb(LSR)).toBe(0x60);
      out(TX, byte);
    }
    expect(Buffer.from(host.output).toString()).toBe('hi\n');
    expect(host.irqs).toEqual([]);
  });

  it('gives an edge for each interrupt, and drops the line when the driver has nothing left', () => {
    out(FCR, 0x01);
    out(IER, 0x02);
    expect(host.irqs).toEqual(['4:1']);
    expect(inb(IIR)).toBe(0xc2);
    expect(host.irqs).toEqual(['4:1', '4:0']);
    out(TX, 0x61);
    out(TX, 0x62);
    expect(host.irqs).toEqual(['4:1', '4:0', '4:1']);
    out(IER, 0);
    expect(host.irqs).toEqual(['4:1', '4:0', '4:1', '4:0']);
  });
});

describe('receiving', () => {
  it('by polling, without FIFO and interrupts', () => {
    expect(type('ab')).toBe(2);
    expect(inb(LSR)).toBe(0x61);
    expect([inb(RX), inb(RX), inb(RX)]).toEqual([0x61, 0x62, 0]);
    expect(inb(LSR)).toBe(0x60);
    expect(host.irqs).toEqual([]);
  });

  it('by interrupt: data at the trigger level, timeout below it, line down when empty', () => {
    out(FCR, 0x81); // trigger level 8
    out(IER, 0x05);
    type('123456789');
    expect(host.irqs).toEqual(['4:1']);
    expect(inb(IIR)).toBe(0xc4);
    inb(RX);
    expect(inb(IIR)).toBe(0xc4);
    inb(RX);
    expect(inb(IIR)).toBe(0xcc);
    for (let left = 7; left > 0; left--) {
      expect(host.irqs).toEqual(['4:1']);
      inb(RX);
    }
    expect(inb(IIR)).toBe(0xc1);
    expect(host.irqs).toEqual(['4:1', '4:0']);
  });

  it('raises the interrupt when it is enabled after the input came', () => {
    type('x');
    expect(host.irqs).toEqual([]);
    out(IER, 0x01);
    expect(host.irqs).toEqual(['4:1']);
  });

  it('comes before the transmitter interrupt', () => {
    out(IER, 0x03);
    type('x');
    expect(inb(IIR)).toBe(0x04);
    inb(RX);
    expect(inb(IIR)).toBe(0x02);
  });

  it('loses nothing beyond the FIFO: input waits, and is refused when the queue is full', () => {
    out(FCR, 0x01);
    out(IER, 0x01);
    const sent = Buffer.alloc(5000, 0).map((_, at) => at % 251);
    const taken = serial.input(sent);
    expect(taken).toBe(4096);
    expect(serial.inputSpace).toBe(16); // what went into the FIFO
    const more = serial.input(sent.subarray(taken));
    expect(more).toBe(16);
    expect(serial.inputSpace).toBe(0);
    const read: number[] = [];
    while ((inb(LSR) & 1) !== 0) read.push(inb(RX));
    expect(Buffer.from(read).equals(sent.subarray(0, taken + more))).toBe(true);
    expect(serial.inputSpace).toBe(4096);
  });

  it('keeps what was typed before the driver started through its FIFO resets', () => {
    type('early');
    out(FCR, 0x01);
    out(FCR, 0x07);
    out(FCR, 0x00);
    out(FCR, 0x01);
    out(IER, 0x01);
    expect([inb(RX), inb(RX)]).toEqual([0x65, 0x61]);
    out(FCR, 0x03); // and a reset drops what is in the FIFO
    expect(inb(LSR)).toBe(0x60);
  });

  it('waits while the driver tests in loop mode', () => {
    out(MCR, 0x10);
    type('x');
    expect(inb(LSR)).toBe(0x60);
    out(MCR, 0);
    expect(inb(LSR)).toBe(0x61);
  });
});

describe('registers shown to who need not ask', () => {
  const IDLE = { lineStatus: 0x60, modemStatus: 0xb0, identification: 0x01, interruptEnable: 0 };

  it('while nothing waits for the guest, with the accesses seen', () => {
    inb(LSR);
    expect(host.serial).toEqual({ writes: 0, events: 0, ...IDLE });
    out(TX, 0x41);
    expect(host.serial).toEqual({ writes: 0, events: 0, ...IDLE });
    out(IER, 1);
    out(FCR, 1);
    expect(host.serial).toEqual({ writes: 2, events: 1, ...IDLE, identification: 0xc1, interruptEnable: 1 });
  });

  it('with an empty transmitter that the guest has not seen', () => {
    out(IER, 2);
    expect(host.serial).toMatchObject({ identification: 0x02, interruptEnable: 2 });
    expect(inb(FCR)).toBe(0x02);
    expect(host.serial).toMatchObject({ identification: 0x01, writes: 1, events: 0 });
  });

  it('not while input waits, nor in loop mode, nor while the divisor is set', () => {
    inb(LSR);
    type('a');
    expect(host.serial).toBe(undefined);
    expect(inb(RX)).toBe(0x61);
    expect(host.serial).toEqual({ writes: 0, events: 0, ...IDLE });
    out(MCR, 0x10);
    expect(host.serial).toBe(undefined);
    out(MCR, 0);
    expect(host.serial).toEqual({ writes: 2, events: 0, ...IDLE });
    out(LCR, 0x80);
    expect(host.serial).toBe(undefined);
  });

  it('again after each restore, with what was restored', () => {
    const sender = new Serial(new FakeSurroundings());
    serial.restore(sender.save());
    expect(host.serial).toEqual({ writes: 0, events: 0, ...IDLE });
    sender.write(IER, 1, 2);
    serial.restore(sender.save());
    expect(host.serial).toEqual({ writes: 0, events: 0, ...IDLE, identification: 0x02, interruptEnable: 2 });
    sender.input(Uint8Array.of(0x61));
    serial.restore(sender.save());
    expect(host.serial).toBe(undefined);
  });

  it('and the interrupt is taken back when the guest was told of it elsewhere, but not when it was told of none', () => {
    out(IER, 2);
    serial.answered(FCR, 0xc1);
    expect(inb(FCR)).toBe(0x02);
    out(TX, 0x41);
    host.irqs.length = 0;
    serial.answered(FCR, 0xc2);
    expect(host.irqs).toEqual(['4:0']);
    expect(inb(FCR)).toBe(0x01);
    out(TX, 0x41);
    expect(host.irqs).toEqual(['4:0', '4:1']);
  });

  it('until input comes, which raises an interrupt also if the guest has seen the one before', () => {
    out(IER, 3);
    host.catchUp = () => {
      expect(host.serial).toBe(undefined);
      serial.answered(FCR, 0xc2);
      expect(host.serial).toBe(undefined);
    };
    host.irqs.length = 0;
    type('a');
    expect(host.irqs).toEqual(['4:0', '4:1']);
    expect(inb(FCR)).toBe(0x04);
  });

  it('only while reading them changes nothing but that, whatever the guest did before', () => {
    const register = fc.nat(7);
    const step = fc.oneof(
      fc.record({ write: register, value: fc.nat(0xff) }),
      fc.record({ read: register }),
      fc.record({ input: fc.uint8Array({ maxLength: 3 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const host = new FakeSurroundings();
        const serial = new Serial(host);
        let writes = 0;
        for (const step of steps) {
          if ('write' in step) {
            serial.write(step.write, 1, step.value);
            if (step.write !== TX) writes++;
          } else if ('read' in step) serial.read(step.read);
          else serial.input(step.input);
          const shown = host.serial;
          if (shown === undefined) continue;
          const before = { state: serial.save(), irqs: host.irqs.length };
          expect(shown).toMatchObject({ writes, lineStatus: serial.read(LSR), modemStatus: serial.read(MSR) });
          expect({ state: serial.save(), irqs: host.irqs.length }).toEqual(before);
        }
      }),
    );
  });
});
