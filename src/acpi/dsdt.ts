import {
  CMOS_PORT,
  CMOS_PORTS,
  COM1_GSI,
  COM1_PORT,
  COM1_PORTS,
  PVPANIC_PORT,
  RTC_GSI,
  VIRTIO_GSIS,
  VIRTIO_MMIO_BYTES,
  VIRTIO_MMIO_START,
} from '../memory/layout.js';
import { device, eisaId, integer, name, packageOf, scope, string } from './aml.js';
import { SLP_TYP_S5 } from './fixed-hardware.js';
import { edgeIrq, ioPorts, edgeInterrupt, memory32Fixed, resourceTemplate } from './resources.js';
import { concatBytes, encodeTable } from './table.js';

/** 2 and above: AML integers are 64 bits wide. */
const REVISION = 2;

/** 6.3.7: present, enabled, working; not shown in a user interface. */
const STA_WORKS_UNSEEN = 0b1011;

/**
 * Differentiated System Description Table: what cannot be probed. Processors are in the MADT alone; they need no objects
 * here, for they have neither sleep states nor hotplug.
 */
export function encodeDsdt(virtioDevices: number): Uint8Array {
  if (virtioDevices > VIRTIO_GSIS.length) throw new RangeError(`${virtioDevices} virtio devices are too many`);
  const virtio = VIRTIO_GSIS.slice(0, virtioDevices).map((gsi, index) => virtioMmio(index, gsi));
  return encodeTable(
    'DSDT',
    REVISION,
    concatBytes(softOff(), scope('\\_SB_', com1(), realTimeClock(), pvpanic(), ...virtio)),
  );
}

/** \_S5: SLP_TYPa, SLP_TYPb, reserved, reserved (7.4.2.6). */
function softOff(): Uint8Array {
  return name('\\_S5_', packageOf(integer(SLP_TYP_S5), integer(0), integer(0), integer(0)));
}

function com1(): Uint8Array {
  return device(
    'COM1',
    name('_HID', eisaId('PNP0501')),
    name('_UID', integer(1)),
    name('_DDN', string('COM1')),
    name('_CRS', resourceTemplate(ioPorts(COM1_PORT, COM1_PORTS), edgeIrq(COM1_GSI))),
  );
}

function realTimeClock(): Uint8Array {
  return device(
    'RTC0',
    name('_HID', eisaId('PNP0B00')),
    name('_CRS', resourceTemplate(ioPorts(CMOS_PORT, CMOS_PORTS), edgeIrq(RTC_GSI))),
  );
}

/** The identifier under which Linux's pvpanic driver knows it; present, enabled and working, and of no use to a person. */
function pvpanic(): Uint8Array {
  return device(
    'PEVT',
    name('_HID', string('QEMU0001')),
    name('_STA', integer(STA_WORKS_UNSEEN)),
    name('_CRS', resourceTemplate(ioPorts(PVPANIC_PORT, 1))),
  );
}

/** The identifier under which Linux's virtio_mmio driver knows such devices; VR00, VR01, ... */
function virtioMmio(index: number, gsi: number): Uint8Array {
  const registers = VIRTIO_MMIO_START + index * VIRTIO_MMIO_BYTES;
  return device(
    `VR${index.toString(16).toUpperCase().padStart(2, '0')}`,
    name('_HID', string('LNRO0005')),
    name('_UID', integer(index)),
    name('_CCA', integer(1)), // the device sees the caches of the processors (6.2.17)
    name('_CRS', resourceTemplate(memory32Fixed(registers, VIRTIO_MMIO_BYTES), edgeInterrupt(gsi))),
  );
}
