import { CMOS_PORT, CMOS_PORTS, COM1_GSI, COM1_PORT, COM1_PORTS, RTC_GSI } from '../memory/layout.js';
import { device, eisaId, integer, name, packageOf, scope, string } from './aml.js';
import { SLP_TYP_S5 } from './fixed-hardware.js';
import { edgeIrq, ioPorts, resourceTemplate } from './resources.js';
import { concatBytes, encodeTable } from './table.js';

/** 2 and above: AML integers are 64 bits wide. */
const REVISION = 2;

/**
 * Differentiated System Description Table: what cannot be probed. Processors are in the MADT alone; they need no objects
 * here, for they have neither sleep states nor hotplug.
 */
export function encodeDsdt(): Uint8Array {
  return encodeTable('DSDT', REVISION, concatBytes(softOff(), scope('\\_SB_', com1(), realTimeClock())));
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
