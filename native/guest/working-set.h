/* The first pages of the arena, filled with the pattern: filling and full verification, by all vCPUs together. */
#ifndef GUEST_WORKING_SET_H
#define GUEST_WORKING_SET_H

#include <stdbool.h>
#include <stdint.h>

struct working_set {
  uint64_t pages, seed;
  /* The most there ever were: pages behind were never written. */
  uint64_t ever_written;
  /* Rewrites of each page. */
  uint32_t *ledger;
};

struct verified {
  uint64_t bad, outside, outside_bad;
};

extern struct working_set working_set;

/** Takes memory for the ledger; false if there is none. Call before arena_init(). */
bool working_set_init(void);
/** Writes every page anew; pages <= arena_pages(). The load must not be running. */
void working_set_fill(uint64_t pages, uint64_t seed);
/** Checks every word of every page, and that up to `outside` pages never written read zero. */
struct verified working_set_verify(uint64_t outside);

#endif
