/**
 * What is read of the serial port while nothing waits for the guest. Reading LSR and MSR has no effect then, reading IIR
 * that of an empty transmitter.
 */
export interface SerialShadow {
  /** Writes seen to any register but the first, modulo 2^32. */
  writes: number;
  /** Writes seen to the first register, and reads of IIR answered elsewhere, modulo 2^32. */
  events: number;
  lineStatus: number;
  modemStatus: number;
  /** What a read of IIR would give. */
  identification: number;
  interruptEnable: number;
}

/** What devices need from the VM around them. Called synchronously, on the device worker. */
export interface Surroundings {
  /** Drives the line of a GSI (KVM_IRQ_LINE). Called only when the level changes, and after a restore for lines that are high. */
  setIrq(gsi: number, level: boolean): void;
  /** Bytes the guest sent over the serial port; the array is the callee's to keep. */
  serialOutput(bytes: Uint8Array): void;
  /** The guest may be answered without the serial port, as long as it is told with answered() what had an effect. */
  showSerial(shadow: SerialShadow): void;
  /** The guest has to ask the device. */
  hideSerial(): void;
  /** Gives the devices all accesses that the guest has made so far and did not have to wait for. */
  catchUp(): void;
  /** The guest switched itself off (S5). */
  powerOff(): void;
  /** The guest asked for a reset; `source` names the register, for messages. */
  reset(source: string): void;
  /** The guest's kernel has panicked: milliseconds since 1970 on the wall clock of the host where it did. */
  panicked(at: number): void;
  /** Microseconds on a clock that never steps back. */
  nowMicros(): number;
  /** Milliseconds since 1970, UTC, on the host's wall clock; it may step. */
  wallClockMs(): number;
}
