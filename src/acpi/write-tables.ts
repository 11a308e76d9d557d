import type { GuestMemory } from '../memory/guest-memory.js';
import { ACPI_AREA_END, ACPI_AREA_START } from '../memory/layout.js';
import { encodeDsdt } from './dsdt.js';
import { encodeFacs, FACS_ALIGNMENT } from './facs.js';
import { encodeFadt } from './fadt.js';
import { encodeMadt } from './madt.js';
import { encodeRsdp, RSDP_BYTES } from './rsdp.js';
import { encodeXsdt } from './xsdt.js';

/** Also good for all tables but the FACS, which need none. */
const ALIGNMENT = FACS_ALIGNMENT;

export interface AcpiOptions {
  /** vCPUs; their APIC ids are 0 and up. */
  cpus: number;
  /** virtio-mmio devices, in the order of VIRTIO_GSIS. */
  virtioDevices: number;
}

/** Writes all ACPI tables and returns the address of the RSDP. Each table is written after those it points to. */
export function writeAcpiTables(memory: GuestMemory, options: AcpiOptions): number {
  const rsdpAddress = ACPI_AREA_START;
  let next = alignUp(rsdpAddress + RSDP_BYTES);
  const place = (table: Uint8Array): number => {
    const address = next;
    next = alignUp(address + table.length);
    if (next > ACPI_AREA_END) throw new RangeError('the ACPI tables do not fit into their area');
    memory.write(address, table);
    return address;
  };
  const facs = place(encodeFacs());
  const dsdt = place(encodeDsdt(options.virtioDevices));
  const fadt = place(encodeFadt(dsdt, facs));
  const madt = place(encodeMadt(options.cpus));
  const xsdt = place(encodeXsdt([fadt, madt]));
  memory.write(rsdpAddress, encodeRsdp(xsdt));
  return rsdpAddress;
}

function alignUp(address: number): number {
  return Math.ceil(address / ALIGNMENT) * ALIGNMENT;
}
