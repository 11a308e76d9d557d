#include "bad-pages.h"

#include "json.h"
#include "pattern.h"
#include "physical.h"

/* One fault of the VMM easily makes thousands of bad pages; a few tell what happened. */
enum { MAX_REPORTED = 16 };

static struct {
  struct bad_page bad;
  uint32_t ready;
} records[MAX_REPORTED];
static uint32_t record_count, reported_count;

void bad_pages_clear(void) {
  for (uint32_t i = 0; i < MAX_REPORTED; i++) records[i].ready = 0;
  reported_count = 0;
  __atomic_store_n(&record_count, 0, __ATOMIC_RELEASE);
}

void bad_pages_add(struct bad_page bad) {
  if (__atomic_load_n(&record_count, __ATOMIC_RELAXED) >= MAX_REPORTED) return;
  const uint32_t i = __atomic_fetch_add(&record_count, 1, __ATOMIC_RELAXED);
  if (i >= MAX_REPORTED) return;
  records[i].bad = bad;
  __atomic_store_n(&records[i].ready, 1, __ATOMIC_RELEASE);
}

void bad_pages_add_line(uint64_t page, uint32_t line, const uint64_t *words, uint64_t key, uint32_t generation) {
  struct bad_page bad = {page, "words", line, key ^ generation, words[0]};
  const uint64_t written = words[0] ^ key;
  if (written >> 32 == 0) {
    uint32_t i = 1;
    while (i + 1 < LINE_WORDS && words[i] == line_word(key, written, i)) i++;
    bad.expected = line_word(key, written, i);
    bad.found = words[i];
  }
  bad_pages_add(bad);
}

void bad_pages_report(void) {
  while (reported_count < MAX_REPORTED && __atomic_load_n(&records[reported_count].ready, __ATOMIC_ACQUIRE)) {
    const struct bad_page *bad = &records[reported_count++].bad;
    json_event("bad");
    json_number("page", bad->page);
    json_hex("address", physical_of(arena_page(bad->page)));
    json_text("what", bad->what);
    json_number("line", bad->line);
    json_hex("expected", bad->expected);
    json_hex("found", bad->found);
    json_end();
  }
}
