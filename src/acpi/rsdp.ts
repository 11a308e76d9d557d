import { viewOf } from '../memory/byte-view.js';
import { checksumOf, OEM_ID, putText } from './table.js';

/** Root System Description Pointer (ACPI 6.5, table 5.3). */
export const RSDP_BYTES = 36;
/** The part that ACPI 1.0 had, with a checksum of its own. */
const RSDP_V1_BYTES = 20;
const REVISION = 2;

export function encodeRsdp(xsdtAddress: number): Uint8Array {
  const rsdp = new Uint8Array(RSDP_BYTES);
  const view = viewOf(rsdp);
  putText(rsdp, 0, 'RSD PTR ');
  putText(rsdp, 9, OEM_ID);
  view.setUint8(15, REVISION);
  view.setUint32(20, RSDP_BYTES, true);
  view.setBigUint64(24, BigInt(xsdtAddress), true);
  view.setUint8(8, checksumOf(rsdp.subarray(0, RSDP_V1_BYTES)));
  view.setUint8(32, checksumOf(rsdp));
  return rsdp;
}
