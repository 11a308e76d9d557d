import { viewOf } from '../memory/byte-view.js';
import { encodeTable } from './table.js';

const REVISION = 1;
const ENTRY_BYTES = 8;

/** Extended System Description Table (ACPI 6.5, table 5.5): where the other tables are. */
export function encodeXsdt(tableAddresses: number[]): Uint8Array {
  const body = new Uint8Array(tableAddresses.length * ENTRY_BYTES);
  const view = viewOf(body);
  tableAddresses.forEach((address, index) => view.setBigUint64(index * ENTRY_BYTES, BigInt(address), true));
  return encodeTable('XSDT', REVISION, body);
}
