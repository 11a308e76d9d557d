#include "stats.h"

#include "clock.h"
#include "text.h"

uint32_t stats_epoch = 1;
uint64_t stats_us_ticks, stats_stall_ticks;

static uint64_t ticks_per_interval(void) { return us_to_ticks(INTERVAL_US); }

void stats_init(uint64_t stall_us) {
  stats_us_ticks = us_to_ticks(1);
  stats_stall_ticks = us_to_ticks(stall_us);
}

void stats_reset_all(void) { __atomic_fetch_add(&stats_epoch, 1, __ATOMIC_RELAXED); }

static void begin_interval(struct stats *stats, uint64_t number) {
  stats->interval = number;
  stats->interval_end = (number + 1) * ticks_per_interval();
  stats->interval_accesses = 0;
  stats->interval_longest = 0;
}

void stats_clear(struct stats *stats, uint64_t now) {
  memset(&stats->so_far, 0, sizeof stats->so_far);
  memset(&stats->marked, 0, sizeof stats->marked);
  stats->first_interval = now / ticks_per_interval();
  begin_interval(stats, stats->first_interval);
  stats->epoch = __atomic_load_n(&stats_epoch, __ATOMIC_RELAXED);
}

static void put_interval(struct stats *stats, uint64_t number, uint32_t accesses, uint64_t longest) {
  const uint64_t us = ticks_to_us(longest);
  stats->series_accesses[number % INTERVALS] = accesses;
  stats->series_longest_us[number % INTERVALS] = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

void stats_next_interval(struct stats *stats, uint64_t now) {
  const uint64_t next = now / ticks_per_interval();
  if (next == stats->interval) return;
  if (next < stats->interval) { /* the TSC went back: the series begins again */
    stats->first_interval = next;
    return begin_interval(stats, next);
  }
  put_interval(stats, stats->interval, stats->interval_accesses, stats->interval_longest);
  /* Nothing ended in those in between. More than the ring holds need not be cleared twice. */
  uint64_t skipped = stats->interval + 1;
  if (next - skipped > INTERVALS) skipped = next - INTERVALS;
  for (; skipped < next; skipped++) put_interval(stats, skipped, 0, 0);
  begin_interval(stats, next);
}

static uint32_t bucket_of(uint64_t sixteenths) {
  const uint32_t top_bit = 63 - (uint32_t)__builtin_clzll(sixteenths | BUCKETS_PER_OCTAVE);
  const uint32_t octave = top_bit - OCTAVE_BITS;
  const uint32_t within = (uint32_t)(sixteenths >> octave) % BUCKETS_PER_OCTAVE;
  const uint32_t bucket = 1 + octave * BUCKETS_PER_OCTAVE + within;
  return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

void stats_record_slow(struct stats *stats, uint64_t ticks) {
  stats->so_far.buckets[bucket_of(ticks_to_sixteenth_us(ticks))]++;
  if (ticks > stats->so_far.longest) stats->so_far.longest = ticks;
  if (ticks > stats->interval_longest) stats->interval_longest = ticks;
  if (ticks <= stats_stall_ticks) return;
  stats->so_far.stalls++;
  stats->so_far.stalled += ticks;
}
