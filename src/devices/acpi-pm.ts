import { z } from 'zod';
import {
  PM1_CNT_BM_RLD,
  PM1_CNT_SCI_EN,
  PM1_CNT_SLP_EN,
  PM1_CNT_SLP_TYP_MASK,
  PM1_CNT_SLP_TYP_SHIFT,
  PM1_PWRBTN,
  PM_TIMER_HZ,
  SLP_TYP_S5,
} from '../acpi/fixed-hardware.js';
import {
  PM1A_CONTROL_PORT,
  PM1A_CONTROL_PORTS,
  PM1A_EVENT_PORT,
  PM1A_EVENT_PORTS,
  PM_TIMER_PORT,
  PM_TIMER_PORTS,
  SCI_GSI,
} from '../memory/layout.js';
import type { Bus, BusDevice } from './bus.js';
import type { Surroundings } from './surroundings.js';
import { IrqLine } from './irq-line.js';
import { doubleWordSchema, wordSchema } from './state-schema.js';

export const acpiPmStateSchema = z.strictObject({
  status: wordSchema,
  enable: wordSchema,
  control: wordSchema,
  timerTicks: doubleWordSchema,
});
export type AcpiPmState = z.infer<typeof acpiPmStateSchema>;

/** Status comes first, two bytes. */
const ENABLE_OFFSET = 2;
const BYTE_BITS = 8;
const BYTE_MASK = 0xff;
const WORD_VALUES = 0x10000;
const TIMER_VALUES = 2 ** 32;
const MICROS_PER_SECOND = 1_000_000;

/** Status bits that can be set here. The timer's carry (TMR_STS) is not: it would need a timer on the host, and no guest enables it. */
const STATUS_BITS = PM1_PWRBTN;
/** Control bits that keep what was written; SLP_EN and GBL_RLS read as 0. */
const CONTROL_BITS = PM1_CNT_BM_RLD | (PM1_CNT_SLP_TYP_MASK << PM1_CNT_SLP_TYP_SHIFT);

/** ACPI fixed hardware (ACPI 6.5, 4.8.3): PM1 event and control registers, power-management timer, power button. */
export class AcpiPm {
  readonly #surroundings: Surroundings;
  readonly #sci: IrqLine;
  #status = 0;
  #enable = 0;
  #control = 0;
  /** Timer value at `#timerStart`. */
  #timerTicks = 0;
  #timerStart: number;

  constructor(surroundings: Surroundings) {
    this.#surroundings = surroundings;
    this.#sci = new IrqLine(surroundings, SCI_GSI);
    this.#timerStart = surroundings.nowMicros();
  }

  addTo(ports: Bus): void {
    ports.add(PM1A_EVENT_PORT, PM1A_EVENT_PORTS, this.#eventBlock());
    ports.add(PM1A_CONTROL_PORT, PM1A_CONTROL_PORTS, this.#controlBlock());
    ports.add(PM_TIMER_PORT, PM_TIMER_PORTS, this.#timer());
  }

  /** A push of the power button: the guest shuts down if it cares to. */
  pressPowerButton(): void {
    this.#status |= PM1_PWRBTN;
    this.#updateSci();
  }

  /** With the timer as it was then, or will be. */
  save(atMicros: number): AcpiPmState {
    const timerTicks = this.#timerAt(atMicros);
    return { status: this.#status, enable: this.#enable, control: this.#control, timerTicks };
  }

  /** The timer goes on from the saved value, until startClocks() says when it had that. */
  restore(state: AcpiPmState): void {
    this.#status = state.status & STATUS_BITS;
    this.#enable = state.enable;
    this.#control = state.control & CONTROL_BITS;
    this.#timerTicks = state.timerTicks;
    this.#timerStart = this.#surroundings.nowMicros();
    this.#sci.restore(this.#sciLevel());
  }

  /** The timer had the restored value at that moment, and has run on since. */
  startClocks(atMicros: number): void {
    this.#timerStart = atMicros;
  }

  #timerAt(micros: number): number {
    const ticks = this.#timerTicks + Math.floor(((micros - this.#timerStart) * PM_TIMER_HZ) / MICROS_PER_SECOND);
    return ((ticks % TIMER_VALUES) + TIMER_VALUES) % TIMER_VALUES;
  }

  #sciLevel(): boolean {
    return (this.#status & this.#enable) !== 0;
  }

  #updateSci(): void {
    this.#sci.set(this.#sciLevel());
  }

  /** Status at 0 (writing ones clears), enable at 2; drivers use words, but bytes and double words are allowed. */
  #eventBlock(): BusDevice {
    return byteRegisters({
      read: (offset) => byteOf(this.#status + this.#enable * WORD_VALUES, offset),
      write: (offset, value) => {
        if (offset < ENABLE_OFFSET) this.#status &= ~(value << (BYTE_BITS * offset));
        else this.#enable = withByte(this.#enable, offset - ENABLE_OFFSET, value);
        this.#updateSci();
      },
    });
  }

  #controlBlock(): BusDevice {
    return byteRegisters({
      read: (offset) => byteOf(this.#control | PM1_CNT_SCI_EN, offset),
      write: (offset, value) => {
        const written = withByte(this.#control, offset, value);
        this.#control = written & CONTROL_BITS;
        if ((written & PM1_CNT_SLP_EN) !== 0) this.#sleep();
      },
    });
  }

  /** Only S5 exists: the DSDT has no other \_Sx. */
  #sleep(): void {
    const type = (this.#control >> PM1_CNT_SLP_TYP_SHIFT) & PM1_CNT_SLP_TYP_MASK;
    if (type === SLP_TYP_S5) this.#surroundings.powerOff();
  }

  #timer(): BusDevice {
    return {
      accessBytes: PM_TIMER_PORTS,
      read: (offset, size) => {
        const ticks = this.#timerAt(this.#surroundings.nowMicros());
        return Math.floor(ticks / 2 ** (BYTE_BITS * offset)) % 2 ** (BYTE_BITS * size);
      },
      write: () => undefined, // read-only
    };
  }
}

interface ByteRegisters {
  read(offset: number): number;
  write(offset: number, value: number): void;
}

/** The bus splits wide accesses; low bytes come first, so SLP_EN, in the high byte, acts on a whole SLP_TYP. */
function byteRegisters(registers: ByteRegisters): BusDevice {
  return {
    accessBytes: 1,
    read: (offset) => registers.read(offset),
    write: (offset, _size, value) => registers.write(offset, value),
  };
}

function byteOf(value: number, offset: number): number {
  return Math.floor(value / 2 ** (BYTE_BITS * offset)) & BYTE_MASK;
}

function withByte(value: number, offset: number, byte: number): number {
  const shift = BYTE_BITS * offset;
  return (value & ~(BYTE_MASK << shift)) | (byte << shift);
}
