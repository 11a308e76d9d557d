/* The first 4 GiB mapped one to one with 2 MiB pages, complete in the image so that ring 0 builds nothing.
 * RAM above is added by page-tables.c from ring 3. Ring 3 has the same tables once more, at GUEST_BASE. */
#include "physical.h"

#define PRESENT (1 << 0)
#define WRITABLE (1 << 1)
#define USER (1 << 2)
#define CACHE_DISABLE (1 << 4)
#define LARGE (1 << 7)
#define TABLE (PRESENT | WRITABLE | USER)
#define PAGE_2M 0x200000
#define LAPIC_BASE 0xfee00000

        .section .data, "aw"
        .balign 4096
        .globl boot_pml4
boot_pml4:
        .quad boot_pdpt - GUEST_BASE + TABLE
        .skip (GUEST_BASE_PML4_INDEX - 1) * 8
        .quad boot_pdpt - GUEST_BASE + TABLE
        .skip (511 - GUEST_BASE_PML4_INDEX) * 8
        .globl boot_pdpt
boot_pdpt:
        .quad boot_pds - GUEST_BASE + TABLE
        .quad boot_pds - GUEST_BASE + 0x1000 + TABLE
        .quad boot_pds - GUEST_BASE + 0x2000 + TABLE
        .quad boot_pds - GUEST_BASE + 0x3000 + TABLE
        .skip 508 * 8
boot_pds:
        .set address, 0
        .rept 4 * 512
        .if address == LAPIC_BASE
        .quad address + (TABLE | LARGE | CACHE_DISABLE)
        .else
        .quad address + (TABLE | LARGE)
        .endif
        .set address, address + PAGE_2M
        .endr
