#include "working-set.h"

#include <stddef.h>

#include "bad-pages.h"
#include "cpus.h"
#include "memory.h"
#include "pattern.h"

/* Pages a vCPU takes at a time. */
enum { CHUNK = 256 };

struct working_set working_set;
static uint64_t next_page, bad_count;

bool working_set_init(void) {
  working_set.ledger = memory_take_raw(arena_pages() * sizeof(uint32_t));
  return working_set.ledger != NULL;
}

/** The next pages nobody has taken; false when all are taken. */
static bool take_chunk(struct range *chunk) {
  chunk->start = __atomic_fetch_add(&next_page, CHUNK, __ATOMIC_RELAXED);
  chunk->end = chunk->start + CHUNK < working_set.pages ? chunk->start + CHUNK : working_set.pages;
  return chunk->start < working_set.pages;
}

static void fill_page(uint64_t page) {
  uint64_t *words = arena_page(page);
  const uint64_t key = page_key(working_set.seed, page);
  for (uint32_t line = 0; line < PAGE_LINES; line++) write_line(words + line * LINE_WORDS, line_key(key, line), 0);
  working_set.ledger[page] = 0;
}

static void fill_job(struct cpu *cpu) {
  struct range chunk;
  (void)cpu;
  while (take_chunk(&chunk))
    for (uint64_t page = chunk.start; page < chunk.end; page++) fill_page(page);
}

void working_set_fill(uint64_t pages, uint64_t seed) {
  working_set.pages = pages;
  working_set.seed = seed;
  if (pages > working_set.ever_written) working_set.ever_written = pages;
  bad_pages_clear();
  next_page = 0;
  job_run(fill_job);
}

static bool generation_is(uint64_t page, uint32_t line, uint64_t expected, uint64_t found) {
  if (expected == found) return true;
  bad_pages_add((struct bad_page){page, "generation", line, expected, found});
  return false;
}

static bool verify_page(uint64_t page) {
  const uint64_t *words = arena_page(page), key = page_key(working_set.seed, page);
  const uint32_t rewrites = working_set.ledger[page];
  uint32_t generation[PAGE_LINES];
  uint64_t sum = 0;
  for (uint32_t line = 0; line < PAGE_LINES; line++) {
    const uint64_t *at = words + line * LINE_WORDS;
    if (!read_line(at, line_key(key, line), &generation[line])) {
      bad_pages_add_line(page, line, at, line_key(key, line), rewrites);
      return false;
    }
    if (line != FIRST_LINE && line != LAST_LINE) sum += generation[line];
  }
  if (!generation_is(page, FIRST_LINE, rewrites, generation[FIRST_LINE])) return false;
  if (!generation_is(page, LAST_LINE, rewrites, generation[LAST_LINE])) return false;
  if (sum == rewrites) return true;
  bad_pages_add((struct bad_page){page, "sum", FIRST_LINE + 1, rewrites, sum});
  return false;
}

static void verify_job(struct cpu *cpu) {
  struct range chunk;
  uint64_t bad = 0;
  (void)cpu;
  while (take_chunk(&chunk))
    for (uint64_t page = chunk.start; page < chunk.end; page++) bad += !verify_page(page);
  __atomic_fetch_add(&bad_count, bad, __ATOMIC_RELAXED);
}

static bool page_is_zero(uint64_t page) {
  const uint64_t *words = arena_page(page);
  for (uint32_t i = 0; i < PAGE_WORDS; i++) {
    if (words[i] == 0) continue;
    bad_pages_add((struct bad_page){page, "outside", i / LINE_WORDS, 0, words[i]});
    return false;
  }
  return true;
}

/** Looks at pages spread evenly over those never written. */
static void verify_outside(uint64_t wanted, struct verified *result) {
  const uint64_t never_written = arena_pages() - working_set.ever_written;
  result->outside = wanted < never_written ? wanted : never_written;
  if (result->outside == 0) return;
  const uint64_t step = never_written / result->outside;
  for (uint64_t i = 0; i < result->outside; i++)
    result->outside_bad += !page_is_zero(working_set.ever_written + i * step);
}

struct verified working_set_verify(uint64_t outside) {
  struct verified result = {0, 0, 0};
  bad_pages_clear();
  next_page = bad_count = 0;
  job_run(verify_job);
  verify_outside(outside, &result);
  result.bad = bad_count;
  return result;
}
