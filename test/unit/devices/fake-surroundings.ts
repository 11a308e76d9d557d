import type { Surroundings, SerialShadow } from '../../../src/devices/surroundings.js';

/** Records what devices do. */
export class FakeSurroundings implements Surroundings {
  readonly output: number[] = [];
  /** `gsi:level`, in order. */
  readonly irqs: string[] = [];
  /** Power-off and resets, in order. */
  readonly events: string[] = [];
  /** What the guest may read of the serial port without asking it. */
  serial: SerialShadow | undefined;
  micros = 0;
  /** A summer's day at noon. */
  wallMs = Date.UTC(2024, 6, 3, 12, 0, 0);

  setIrq(gsi: number, level: boolean): void {
    this.irqs.push(`${gsi}:${level ? 1 : 0}`);
  }
  serialOutput(bytes: Uint8Array): void {
    this.output.push(...bytes);
  }
  showSerial(shadow: SerialShadow): void {
    this.serial = shadow;
  }
  hideSerial(): void {
    this.serial = undefined;
  }
  /** What the guest has done already. */
  catchUp: () => void = () => {};
  powerOff(): void {
    this.events.push('power-off');
  }
  reset(source: string): void {
    this.events.push(`reset by ${source}`);
  }
  panicked(at: number): void {
    this.events.push(`panicked at ${at}`);
  }
  nowMicros(): number {
    return this.micros;
  }
  wallClockMs(): number {
    return this.wallMs;
  }
}
