import { describe, expect, it } from 'vitest';
import { encodeDsdt } from '../../../src/acpi/dsdt.js';
import { encodeFacs } from '../../../src/acpi/facs.js';
import { encodeFadt } from '../../../src/acpi/fadt.js';
import { encodeMadt } from '../../../src/acpi/madt.js';
import { encodeRsdp } from '../../../src/acpi/rsdp.js';
import { writeAcpiTables } from '../../../src/acpi/write-tables.js';
import { encodeXsdt } from '../../../src/acpi/xsdt.js';
import { GuestMemory } from '../../../src/memory/guest-memory.js';
import { FakeRam } from '../memory/fake-ram.js';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const sum = (bytes: Uint8Array): number => bytes.reduce((total, byte) => total + byte, 0) & 0xff;
const text = (bytes: Uint8Array, from: number, to: number): string => Buffer.from(bytes.subarray(from, to)).toString();
const u32 = (bytes: Uint8Array, at: number): number => Buffer.from(bytes).readUInt32LE(at);
const u64 = (bytes: Uint8Array, at: number): number => Number(Buffer.from(bytes).readBigUInt64LE(at));

describe('RSDP', () => {
  it('has both checksums and the address of the XSDT', () => {
    const rsdp = encodeRsdp(0xe1234);
    expect(hex(rsdp.subarray(0, 8))).toBe('5253442050545220'); // "RSD PTR "
    expect(text(rsdp, 9, 15)).toBe('PCOPY ');
    expect(hex(rsdp.subarray(15, 32))).toBe('02' + '00000000' + '24000000' + '34120e0000000000');
    expect(rsdp.length).toBe(36);
    expect(sum(rsdp.subarray(0, 20))).toBe(0);
    expect(sum(rsdp)).toBe(0);
  });
});

describe('XSDT', () => {
  it('lists 64-bit addresses behind the header', () => {
    const xsdt = encodeXsdt([0xe0100, 0xe0240]);
    expect(text(xsdt, 0, 4)).toBe('XSDT');
    expect(u32(xsdt, 4)).toBe(52);
    expect(hex(xsdt.subarray(36))).toBe('00010e0000000000' + '40020e0000000000');
    expect(sum(xsdt)).toBe(0);
  });
});

describe('FACS', () => {
  it('is 64 bytes, version 2', () => {
    expect(hex(encodeFacs().subarray(0, 8))).toBe('46414353' + '40000000');
    expect(encodeFacs()[32]).toBe(2);
    expect(encodeFacs().length).toBe(64);
  });
});

describe('FADT', () => {
  const fadt = encodeFadt(0xe0080, 0xe0040);

  it('is a version 6 table of 276 bytes', () => {
    expect(text(fadt, 0, 4)).toBe('FACP');
    expect(u32(fadt, 4)).toBe(276);
    expect(fadt[8]).toBe(6);
    expect(sum(fadt)).toBe(0);
  });

  it('points to FACS and DSDT', () => {
    expect([u32(fadt, 36), u32(fadt, 40), u64(fadt, 132), u64(fadt, 140)]).toEqual([0xe0040, 0xe0080, 0, 0xe0080]);
  });

  it('is in ACPI mode already, with SCI 9', () => {
    expect(hex(fadt.subarray(46, 54))).toBe('0900' + '00000000' + '0000'); // SCI_INT, SMI_CMD, ACPI_ENABLE/DISABLE
  });

  it('has the PM1 blocks and the timer', () => {
    expect([56, 60, 64, 68, 72, 76, 80, 84].map((at) => u32(fadt, at))).toEqual([0x600, 0, 0x604, 0, 0, 0x608, 0, 0]);
    expect(hex(fadt.subarray(88, 94))).toBe('040200040000');
    expect(hex(fadt.subarray(148, 160))).toBe('01200002' + '0006000000000000');
    expect(hex(fadt.subarray(172, 184))).toBe('01100002' + '0406000000000000');
    expect(hex(fadt.subarray(208, 220))).toBe('01200003' + '0806000000000000');
  });

  it('denies VGA and 8042, and has a CMOS RTC with the century at 0x32', () => {
    expect(hex(fadt.subarray(106, 111))).toBe('0000320500');
  });

  it('resets by writing 6 to port 0xCF9, and is not hardware-reduced', () => {
    expect(hex(fadt.subarray(112, 116))).toBe('65050000');
    expect(hex(fadt.subarray(116, 129))).toBe('01080001' + 'f90c000000000000' + '06');
  });
});

describe('MADT', () => {
  it('of two vCPUs', () => {
    const madt = encodeMadt(2);
    expect(text(madt, 0, 4)).toBe('APIC');
    expect(sum(madt)).toBe(0);
    expect(u32(madt, 4)).toBe(madt.length);
    expect(hex(madt.subarray(36))).toBe(
      '0000e0fe01000000' + // local APIC address, PCAT_COMPAT
        '0008000001000000' + // local APICs
        '0008010101000000' +
        '010c00000000c0fe00000000' + // I/O APIC
        '020a0000020000000000' + // IRQ 0 -> GSI 2
        '020a0009090000000d00' + // SCI: level, active high
        '0406ff000001', // NMI on LINT1 of all
    );
  });

  it('has one local APIC for each of 16 vCPUs', () => {
    expect(encodeMadt(16).length).toBe(44 + 16 * 8 + 12 + 10 + 10 + 6);
  });
});

describe('DSDT', () => {
  it('has \\_S5, COM1, the real-time clock and pvpanic', () => {
    const dsdt = encodeDsdt(0);
    expect(sum(dsdt)).toBe(0);
    expect(dsdt[8]).toBe(2);
    expect(hex(dsdt.subarray(36))).toBe(
      '085c5f53355f' +
        '1207040a05000000' + // Name (\\_S5, Package () {5, 0, 0, 0})
        '1046095c5f53425f' + // Scope (\\_SB)
        '5b8236434f4d31' + // Device (COM1)
        '085f4849440c41d00501' + // _HID PNP0501
        '085f55494401' + // _UID 1
        '085f44444e0d434f4d3100' + // _DDN "COM1"
        '085f43525311100a0d' + // _CRS, Buffer (13)
        '4701f803f8030108' + // IO (Decode16, 0x3F8, 0x3F8, 1, 8)
        '221000' + // IRQNoFlags () {4}
        '7900' + // end tag
        '5b822552544330' + // Device (RTC0)
        '085f4849440c41d00b00' + // _HID PNP0B00
        '085f43525311100a0d' + // _CRS, Buffer (13)
        '4701700070000102' + // IO (Decode16, 0x70, 0x70, 1, 2)
        '220001' + // IRQNoFlags () {8}
        '7900' +
        '5b822e50455654' + // Device (PEVT)
        '085f4849440d51454d553030303100' + // _HID "QEMU0001"
        '085f5354410a0b' + // _STA 11
        '085f435253110d0a0a' + // _CRS, Buffer (10)
        '4701050505050101' + // IO (Decode16, 0x505, 0x505, 1, 1)
        '7900',
    );
  });

  it('has a device for each virtio-mmio register page', () => {
    const dsdt = encodeDsdt(2);
    expect(sum(dsdt)).toBe(0);
    expect(hex(dsdt.subarray(36 + 14 + 3 + 5))).toBe(
      hex(encodeDsdt(0).subarray(36 + 14 + 3 + 5)) + // behind the scope's PkgLength
        '5b82410456523030' + // Device (VR00)
        '085f4849440d4c4e524f3030303500' + // _HID "LNRO0005"
        '085f55494400' + // _UID 0
        '085f43434101' + // _CCA 1
        '085f43525311' +
        '1a0a17' + // _CRS, Buffer (23)
        '86090001000000d000100000' + // Memory32Fixed (ReadWrite, 0xD0000000, 0x1000)
        '890600030110000000' + // Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) {16}
        '7900' +
        '5b82410456523031' + // Device (VR01)
        '085f4849440d4c4e524f3030303500' +
        '085f55494401' +
        '085f43434101' +
        '085f435253111a0a17' +
        '86090001001000d000100000' +
        '890600030111000000' +
        '7900',
    );
  });

  it('has room for 16 of them, VR00 to VR0F, and no more', () => {
    expect(Buffer.from(encodeDsdt(16)).includes('VR0F')).toBe(true);
    expect(hex(encodeDsdt(16).subarray(-11))).toBe('890600' + '03010f000000' + '7900');
    expect(() => encodeDsdt(17)).toThrow(RangeError);
  });
});

describe('writeAcpiTables', () => {
  it('leaves a chain from the RSDP at 0xE0000, every table checked', () => {
    const memory = new GuestMemory(new FakeRam(0x100000));
    const rsdpAddress = writeAcpiTables(memory, { cpus: 16, virtioDevices: 16 });
    expect(rsdpAddress).toBe(0xe0000);
    const table = (address: number): Uint8Array => memory.read(address, u32(memory.read(address, 8), 4));
    const xsdt = table(u64(memory.read(rsdpAddress, 36), 24));
    expect(xsdt.length).toBe(36 + 2 * 8);
    const [fadt, madt] = [table(u64(xsdt, 36)), table(u64(xsdt, 44))];
    expect([text(fadt, 0, 4), text(madt, 0, 4)]).toEqual(['FACP', 'APIC']);
    const dsdt = table(u64(fadt, 140));
    expect(text(dsdt, 0, 4)).toBe('DSDT');
    for (const each of [xsdt, fadt, madt, dsdt]) expect(sum(each)).toBe(0);
    expect(u32(fadt, 36) % 64).toBe(0);
    expect(text(memory.read(u32(fadt, 36), 64), 0, 4)).toBe('FACS');
  });
});
