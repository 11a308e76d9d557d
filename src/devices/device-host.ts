/** What devices need from the VM around them. Called synchronously, on the device worker. */
export interface DeviceHost {
  /** Drives the line of a GSI (KVM_IRQ_LINE). Called only when the level changes, and after a restore for lines that are high. */
  setIrq(gsi: number, level: boolean): void;
  /** Bytes the guest sent over the serial port; the array is the callee's to keep. */
  serialOutput(bytes: Uint8Array): void;
  /**
   * The serial port's LSR and MSR: reading them has no effect now, so the guest may be answered without the device.
   * `writes`: those the device has seen to any register but the first, modulo 2^32; one more makes it void.
   */
  showSerialStatus(writes: number, lineStatus: number, modemStatus: number): void;
  /** The guest has to ask the device. */
  hideSerialStatus(): void;
  /** The guest switched itself off (S5). */
  powerOff(): void;
  /** The guest asked for a reset; `source` names the register, for messages. */
  reset(source: string): void;
  /** Microseconds on a clock that never steps back. */
  nowMicros(): number;
  /** Milliseconds since 1970, UTC, on the host's wall clock; it may step. */
  wallClockMs(): number;
}
