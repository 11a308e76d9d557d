import { viewOf } from '../memory/byte-view.js';
import { putText } from './table.js';

const FACS_BYTES = 64;
/** "The FACS is aligned on a 64-byte boundary" (ACPI 6.5, 5.2.10). */
export const FACS_ALIGNMENT = 64;
const VERSION = 2;

/** Firmware ACPI Control Structure (ACPI 6.5, table 5.13): the global lock; nothing sleeps here. No checksum. */
export function encodeFacs(): Uint8Array {
  const facs = new Uint8Array(FACS_BYTES);
  const view = viewOf(facs);
  putText(facs, 0, 'FACS');
  view.setUint32(4, FACS_BYTES, true);
  view.setUint8(32, VERSION);
  return facs;
}
