/* What is written into a page, so that any lost, torn, misplaced or stale piece of it shows.
 *
 * A page is 64 lines of 64 bytes. Every word of a line follows from the seed, the page, the line and the line's
 * generation, the number of times it was rewritten; the generation can be read back from the line's first word.
 * A rewrite of the page rewrites the first line, the last line and one in between, so that these are equal: the page's
 * rewrites, the first line's generation, the last line's, and the sum of those of all lines in between.
 * The page's rewrites are also counted in a ledger outside of it, so that a whole page that is merely old shows. */
#ifndef GUEST_PATTERN_H
#define GUEST_PATTERN_H

#include <stdbool.h>
#include <stdint.h>

#include "memory.h"

enum { LINE_WORDS = 8, PAGE_LINES = PAGE_WORDS / LINE_WORDS, FIRST_LINE = 0, LAST_LINE = PAGE_LINES - 1 };
/* Those which a rewrite chooses one from. */
enum { MIDDLE_LINES = PAGE_LINES - 2 };

/** The finalizer of splitmix64 (Steele, Lea, Flood 2014): every bit of the input moves every bit of the output. */
static inline uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

static inline uint64_t page_key(uint64_t seed, uint64_t page) { return mix(seed * 0x9e3779b97f4a7c15 + page + 1); }

static inline uint64_t line_key(uint64_t page_key, uint32_t line) { return page_key + line * 0xd1342543de82ef95; }

/* Words 1-7; word 0 is key ^ generation. */
static inline uint64_t line_word(uint64_t key, uint64_t generation, uint32_t word) {
  return (key ^ generation * 0x2545f4914f6cdd1d) * (2 * word + 1);
}

static inline void write_line(uint64_t *line, uint64_t key, uint32_t generation) {
  line[0] = key ^ generation;
  for (uint32_t i = 1; i < LINE_WORDS; i++) line[i] = line_word(key, generation, i);
}

/** Checks a line against itself and reads its generation. */
static inline bool read_line(const uint64_t *line, uint64_t key, uint32_t *generation) {
  const uint64_t found = line[0] ^ key;
  uint64_t difference = found >> 32;
  for (uint32_t i = 1; i < LINE_WORDS; i++) difference |= line[i] ^ line_word(key, found, i);
  *generation = (uint32_t)found;
  return difference == 0;
}

#endif
