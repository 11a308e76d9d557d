import { viewOf } from '../memory/byte-view.js';
import { buffer } from './aml.js';
import { concatBytes } from './table.js';

/** Resource descriptors for _CRS (ACPI 6.5, 6.4). */

const IO_PORT_DESCRIPTOR = 0x47;
const DECODE_16 = 1;
const IRQ_DESCRIPTOR = 0x22;
const MEMORY32_FIXED_DESCRIPTOR = 0x86;
const READ_WRITE = 1;
const EXTENDED_INTERRUPT_DESCRIPTOR = 0x89;
/** Flags: for a consumer, edge-triggered; the bits for active low and shared are clear. */
const CONSUMER = 1 << 0;
const EDGE = 1 << 1;
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

/** Memory32Fixed(ReadWrite, address, bytes) (6.4.3.4) */
export function memory32Fixed(address: number, bytes: number): Uint8Array {
  const body = new Uint8Array(9);
  const view = viewOf(body);
  view.setUint8(0, READ_WRITE);
  view.setUint32(1, address, true);
  view.setUint32(5, bytes, true);
  return largeDescriptor(MEMORY32_FIXED_DESCRIPTOR, body);
}

/** Interrupt(ResourceConsumer, Edge, ActiveHigh, Exclusive) {gsi} (6.4.3.6). */
export function edgeInterrupt(gsi: number): Uint8Array {
  const body = new Uint8Array(6);
  const view = viewOf(body);
  view.setUint8(0, CONSUMER | EDGE);
  view.setUint8(1, 1);
  view.setUint32(2, gsi, true);
  return largeDescriptor(EXTENDED_INTERRUPT_DESCRIPTOR, body);
}

/** 6.4.3: a tag and the length of what follows. */
function largeDescriptor(tag: number, body: Uint8Array): Uint8Array {
  return concatBytes(Uint8Array.of(tag, body.length & 0xff, body.length >> 8), body);
}
