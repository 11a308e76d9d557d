/* Pages found wrong, by any vCPU; vCPU 0 reports the first few. */
#ifndef GUEST_BAD_PAGES_H
#define GUEST_BAD_PAGES_H

#include <stdint.h>

struct bad_page {
  uint64_t page;
  /* "words" a line contradicts itself, "generation" it is not the page's, "sum" of the lines, "outside" not zero. */
  const char *what;
  uint32_t line;
  /* Of the first wrong word, or of generations. */
  uint64_t expected, found;
};

/** Forgets those found so far; no other vCPU may be looking. */
void bad_pages_clear(void);
void bad_pages_add(struct bad_page bad);
/** Finds the first wrong word of a line that contradicts itself. */
void bad_pages_add_line(uint64_t page, uint32_t line, const uint64_t *words, uint64_t key, uint32_t generation);
/** Writes an event for each that has none yet. vCPU 0 only. */
void bad_pages_report(void);

#endif
