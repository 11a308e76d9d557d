/* What each vCPU notes of its own accesses: totals, a latency histogram, and a series over time.
 * It is ordinary RAM outside of the working set, and so is migrated as well. */
#ifndef GUEST_STATS_H
#define GUEST_STATS_H

#include <stdbool.h>
#include <stdint.h>

/* Bucket 0 is below 1 us; from there 16 buckets per octave, up to 2^27 us (134 s): the middle of a bucket is within 3 %
 * of everything in it, and a mean taken from the middles within 1 %. */
enum {
  OCTAVE_BITS = 4,
  BUCKETS_PER_OCTAVE = 1 << OCTAVE_BITS,
  OCTAVES = 27,
  BUCKETS = 1 + OCTAVES * BUCKETS_PER_OCTAVE
};
/* 60 s of 10 ms. */
enum { INTERVAL_US = 10 * 1000, INTERVALS = 6000 };

struct tally {
  uint64_t accesses, bad, stalls;
  /* In TSC ticks; longest is 0 below 1 us. */
  uint64_t longest, stalled;
  /* Accesses that ended before they began: the TSC went back. */
  uint64_t backwards;
  uint64_t buckets[BUCKETS];
};

struct stats {
  /* Valid only while it is the current one: stats_reset_all() makes a new one. */
  uint32_t epoch;
  struct tally so_far;
  /* As it was at the mark. */
  struct tally marked;

  /* The interval that is under way (its number is TSC / ticks per interval), and the ones before it. */
  uint64_t first_interval, interval, interval_end;
  uint32_t interval_accesses;
  uint64_t interval_longest;
  uint32_t series_accesses[INTERVALS];
  uint32_t series_longest_us[INTERVALS];
};

extern uint32_t stats_epoch;
extern uint64_t stats_us_ticks, stats_stall_ticks;

/** Accesses longer than stall_us count as stalls from now on. */
void stats_init(uint64_t stall_us);
/** Makes all vCPUs begin again, each at its next access. */
void stats_reset_all(void);
void stats_clear(struct stats *stats, uint64_t now);
void stats_next_interval(struct stats *stats, uint64_t now);
void stats_record_slow(struct stats *stats, uint64_t ticks);

static inline bool stats_current(const struct stats *stats) {
  return stats->epoch == __atomic_load_n(&stats_epoch, __ATOMIC_RELAXED);
}

/** Notes one access. Millions of them a second: no division unless it took a microsecond. */
static inline void stats_record(struct stats *stats, uint64_t start, uint64_t end) {
  uint64_t ticks = end - start;
  if (__builtin_expect((int64_t)ticks < 0, 0)) {
    stats->so_far.backwards++;
    ticks = 0;
    stats_next_interval(stats, end);
  }
  if (__builtin_expect(end >= stats->interval_end, 0)) stats_next_interval(stats, end);
  stats->so_far.accesses++;
  stats->interval_accesses++;
  if (__builtin_expect(ticks >= stats_us_ticks, 0)) stats_record_slow(stats, ticks);
}

/** Answers `report`; `us` is how long the load ran. */
void stats_report(uint64_t us);
/** Keeps what the tallies are now: to print them takes tens of milliseconds, in which this vCPU does not work. */
void stats_mark(void);
/** Answers `report` with what they were then. */
void stats_report_marked(uint64_t us);
/** Answers `series`, at most the last `last_ms` of it. */
void stats_series(uint64_t last_ms);

#endif
