/* Where the guest's memory is: the byte with guest-physical address p has the virtual address GUEST_BASE + p.
 *
 * This is so in both machines the guest runs in (threads.h has the other one), for all that runs in ring 3: code, data,
 * stacks, the arena, and whatever the VMM left in RAM. The image is linked there (guest.ld) and loaded by p_paddr.
 * Under KVM the first 4 GiB are mapped one to one as well, for ring 0 and for MMIO; nothing else may count on that.
 * Read by C and by assembly, where `symbol - GUEST_BASE` is what runs in ring 0 or before paging uses. */
#ifndef GUEST_PHYSICAL_H
#define GUEST_PHYSICAL_H

/* Entry 128 of the PML4: in the lower half, and far from where processes of Linux have anything of their own. */
#define GUEST_BASE 0x400000000000
#define GUEST_BASE_PML4_INDEX 128

#ifndef __ASSEMBLER__
#include <stdint.h>

static inline void *at_physical(uint64_t address) { return (void *)(GUEST_BASE + address); }

static inline uint64_t physical_of(const void *pointer) { return (uint64_t)pointer - GUEST_BASE; }
#endif

#endif
