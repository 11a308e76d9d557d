import { viewOf } from '../memory/byte-view.js';
import { IOAPIC_ADDRESS, LAPIC_ADDRESS, SCI_GSI, TIMER_IOAPIC_PIN } from '../memory/layout.js';
import { concatBytes, encodeTable } from './table.js';

/** Multiple APIC Description Table (ACPI 6.5, 5.2.12). */
const REVISION = 5;
/** Flags: the machine also has a pair of 8259s. */
const PCAT_COMPAT = 1 << 0;

// Structure types (table 5.21) with their lengths.
const PROCESSOR_LOCAL_APIC = 0;
const PROCESSOR_LOCAL_APIC_BYTES = 8;
const IO_APIC = 1;
const IO_APIC_BYTES = 12;
const INTERRUPT_SOURCE_OVERRIDE = 2;
const INTERRUPT_SOURCE_OVERRIDE_BYTES = 10;
const LOCAL_APIC_NMI = 4;
const LOCAL_APIC_NMI_BYTES = 6;

const LOCAL_APIC_ENABLED = 1 << 0;
/** What KVM's I/O APIC has after reset; its ids are apart from those of local APICs. */
const IO_APIC_ID = 0;
const ISA_BUS = 0;
const TIMER_IRQ = 0;
// MPS INTI flags (table 5.26).
const CONFORMS_TO_BUS = 0;
const ACTIVE_HIGH = 0x1;
const LEVEL_TRIGGERED = 0xc;
const ALL_PROCESSORS = 0xff;
/** LINT1 is where the NMI comes in, on every PC. */
const NMI_LINT = 1;

export function encodeMadt(cpus: number): Uint8Array {
  const localApics = Array.from({ length: cpus }, (_, cpu) => localApic(cpu));
  return encodeTable(
    'APIC',
    REVISION,
    concatBytes(
      fixedPart(),
      ...localApics,
      ioApic(),
      interruptSourceOverride(TIMER_IRQ, TIMER_IOAPIC_PIN, CONFORMS_TO_BUS),
      interruptSourceOverride(SCI_GSI, SCI_GSI, ACTIVE_HIGH | LEVEL_TRIGGERED),
      localApicNmi(),
    ),
  );
}

function fixedPart(): Uint8Array {
  const bytes = new Uint8Array(8);
  const view = viewOf(bytes);
  view.setUint32(0, LAPIC_ADDRESS, true);
  view.setUint32(4, PCAT_COMPAT, true);
  return bytes;
}

function localApic(cpu: number): Uint8Array {
  const bytes = Uint8Array.of(PROCESSOR_LOCAL_APIC, PROCESSOR_LOCAL_APIC_BYTES, cpu, cpu, 0, 0, 0, 0);
  viewOf(bytes).setUint32(4, LOCAL_APIC_ENABLED, true);
  return bytes;
}

function ioApic(): Uint8Array {
  const bytes = new Uint8Array(IO_APIC_BYTES);
  const view = viewOf(bytes);
  bytes.set([IO_APIC, IO_APIC_BYTES, IO_APIC_ID]);
  view.setUint32(4, IOAPIC_ADDRESS, true);
  view.setUint32(8, 0, true);
  return bytes;
}

function interruptSourceOverride(irq: number, gsi: number, flags: number): Uint8Array {
  const bytes = new Uint8Array(INTERRUPT_SOURCE_OVERRIDE_BYTES);
  const view = viewOf(bytes);
  bytes.set([INTERRUPT_SOURCE_OVERRIDE, INTERRUPT_SOURCE_OVERRIDE_BYTES, ISA_BUS, irq]);
  view.setUint32(4, gsi, true);
  view.setUint16(8, flags, true);
  return bytes;
}

function localApicNmi(): Uint8Array {
  const bytes = new Uint8Array(LOCAL_APIC_NMI_BYTES);
  bytes.set([LOCAL_APIC_NMI, LOCAL_APIC_NMI_BYTES, ALL_PROCESSORS]);
  viewOf(bytes).setUint16(3, CONFORMS_TO_BUS, true);
  bytes[5] = NMI_LINT;
  return bytes;
}
