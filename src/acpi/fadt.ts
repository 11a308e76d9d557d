import { RTC_CENTURY } from './fixed-hardware.js';
import { viewOf } from '../memory/byte-view.js';
import {
  PM1A_CONTROL_PORT,
  PM1A_CONTROL_PORTS,
  PM1A_EVENT_PORT,
  PM1A_EVENT_PORTS,
  PM_TIMER_PORT,
  PM_TIMER_PORTS,
  RESET_CONTROL_PORT,
  SCI_GSI,
} from '../memory/layout.js';
import { RESET_VALUE } from './fixed-hardware.js';
import { encodeTable, putText, TABLE_HEADER_BYTES } from './table.js';

/** Fixed ACPI Description Table (ACPI 6.5, table 5.9); offsets are those of the table, header included. */
const FADT_BYTES = 276;
const MAJOR_VERSION = 6;
const MINOR_VERSION = 5;

const FIELD = {
  firmwareCtrl: 36,
  dsdt: 40,
  sciInt: 46,
  pm1aEvtBlk: 56,
  pm1aCntBlk: 64,
  pmTmrBlk: 76,
  pm1EvtLen: 88,
  pm1CntLen: 89,
  pmTmrLen: 91,
  pLvl2Lat: 96,
  pLvl3Lat: 98,
  century: 108,
  iapcBootArch: 109,
  flags: 112,
  resetReg: 116,
  resetValue: 128,
  minorVersion: 131,
  xDsdt: 140,
  xPm1aEvtBlk: 148,
  xPm1aCntBlk: 172,
  xPmTmrBlk: 208,
  hypervisorVendor: 268,
} as const;

/** "A value > 100 indicates the system does not support a C2 state", and > 1000 no C3 state. */
const NO_C2 = 101;
const NO_C3 = 1001;

/**
 * IA-PC boot architecture flags (table 5.11). Clear are 8042 (bit 1), for there is no keyboard controller to probe for, and
 * "CMOS RTC not present" (bit 5).
 */
const LEGACY_DEVICES = 1 << 0;
const VGA_NOT_PRESENT = 1 << 2;

/** Fixed feature flags (table 5.10). PWR_BUTTON (bit 4) is clear: the power button is a fixed one. */
const WBINVD = 1 << 0;
const PROC_C1 = 1 << 2;
const SLP_BUTTON = 1 << 5;
const FIX_RTC = 1 << 6;
const TMR_VAL_EXT = 1 << 8;
const RESET_REG_SUP = 1 << 10;

/** Generic Address Structure (table 5.1). */
const SYSTEM_IO = 1;
const BYTE_ACCESS = 1;
const WORD_ACCESS = 2;
const DWORD_ACCESS = 3;

export function encodeFadt(dsdtAddress: number, facsAddress: number): Uint8Array {
  const fadt = new Uint8Array(FADT_BYTES);
  const view = viewOf(fadt);
  view.setUint32(FIELD.firmwareCtrl, facsAddress, true);
  // The 32-bit fields and their 64-bit twins say the same, except X_FIRMWARE_CTRL: "if both are used, ignore one".
  view.setUint32(FIELD.dsdt, dsdtAddress, true);
  view.setBigUint64(FIELD.xDsdt, BigInt(dsdtAddress), true);
  view.setUint16(FIELD.sciInt, SCI_GSI, true);
  // SMI_CMD, ACPI_ENABLE and ACPI_DISABLE stay 0: the machine is in ACPI mode from the start.
  writeRegisters(view);
  view.setUint16(FIELD.pLvl2Lat, NO_C2, true);
  view.setUint16(FIELD.pLvl3Lat, NO_C3, true);
  // Where the real-time clock has the century. DAY_ALRM and MON_ALRM stay 0: its alarm has no date.
  view.setUint8(FIELD.century, RTC_CENTURY);
  view.setUint16(FIELD.iapcBootArch, LEGACY_DEVICES | VGA_NOT_PRESENT, true);
  view.setUint32(FIELD.flags, WBINVD | PROC_C1 | SLP_BUTTON | FIX_RTC | TMR_VAL_EXT | RESET_REG_SUP, true);
  view.setUint8(FIELD.resetValue, RESET_VALUE);
  view.setUint8(FIELD.minorVersion, MINOR_VERSION);
  putText(fadt, FIELD.hypervisorVendor, 'POSTCOPY');
  return encodeTable('FACP', MAJOR_VERSION, fadt.subarray(TABLE_HEADER_BYTES));
}

function writeRegisters(view: DataView): void {
  view.setUint32(FIELD.pm1aEvtBlk, PM1A_EVENT_PORT, true);
  view.setUint32(FIELD.pm1aCntBlk, PM1A_CONTROL_PORT, true);
  view.setUint32(FIELD.pmTmrBlk, PM_TIMER_PORT, true);
  view.setUint8(FIELD.pm1EvtLen, PM1A_EVENT_PORTS);
  view.setUint8(FIELD.pm1CntLen, PM1A_CONTROL_PORTS);
  view.setUint8(FIELD.pmTmrLen, PM_TIMER_PORTS);
  writePortAddress(view, FIELD.xPm1aEvtBlk, PM1A_EVENT_PORT, PM1A_EVENT_PORTS, WORD_ACCESS);
  writePortAddress(view, FIELD.xPm1aCntBlk, PM1A_CONTROL_PORT, PM1A_CONTROL_PORTS, WORD_ACCESS);
  writePortAddress(view, FIELD.xPmTmrBlk, PM_TIMER_PORT, PM_TIMER_PORTS, DWORD_ACCESS);
  writePortAddress(view, FIELD.resetReg, RESET_CONTROL_PORT, 1, BYTE_ACCESS);
}

const BITS_PER_PORT = 8;

function writePortAddress(view: DataView, at: number, port: number, ports: number, access: number): void {
  view.setUint8(at, SYSTEM_IO);
  view.setUint8(at + 1, ports * BITS_PER_PORT);
  view.setUint8(at + 2, 0);
  view.setUint8(at + 3, access);
  view.setBigUint64(at + 4, BigInt(port), true);
}
