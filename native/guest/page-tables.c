#include "page-tables.h"

#include <stddef.h>

#include "physical.h"

/* SDM volume 3, 4.5: four-level paging, here with 2 MiB pages. */
enum { PRESENT = 1 << 0, WRITABLE = 1 << 1, USER = 1 << 2, LARGE = 1 << 7 };
enum { ENTRIES = 512 };
static const uint64_t BYTES_PER_PDE = 2ull << 20, BYTES_PER_PDPTE = 1ull << 30, BYTES_PER_PML4E = 512ull << 30;
static const uint64_t ADDRESS_BITS = 0x000ffffffffff000;

extern uint64_t boot_pml4[];

/* An entry that was not present is never cached by the TLB, so adding entries needs no flush. */
static uint64_t *next_table(uint64_t *entry) {
  if (!(*entry & PRESENT)) {
    uint64_t *table = memory_take(PAGE_BYTES);
    if (table == NULL) return NULL;
    *entry = physical_of(table) | PRESENT | WRITABLE | USER;
  }
  return at_physical(*entry & ADDRESS_BITS);
}

/* The directory is filled before it is linked: hosts that shadow page tables trap writes to linked ones. */
static bool map_gib(uint64_t base) {
  uint64_t *pdpt = next_table(&boot_pml4[GUEST_BASE_PML4_INDEX + base / BYTES_PER_PML4E]);
  if (pdpt == NULL) return false;
  uint64_t *entry = &pdpt[base / BYTES_PER_PDPTE % ENTRIES];
  if (*entry & PRESENT) return true;
  uint64_t *directory = memory_take_raw(PAGE_BYTES);
  if (directory == NULL) return false;
  for (uint64_t i = 0; i < ENTRIES; i++) directory[i] = (base + i * BYTES_PER_PDE) | PRESENT | WRITABLE | USER | LARGE;
  *entry = physical_of(directory) | PRESENT | WRITABLE | USER;
  return true;
}

bool map_ram(struct range range) {
  for (uint64_t base = range.start & -BYTES_PER_PDPTE; base < range.end; base += BYTES_PER_PDPTE)
    if (!map_gib(base)) return false;
  return true;
}
