import { z } from 'zod';
import { COM1_GSI } from '../memory/layout.js';
import type { BusDevice } from './bus.js';
import { ByteQueue } from './byte-queue.js';
import type { Surroundings } from './surroundings.js';
import { IrqLine } from './irq-line.js';
import * as reg from './serial-registers.js';
import { byteSchema } from './state-schema.js';

/** Console input that waits for the guest, beyond the FIFO. */
const SERIAL_INPUT_BYTES = 4096;

export const serialStateSchema = z.strictObject({
  ier: byteSchema.max(reg.IER_MASK),
  fcr: byteSchema,
  lcr: byteSchema,
  mcr: byteSchema.max(reg.MCR_MASK),
  scratch: byteSchema,
  divisorLow: byteSchema,
  divisorHigh: byteSchema,
  overrun: z.boolean(),
  transmitterEmptyPending: z.boolean(),
  fifo: z.array(byteSchema).max(reg.FIFO_BYTES),
  input: z.array(byteSchema).max(SERIAL_INPUT_BYTES),
});
export type SerialState = z.infer<typeof serialStateSchema>;

/** 9600 baud; any value will do, for bytes take no time here. */
const DIVISOR_AT_RESET = 12;

/**
 * A 16550A. Sending takes no time, so the transmitter is always empty; input waits in a queue until the guest has taken
 * what is in the FIFO, so that nothing is ever overrun from outside.
 */
export class Serial implements BusDevice {
  readonly accessBytes = 1;
  readonly #surroundings: Surroundings;
  readonly #irq: IrqLine;
  readonly #fifo = new ByteQueue(reg.FIFO_BYTES);
  readonly #input = new ByteQueue(SERIAL_INPUT_BYTES);
  #ier = 0;
  #fcr = 0;
  #lcr = 0;
  #mcr = 0;
  #scratch = 0;
  #divisorLow = DIVISOR_AT_RESET;
  #divisorHigh = 0;
  #overrun = false;
  /** The transmitter-empty interrupt is raised by an event, and reading IIR takes it back. */
  #transmitterEmptyPending = false;
  /** See SerialShadow; how many writes there were when it was shown. */
  #writes = 0;
  #events = 0;
  #shownAt: number | undefined;
  #inputComes = false;

  constructor(surroundings: Surroundings) {
    this.#surroundings = surroundings;
    this.#irq = new IrqLine(surroundings, COM1_GSI);
  }

  read(offset: number): number {
    const value = this.#readRegister(offset);
    this.#update();
    return value;
  }

  write(offset: number, _size: number, value: number): void {
    if (offset === reg.RBR_THR_DLL) this.#countEvent();
    else this.#writes = (this.#writes + 1) >>> 0;
    this.#writeRegister(offset, value);
    this.#update();
  }

  answered(offset: number, value: number): void {
    if (offset !== reg.IIR_FCR) return;
    this.#countEvent();
    // That counts also if input has come meanwhile: the guest has seen what it was told.
    if ((value & reg.IIR_MASK) === reg.IIR_TRANSMITTER_EMPTY) this.#transmitterEmptyPending = false;
    this.#update();
  }

  /** Console bytes that input() still takes. */
  get inputSpace(): number {
    return this.#input.space;
  }

  /** Takes as many bytes as there is space for, and returns how many. */
  input(bytes: Uint8Array): number {
    // The guest may be further than this device, and have seen the interrupt that the line is high for: without the fall
    // in between, input would raise none.
    this.#inputComes = true;
    this.#show();
    this.#surroundings.catchUp();
    this.#inputComes = false;
    const taken = Math.min(bytes.length, this.#input.space);
    for (let at = 0; at < taken; at++) this.#input.push(bytes[at] ?? 0);
    this.#update();
    return taken;
  }

  save(): SerialState {
    return {
      ier: this.#ier,
      fcr: this.#fcr,
      lcr: this.#lcr,
      mcr: this.#mcr,
      scratch: this.#scratch,
      divisorLow: this.#divisorLow,
      divisorHigh: this.#divisorHigh,
      overrun: this.#overrun,
      transmitterEmptyPending: this.#transmitterEmptyPending,
      fifo: this.#fifo.toArray(),
      input: this.#input.toArray(),
    };
  }

  restore(state: SerialState): void {
    this.#ier = state.ier;
    this.#fcr = state.fcr;
    this.#lcr = state.lcr;
    this.#mcr = state.mcr;
    this.#scratch = state.scratch;
    this.#divisorLow = state.divisorLow;
    this.#divisorHigh = state.divisorHigh;
    this.#overrun = state.overrun;
    this.#transmitterEmptyPending = state.transmitterEmptyPending;
    this.#fifo.fill(state.fifo);
    this.#input.fill(state.input);
    this.#irq.restore(this.#interrupt() !== reg.IIR_NONE);
    // What was shown before is another state's, with no access in between.
    this.#shownAt = undefined;
    this.#surroundings.hideSerial();
    this.#show();
  }

  #readRegister(offset: number): number {
    switch (offset) {
      case reg.RBR_THR_DLL:
        return this.#dlab ? this.#divisorLow : this.#receive();
      case reg.IER_DLM:
        return this.#dlab ? this.#divisorHigh : this.#ier;
      case reg.IIR_FCR:
        return this.#identifyInterrupt();
      case reg.LCR:
        return this.#lcr;
      case reg.MCR:
        return this.#mcr;
      case reg.LSR:
        return this.#lineStatus();
      case reg.MSR:
        return this.#modemStatus();
      default:
        return this.#scratch;
    }
  }

  #writeRegister(offset: number, value: number): void {
    switch (offset) {
      case reg.RBR_THR_DLL:
        if (this.#dlab) this.#divisorLow = value;
        else this.#transmit(value);
        return;
      case reg.IER_DLM:
        if (this.#dlab) this.#divisorHigh = value;
        else this.#enableInterrupts(value & reg.IER_MASK);
        return;
      case reg.IIR_FCR:
        this.#controlFifos(value);
        return;
      case reg.LCR:
        this.#lcr = value;
        return;
      case reg.MCR:
        this.#mcr = value & reg.MCR_MASK;
        return;
      case reg.SCR:
        this.#scratch = value;
        return;
      default: // LSR is for factory tests only, MSR is read-only
    }
  }

  get #dlab(): boolean {
    return (this.#lcr & reg.LCR_DLAB) !== 0;
  }

  get #loop(): boolean {
    return (this.#mcr & reg.MCR_LOOP) !== 0;
  }

  get #fifoEnabled(): boolean {
    return (this.#fcr & reg.FCR_FIFO_ENABLE) !== 0;
  }

  #transmit(value: number): void {
    if (this.#loop) this.#loopBack(value);
    else this.#surroundings.serialOutput(Uint8Array.of(value));
    // The byte is sent already: the register is empty again, which is the event.
    this.#transmitterEmptyPending = true;
  }

  #loopBack(value: number): void {
    const capacity = this.#fifoEnabled ? reg.FIFO_BYTES : 1;
    if (this.#fifo.length >= capacity) this.#overrun = true;
    else this.#fifo.push(value);
  }

  #receive(): number {
    this.#fetchInput();
    return this.#fifo.shift() ?? 0;
  }

  /** Enabling the interrupt while the transmitter is empty raises it, every time, as an interrupt driver expects. */
  #enableInterrupts(value: number): void {
    const enabled = value & ~this.#ier;
    this.#ier = value;
    if ((enabled & reg.IER_ETBEI) !== 0) this.#transmitterEmptyPending = true;
    if ((value & reg.IER_ETBEI) === 0) this.#transmitterEmptyPending = false;
  }

  #controlFifos(value: number): void {
    // "resetting: the bits are self-clearing"; turning the FIFOs on or off clears them too.
    const toggled = ((value ^ this.#fcr) & reg.FCR_FIFO_ENABLE) !== 0;
    if (toggled || (value & reg.FCR_RCVR_FIFO_RESET) !== 0) this.#fifo.clear();
    // "Bit 0 must be a 1 when other FCR bits are written to or they will not be programmed."
    this.#fcr = (value & reg.FCR_FIFO_ENABLE) === 0 ? 0 : value & ~reg.FCR_RCVR_FIFO_RESET;
  }

  #identifyInterrupt(): number {
    const identification = this.#identification();
    if ((identification & reg.IIR_MASK) === reg.IIR_TRANSMITTER_EMPTY) this.#transmitterEmptyPending = false;
    this.#shownAt = undefined; // that was not in the shadow
    return identification;
  }

  #identification(): number {
    return this.#interrupt() | (this.#fifoEnabled ? reg.IIR_FIFOS_ENABLED : 0);
  }

  #countEvent(): void {
    this.#events = (this.#events + 1) >>> 0;
  }

  /** The pending enabled interrupt of highest priority. */
  #interrupt(): number {
    if (this.#overrun && (this.#ier & reg.IER_ELSI) !== 0) return reg.IIR_LINE_STATUS;
    if (this.#fifo.length > 0 && (this.#ier & reg.IER_ERBFI) !== 0) {
      const trigger = this.#fifoEnabled ? (reg.RECEIVE_TRIGGERS[this.#fcr >> reg.FCR_TRIGGER_SHIFT] ?? 1) : 1;
      // Below the trigger level the timeout tells; no time passes here, so it is there at once.
      return this.#fifo.length >= trigger ? reg.IIR_RECEIVED_DATA : reg.IIR_CHARACTER_TIMEOUT;
    }
    if (this.#transmitterEmptyPending && (this.#ier & reg.IER_ETBEI) !== 0) return reg.IIR_TRANSMITTER_EMPTY;
    return reg.IIR_NONE;
  }

  #lineStatus(): number {
    this.#fetchInput();
    const ready = this.#fifo.length > 0 ? reg.LSR_DATA_READY : 0;
    const overrun = this.#overrun ? reg.LSR_OVERRUN : 0;
    this.#overrun = false;
    return reg.LSR_THR_EMPTY | reg.LSR_TRANSMITTER_EMPTY | overrun | ready;
  }

  /** Somebody is always there, except in loop mode, where the outputs are led to the inputs. */
  #modemStatus(): number {
    if (!this.#loop) return reg.MSR_CTS | reg.MSR_DSR | reg.MSR_DCD;
    const wired = (output: number, input: number): number => ((this.#mcr & output) !== 0 ? input : 0);
    return (
      wired(reg.MCR_RTS, reg.MSR_CTS) |
      wired(reg.MCR_DTR, reg.MSR_DSR) |
      wired(reg.MCR_OUT1, reg.MSR_RI) |
      wired(reg.MCR_OUT2, reg.MSR_DCD)
    );
  }

  /**
   * Moves waiting input into the empty FIFO. Only for a guest that looks, or wants interrupts: until then it waits in the
   * queue, safe from the FIFO resets of a driver that starts.
   */
  #fetchInput(): void {
    if (this.#loop || this.#fifo.length > 0) return;
    const capacity = this.#fifoEnabled ? reg.FIFO_BYTES : 1;
    while (this.#fifo.length < capacity) {
      const byte = this.#input.shift();
      if (byte === undefined) return;
      this.#fifo.push(byte);
    }
  }

  /** While no register but the transmitter's has anything for the guest. */
  #show(): void {
    const at = this.#idle ? this.#writes : undefined;
    if (at === this.#shownAt) return;
    this.#shownAt = at;
    if (at === undefined) return this.#surroundings.hideSerial();
    this.#surroundings.showSerial({
      writes: at,
      events: this.#events,
      lineStatus: this.#lineStatus(),
      modemStatus: this.#modemStatus(),
      identification: this.#identification(),
      interruptEnable: this.#ier,
    });
  }

  get #idle(): boolean {
    const inputWaits = this.#inputComes || this.#fifo.length > 0 || this.#input.length > 0;
    return !this.#loop && !this.#dlab && !this.#overrun && !inputWaits;
  }

  #update(): void {
    if ((this.#ier & reg.IER_ERBFI) !== 0) this.#fetchInput();
    this.#show();
    this.#irq.set(this.#interrupt() !== reg.IIR_NONE);
  }
}
