import { GIB, MIB, PAGE_SIZE } from './page-size.js';

/*
 * Every guest-physical address and every port of the machine.
 *
 *   0 ................ 640 KiB   boot information, then free for the guest
 *   640 KiB ............ 1 MiB   legacy area: RAM behind it, but the guest is told to keep out; ACPI tables at its top
 *   1 MiB .............. 3 GiB   RAM
 *   3 GiB .............. 4 GiB   hole: virtio-mmio devices, interrupt controllers, KVM's own pages
 *   4 GiB ...                    the rest of RAM
 */

/** Smallest guest: boot information, page tables and a small kernel need less, anything real needs more. */
export const MEMORY_BYTES_MIN = 64 * MIB;

/** RAM begins here and goes on to the hole or to its end. */
const RAM_START = 0;
/** The hole for devices below 4 GiB begins here. */
export const HOLE_START = 3 * GIB;
/** The hole ends here, and the RAM that did not fit below it continues. */
export const HOLE_END = 4 * GIB;

/** The five descriptors of the boot GDT; just above the BIOS data area, which kernels read as such. */
export const GDT_ADDRESS = 0x500;
/** PVH: struct hvm_start_info, 56 bytes. */
export const PVH_START_INFO_ADDRESS = 0x6000;
/** PVH: struct hvm_modlist_entry, at most one (the initrd). */
export const PVH_MODULE_LIST_ADDRESS = 0x6040;
/** PVH: array of struct hvm_memmap_table_entry. */
export const PVH_MEMORY_MAP_ADDRESS = 0x6100;
/** bzImage: struct boot_params, the "zero page". */
export const ZERO_PAGE_ADDRESS = 0x7000;
/** Top of a small stack for boot code that pushes before it sets one up. */
export const BOOT_STACK_TOP = 0x8ff0;
/** Boot page tables: one PML4, one page-directory-pointer table, four page directories. */
export const PAGE_TABLES_ADDRESS = 0x9000;
export const PAGE_TABLES_BYTES = 6 * PAGE_SIZE;
/** The kernel command line with its NUL. */
export const CMDLINE_ADDRESS = 0x20000;
/** Room for the command line and its NUL. */
export const CMDLINE_AREA_BYTES = 0x10000;
/** Conventional memory ends here: the last KiB below 640 KiB is where a BIOS keeps its extended data area. */
const CONVENTIONAL_MEMORY_END = 0x9fc00;
/** ACPI tables, the RSDP first: kernels that are not told its address scan 0xE0000-0xFFFFF for it (ACPI 6.5, 5.2.5.1). */
export const ACPI_AREA_START = 0xe0000;
/** End of the ACPI area and of the legacy area. */
export const ACPI_AREA_END = 0x100000;
/** Kernels and initrds are loaded from here up. */
export const HIGH_MEMORY_START = 0x100000;

/** Registers of the first virtio-mmio device; the others follow, a page each. */
export const VIRTIO_MMIO_START = 0xd0000000;
/** Registers and configuration space of one virtio-mmio device. */
export const VIRTIO_MMIO_BYTES = 0x1000;

/** The I/O APIC's registers, in KVM. */
export const IOAPIC_ADDRESS = 0xfec00000;
/** Each vCPU's local APIC, in KVM. */
export const LAPIC_ADDRESS = 0xfee00000;
/** One page for KVM's identity map (KVM_SET_IDENTITY_MAP_ADDR), used on Intel hosts without unrestricted guest. */
export const KVM_IDENTITY_MAP_ADDRESS = 0xfffbc000;
/** Three pages for KVM's real-mode TSS (KVM_SET_TSS_ADDR), right behind the identity map. */
export const KVM_TSS_ADDRESS = 0xfffbd000;

/** COM1, a 16550A: eight ports. */
export const COM1_PORT = 0x3f8;
export const COM1_PORTS = 8;
/** The keyboard controller's command port; only "pulse the reset line" is listened to. */
export const KEYBOARD_COMMAND_PORT = 0x64;
/** Real-time clock and CMOS memory: index, then data. */
export const CMOS_PORT = 0x70;
export const CMOS_PORTS = 2;
/** Where the guest's kernel says that it has panicked: QEMU's pvpanic. */
export const PVPANIC_PORT = 0x505;
/** PM1a event block: status, then enable, two bytes each. */
export const PM1A_EVENT_PORT = 0x600;
export const PM1A_EVENT_PORTS = 4;
/** PM1a control block. */
export const PM1A_CONTROL_PORT = 0x604;
export const PM1A_CONTROL_PORTS = 2;
/** Power-management timer. */
export const PM_TIMER_PORT = 0x608;
export const PM_TIMER_PORTS = 4;
/** Reset control register, as on PCI chipsets. It shares its address with the middle of CONFIG_ADDRESS (0xCF8). */
export const RESET_CONTROL_PORT = 0xcf9;

/** COM1's interrupt: ISA IRQ 4, edge. */
export const COM1_GSI = 4;
/** The real-time clock's: ISA IRQ 8, edge. */
export const RTC_GSI = 8;
/** ACPI's system control interrupt: level, active high. */
export const SCI_GSI = 9;
/** The I/O APIC pin of ISA IRQ 0, the PIT, as on every PC; pin 0 is the 8259's. */
export const TIMER_IOAPIC_PIN = 2;
/** Pins of KVM's I/O APIC. */
export const IOAPIC_PINS = 24;

/**
 * Interrupts of virtio-mmio devices in their order, each an edge: first the pins that no ISA device ever had,
 * then the ISA ones that are free here. Their number is the number of devices a machine can have.
 */
export const VIRTIO_GSIS: readonly number[] = [16, 17, 18, 19, 20, 21, 22, 23, 5, 10, 11, 12, 6, 7, 14, 15];

/**
 * Linear address of guest-physical byte 0 for postcopy's own guest in ring 3, and where a machine of threads has its RAM: in
 * every process, with nothing between its bytes (GUEST_BASE of native/guest/physical.h).
 */
export const GUEST_BASE = 2 ** 46;

/** A stretch of guest RAM, contiguous in guest-physical addresses and in the RAM backing. */
export interface RamRegion {
  guestAddress: number;
  ramOffset: number;
  bytes: number;
}

/** Guest RAM of `memoryBytes` in order: one region, or two when it goes beyond the hole. */
export function ramRegions(memoryBytes: number): RamRegion[] {
  const low: RamRegion = { guestAddress: RAM_START, ramOffset: 0, bytes: lowMemoryEnd(memoryBytes) };
  const above = memoryBytes - low.bytes;
  return above === 0 ? [low] : [low, { guestAddress: HOLE_END, ramOffset: low.bytes, bytes: above }];
}

/** The guest address of a byte of the RAM backing. */
export function guestAddressOf(memoryBytes: number, ramOffset: number): number {
  const low = lowMemoryEnd(memoryBytes);
  return ramOffset < low ? ramOffset : HOLE_END + (ramOffset - low);
}

/** Where the RAM below the hole ends. */
export function lowMemoryEnd(memoryBytes: number): number {
  return Math.min(memoryBytes, HOLE_START);
}

/**
 * Offset in the RAM backing of the `length` bytes at `guestAddress`.
 * Throws RangeError unless all of them are RAM of one region; a length of 0 needs a valid address too.
 */
export function ramOffsetOf(memoryBytes: number, guestAddress: number, length: number): number {
  if (isCount(guestAddress) && isCount(length)) {
    for (const region of ramRegions(memoryBytes)) {
      const into = guestAddress - region.guestAddress;
      if (into >= 0 && into <= region.bytes && length <= region.bytes - into) return region.ramOffset + into;
    }
  }
  throw new RangeError(`guest addresses ${hex(guestAddress)} + ${length} bytes are not all RAM`);
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}

/** Address range types of ACPI 6.5, table 15.4, which e820 and PVH share. */
const MEMORY_TYPE_RAM = 1;
const MEMORY_TYPE_RESERVED = 2;
const MEMORY_TYPE_ACPI = 3;

export interface MemoryMapEntry {
  guestAddress: number;
  bytes: number;
  type: number;
}

/** What the guest is told about its address space, ascending, without overlaps. */
export function memoryMap(memoryBytes: number): MemoryMapEntry[] {
  const map = [
    ...legacyMap(),
    entry(HIGH_MEMORY_START, lowMemoryEnd(memoryBytes), MEMORY_TYPE_RAM),
    // No RAM there, but a guest must not map devices over KVM's pages either.
    entry(KVM_IDENTITY_MAP_ADDRESS, HOLE_END, MEMORY_TYPE_RESERVED),
  ];
  for (const region of ramRegions(memoryBytes).slice(1)) {
    map.push({ guestAddress: region.guestAddress, bytes: region.bytes, type: MEMORY_TYPE_RAM });
  }
  return map;
}

/** The same for a machine of threads: there are no devices in its address space, and so no hole. */
export function flatMemoryMap(memoryBytes: number): MemoryMapEntry[] {
  return [...legacyMap(), entry(HIGH_MEMORY_START, memoryBytes, MEMORY_TYPE_RAM)];
}

function legacyMap(): MemoryMapEntry[] {
  return [
    entry(RAM_START, CONVENTIONAL_MEMORY_END, MEMORY_TYPE_RAM),
    entry(CONVENTIONAL_MEMORY_END, ACPI_AREA_START, MEMORY_TYPE_RESERVED),
    entry(ACPI_AREA_START, ACPI_AREA_END, MEMORY_TYPE_ACPI),
  ];
}

function entry(start: number, end: number, type: number): MemoryMapEntry {
  return { guestAddress: start, bytes: end - start, type };
}
