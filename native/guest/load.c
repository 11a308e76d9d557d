#include "load.h"

#include "bad-pages.h"
#include "clock.h"
#include "cpus.h"
#include "pattern.h"
#include "stats.h"
#include "working-set.h"

/* Nine of ten accesses go to one of ten pages, and those lie in runs, as hot pages of programs do. */
enum { COLD_ONE_OF = 10, HOT_ONE_OF = 10, HOT_RUN = 16 };
enum { STANDSTILL_US = 1000 };

static struct load_options options;
static uint64_t rate_ticks;
static uint32_t stopping = 1;
static uint64_t started_at, stopped_at;
/* 0 if there was none, or something else since. */
static uint64_t slice_ended_at;

/* xorshift64* (Vigna 2014); its state is never 0. */
static uint64_t next_random(struct cpu *cpu) {
  uint64_t x = cpu->random;
  x ^= x >> 12;
  x ^= x << 25;
  x ^= x >> 27;
  cpu->random = x;
  return x * 0x2545f4914f6cdd1d;
}

/** A number below `limit` from the upper bits of a random one. */
static uint64_t below(uint64_t limit, uint64_t random) { return (uint64_t)((unsigned __int128)random * limit >> 64); }

/* A vCPU has the pages whose number is its index modulo the vCPUs, so that no two of them write one page. */
static uint64_t share_of(const struct cpu *cpu) {
  return (working_set.pages + options.cpus - 1 - cpu->index) / options.cpus;
}

static uint64_t hot_cold(struct cpu *cpu, uint64_t share, uint64_t random) {
  const uint64_t hot_pages = share / HOT_ONE_OF;
  if (below(COLD_ONE_OF, next_random(cpu)) == 0 || hot_pages == 0) return below(share, random);
  const uint64_t hot = below(hot_pages, random);
  return hot / HOT_RUN * (HOT_RUN * HOT_ONE_OF) + hot % HOT_RUN;
}

static uint64_t choose_page(struct cpu *cpu, uint64_t random) {
  const uint64_t share = share_of(cpu);
  uint64_t n;
  switch (options.pattern) {
    case LOAD_SEQUENTIAL:
      n = cpu->position = cpu->position + 1 < share ? cpu->position + 1 : 0;
      break;
    case LOAD_HOT_COLD:
      n = hot_cold(cpu, share, random);
      break;
    case LOAD_WARM:
      n = 0;
      break;
    default:
      n = below(share, random);
  }
  return n * options.cpus + cpu->index;
}

/** Checks three lines of a page; false, and reported, if one is wrong. */
static bool check_lines(uint64_t page, const uint64_t *words, uint64_t key, const uint32_t *lines,
                        uint32_t *generation) {
  const uint32_t rewrites = working_set.ledger[page];
  for (uint32_t i = 0; i < 3; i++) {
    const uint64_t *at = words + lines[i] * LINE_WORDS, at_key = line_key(key, lines[i]);
    if (__builtin_expect(read_line(at, at_key, &generation[i]), 1)) continue;
    bad_pages_add_line(page, lines[i], at, at_key, rewrites);
    return false;
  }
  if (__builtin_expect(generation[0] == rewrites && generation[1] == rewrites, 1)) return true;
  const uint32_t wrong = generation[0] == rewrites ? 1 : 0;
  bad_pages_add((struct bad_page){page, "generation", lines[wrong], rewrites, generation[wrong]});
  return false;
}

static void rewrite(uint64_t page, uint64_t *words, uint64_t key, const uint32_t *lines, const uint32_t *generation) {
  for (uint32_t i = 0; i < 3; i++)
    write_line(words + lines[i] * LINE_WORDS, line_key(key, lines[i]), generation[i] + 1);
  working_set.ledger[page] = generation[0] + 1;
}

/** One access. A page found wrong stays as it is: rewriting it would hide it from verification. */
static void access_page(struct cpu *cpu) {
  const uint64_t random = next_random(cpu), page = choose_page(cpu, random);
  const uint32_t middle = 1 + (uint32_t)((random & 0xffff) * MIDDLE_LINES >> 16);
  const uint32_t lines[3] = {FIRST_LINE, LAST_LINE, middle};
  const uint64_t key = page_key(working_set.seed, page);
  const bool writes = ((random >> 16) & 0xffff) * 100 >> 16 < options.write_percent;
  uint64_t *words = arena_page(page);
  uint32_t generation[3];
  if (!check_lines(page, words, key, lines, generation))
    cpu->stats.so_far.bad++;
  else if (writes)
    rewrite(page, words, key, lines, generation);
}

static bool is_stopping(void) { return __atomic_load_n(&stopping, __ATOMIC_ACQUIRE) != 0; }

/* vCPU 0 works for a slice of time; the others, and all of them if the TSC goes back, must not wait for an absolute
 * time: a migration may set the TSC to anything. */
struct slice {
  uint64_t start, ticks;
};

static bool is_over(struct slice slice, uint64_t now) { return now - slice.start >= slice.ticks || is_stopping(); }

/** Waits for the next access at a given rate. After a stall it goes on from there and does not catch up. */
static bool wait_until_due(struct cpu *cpu, struct slice slice) {
  uint64_t now = read_tsc();
  for (; cpu->due - now - 1 < rate_ticks; now = read_tsc()) {
    if (is_over(slice, now)) return false;
    const uint64_t due_in = cpu->due - now, left = slice.ticks - (now - slice.start);
    wait_part(due_in < left ? due_in : left);
  }
  cpu->due = (now - cpu->due < rate_ticks ? cpu->due : now) + rate_ticks;
  return true;
}

/* At full speed an access begins where the last one ended, so that stalls of the bookkeeping count as well. */
static void access_for(struct cpu *cpu, uint64_t ticks) {
  uint64_t end = read_tsc();
  const struct slice slice = {end, ticks};
  while (!is_over(slice, end)) {
    if (rate_ticks != 0 && !wait_until_due(cpu, slice)) return;
    const uint64_t start = rate_ticks != 0 ? read_tsc() : end;
    if (!stats_current(&cpu->stats)) stats_clear(&cpu->stats, start);
    access_page(cpu);
    end = read_tsc();
    stats_record(&cpu->stats, start, end);
  }
}

static void load_job(struct cpu *cpu) {
  if (cpu->index < options.cpus) access_for(cpu, UINT64_MAX);
}

void load_start(const struct load_options *wanted) {
  options = *wanted;
  rate_ticks = options.rate == 0 ? 0 : tsc_khz * 1000 / options.rate;
  for (uint32_t i = 0; i < cpu_count; i++) {
    cpu_at(i)->random = mix(working_set.seed + i + 1) | 1;
    cpu_at(i)->position = UINT64_MAX - 1; /* the first page is 0 */
    cpu_at(i)->due = 0;
  }
  bad_pages_clear();
  stopping = 0;
  load_reset_stats();
  job_post(load_job);
}

static void note_standstill(struct stats *stats, uint64_t since) {
  const uint64_t now = read_tsc();
  if (since == 0 || now - since < us_to_ticks(STANDSTILL_US)) return;
  if (!stats_current(stats)) stats_clear(stats, since);
  stats_record(stats, since, now);
}

void load_slice(uint64_t us) {
  note_standstill(&cpu_at(0)->stats, slice_ended_at);
  access_for(cpu_at(0), us_to_ticks(us));
  slice_ended_at = read_tsc();
}

void load_was_busy(void) { slice_ended_at = 0; }

bool load_running(void) { return !is_stopping(); }

void load_stop(void) {
  if (!load_running()) return;
  stopped_at = read_tsc();
  __atomic_store_n(&stopping, 1, __ATOMIC_RELEASE);
  job_wait();
}

uint64_t load_us(void) { return ticks_to_us((load_running() ? read_tsc() : stopped_at) - started_at); }

void load_reset_stats(void) {
  started_at = stopped_at = read_tsc();
  stats_reset_all();
}

uint64_t load_accesses(void) {
  uint64_t accesses = 0;
  for (uint32_t i = 0; i < cpu_count; i++)
    if (stats_current(&cpu_at(i)->stats)) accesses += cpu_at(i)->stats.so_far.accesses;
  return accesses;
}
