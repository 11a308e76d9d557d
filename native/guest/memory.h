/* Guest-physical memory: what the image keeps for itself, and the arena, which is all other RAM above the image. */
#ifndef GUEST_MEMORY_H
#define GUEST_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "start-info.h"

enum { PAGE_BYTES = 4096, PAGE_WORDS = PAGE_BYTES / 8 };
/* Where the static page tables end (boot-page-tables.S). */
#define MAPPED_AT_BOOT (4ull << 30)

/* Guest-physical. */
struct range {
  uint64_t start, end;
};

/** Reads the memory map; false if there is none, or no RAM behind the image. */
bool memory_init(const struct hvm_start_info *info);
/** Takes zeroed, page-aligned memory below 4 GiB from behind the image; NULL when there is no more. */
void *memory_take(uint64_t bytes);
/** Takes memory as it is. */
void *memory_take_raw(uint64_t bytes);
/** True if the memory map calls the whole range RAM. */
bool memory_is_ram(uint64_t start, uint64_t end);

/** What is left becomes the arena: call when nothing more is to be taken. */
void arena_init(void);
/** Pages the arena has, or would have if it were made now. */
uint64_t arena_pages(void);
/** The page's first word; page < arena_pages(). */
uint64_t *arena_page(uint64_t page);

#endif
