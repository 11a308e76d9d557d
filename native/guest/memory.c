#include "memory.h"

#include <stddef.h>

#include "page-tables.h"
#include "physical.h"
#include "text.h"

extern uint8_t image_end[];

enum { MAX_RANGES = 32, MAX_MEMMAP_ENTRIES = 256 };
/* What is left of the lower half of a 48-bit address space from GUEST_BASE on. */
static const uint64_t MAX_ADDRESS = (1ull << 47) - GUEST_BASE;

static struct range ram[MAX_RANGES];
static uint32_t ram_count;
/* The part of `ram` behind the image and what was taken; the first one is where memory is taken. */
static struct range arena[MAX_RANGES];
static uint64_t arena_first_page[MAX_RANGES];
static uint32_t arena_count;
static uint64_t arena_total;

static uint64_t page_up(uint64_t address) { return (address + PAGE_BYTES - 1) & -(uint64_t)PAGE_BYTES; }
static uint64_t page_down(uint64_t address) { return address & -(uint64_t)PAGE_BYTES; }

static void insert_sorted(struct range range) {
  uint32_t i = ram_count++;
  for (; i > 0 && ram[i - 1].start > range.start; i--) ram[i] = ram[i - 1];
  ram[i] = range;
}

static void read_memmap(const struct hvm_memmap_entry *entries, uint32_t count) {
  for (uint32_t i = 0; i < count && ram_count < MAX_RANGES; i++) {
    const struct hvm_memmap_entry entry = entries[i];
    if (entry.type != MEMMAP_RAM || entry.addr >= MAX_ADDRESS || entry.size > MAX_ADDRESS - entry.addr) continue;
    const struct range range = {page_up(entry.addr), page_down(entry.addr + entry.size)};
    if (range.start < range.end) insert_sorted(range);
  }
}

static void find_room_behind_image(void) {
  const uint64_t behind = page_up(physical_of(image_end));
  for (uint32_t i = 0; i < ram_count; i++) {
    struct range range = ram[i];
    if (range.end <= behind) continue;
    if (range.start < behind) range.start = behind;
    /* Overlapping entries would give one page two numbers. */
    if (arena_count > 0 && range.start < arena[arena_count - 1].end) range.start = arena[arena_count - 1].end;
    if (range.start < range.end) arena[arena_count++] = range;
  }
}

static void number_pages(void) {
  arena_total = 0;
  for (uint32_t i = 0; i < arena_count; i++) {
    arena_first_page[i] = arena_total;
    arena_total += (arena[i].end - arena[i].start) / PAGE_BYTES;
  }
}

bool memory_init(const struct hvm_start_info *info) {
  const bool usable = info->magic == START_INFO_MAGIC && info->version >= START_INFO_MEMMAP_VERSION &&
                      info->memmap_paddr < MAPPED_AT_BOOT && info->memmap_entries <= MAX_MEMMAP_ENTRIES;
  if (!usable) return false;
  read_memmap(at_physical(info->memmap_paddr), info->memmap_entries);
  find_room_behind_image();
  number_pages();
  return arena_count > 0 && arena[0].end <= MAPPED_AT_BOOT;
}

void *memory_take_raw(uint64_t bytes) {
  struct range *from = &arena[0];
  bytes = page_up(bytes);
  /* Something must be left, so that the arena begins in the same range. */
  if (bytes >= from->end - from->start) return NULL;
  void *taken = at_physical(from->start);
  from->start += bytes;
  number_pages();
  return taken;
}

void *memory_take(uint64_t bytes) {
  void *taken = memory_take_raw(bytes);
  return taken == NULL ? NULL : memset(taken, 0, page_up(bytes));
}

bool memory_is_ram(uint64_t start, uint64_t end) {
  for (uint32_t i = 0; i < ram_count; i++)
    if (start >= ram[i].start && end <= ram[i].end) return true;
  return false;
}

void arena_init(void) {
  /* Mapping takes memory from the first range only, and that one is mapped already. */
  for (uint32_t i = 0; i < arena_count; i++)
    if (!map_ram(arena[i])) arena_count = i;
  number_pages();
}

uint64_t arena_pages(void) { return arena_total; }

uint64_t *arena_page(uint64_t page) {
  uint32_t i = 0;
  while (i + 1 < arena_count && page >= arena_first_page[i + 1]) i++;
  return at_physical(arena[i].start + (page - arena_first_page[i]) * PAGE_BYTES);
}
