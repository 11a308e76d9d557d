/* The PVH boot information (xen/include/public/arch-x86/hvm/start_info.h). */
#ifndef GUEST_START_INFO_H
#define GUEST_START_INFO_H

#include <stdint.h>

enum { START_INFO_MAGIC = 0x336ec578, START_INFO_MEMMAP_VERSION = 1, MEMMAP_RAM = 1 };

struct hvm_start_info {
  uint32_t magic, version, flags, nr_modules;
  uint64_t modlist_paddr, cmdline_paddr, rsdp_paddr;
  uint64_t memmap_paddr; /* version 1 and on, as is all below */
  uint32_t memmap_entries, reserved;
};

struct hvm_memmap_entry {
  uint64_t addr, size;
  uint32_t type, reserved;
};

#endif
