import { buffer } from './aml.js';
import { concatBytes } from './table.js';

/** Resource descriptors for _CRS (ACPI 6.5, 6.4). */

const IO_PORT_DESCRIPTOR = 0x47;
const DECODE_16 = 1;
const IRQ_DESCRIPTOR = 0x22;
const END_TAG = 0x79;
/** "A checksum of 0 means that the data is taken to check." */
const CHECKSUM_UNUSED = 0;

/** ResourceTemplate() {...} */
export function resourceTemplate(...descriptors: Uint8Array[]): Uint8Array {
  return buffer(concatBytes(...descriptors, Uint8Array.of(END_TAG, CHECKSUM_UNUSED)));
}

/** IO(Decode16, port, port, 1, ports) */
export function ioPorts(port: number, ports: number): Uint8Array {
  const [low, high] = [port & 0xff, port >> 8];
  return Uint8Array.of(IO_PORT_DESCRIPTOR, DECODE_16, low, high, low, high, 1, ports);
}

/** IRQNoFlags() {irq}: edge-triggered, active high, not shared. */
export function edgeIrq(irq: number): Uint8Array {
  const mask = 1 << irq;
  return Uint8Array.of(IRQ_DESCRIPTOR, mask & 0xff, mask >> 8);
}
