/* Sums the statistics of all vCPUs for an answer, while they may go on counting. */
#include "clock.h"
#include "cpus.h"
#include "json.h"
#include "stats.h"
#include "text.h"

/* NULL for a vCPU that has not accessed anything since the last reset. */
static struct stats *current_stats(uint32_t cpu) {
  struct stats *stats = &cpu_at(cpu)->stats;
  return stats_current(stats) ? stats : NULL;
}

static const struct tally *tally_so_far(uint32_t cpu) {
  const struct stats *stats = current_stats(cpu);
  return stats == NULL ? NULL : &stats->so_far;
}

static const struct tally *tally_marked(uint32_t cpu) {
  const struct stats *stats = current_stats(cpu);
  return stats == NULL ? NULL : &stats->marked;
}

/* Which of a vCPU's tallies an answer is about. */
typedef const struct tally *tally_of(uint32_t cpu);

void stats_mark(void) {
  for (uint32_t i = 0; i < cpu_count; i++) {
    struct stats *stats = current_stats(i);
    if (stats != NULL) stats->marked = stats->so_far;
  }
}

static uint64_t in_bucket(tally_of *of, uint32_t bucket) {
  uint64_t count = 0;
  for (uint32_t i = 0; i < cpu_count; i++) {
    const struct tally *tally = of(i);
    if (tally != NULL) count += tally->buckets[bucket];
  }
  return count;
}

static void write_bucket(uint64_t upper_sixteenths, uint64_t count) {
  if (count == 0) return;
  json_array(NULL);
  json_sixteenths(NULL, upper_sixteenths);
  json_number(NULL, count);
  json_array_end();
}

/** [upper bound in us, accesses below it and not below the bound before], without the empty ones. */
static void write_histogram(tally_of *of, uint64_t accesses) {
  uint64_t slow = 0;
  for (uint32_t i = 1; i < BUCKETS; i++) slow += in_bucket(of, i);
  json_array("hist_us");
  write_bucket(BUCKETS_PER_OCTAVE, accesses > slow ? accesses - slow : 0);
  for (uint32_t i = 1; i < BUCKETS; i++) {
    const uint64_t within = (i - 1) % BUCKETS_PER_OCTAVE, octave = (i - 1) / BUCKETS_PER_OCTAVE;
    write_bucket((BUCKETS_PER_OCTAVE + within + 1) << octave, in_bucket(of, i));
  }
  json_array_end();
}

struct totals {
  uint64_t accesses, bad, stalls, longest, stalled, backwards;
};

static void add_cpu(struct totals *totals, tally_of *of, uint32_t cpu) {
  const struct tally *tally = of(cpu);
  if (tally == NULL) return;
  totals->accesses += tally->accesses;
  totals->bad += tally->bad;
  totals->stalls += tally->stalls;
  totals->stalled += tally->stalled;
  totals->backwards += tally->backwards;
  if (tally->longest > totals->longest) totals->longest = tally->longest;
}

static void write_totals(const struct totals *totals) {
  json_number("accesses", totals->accesses);
  json_number("bad", totals->bad);
  json_number("stalls", totals->stalls);
  json_number("longest_us", ticks_to_us(totals->longest));
  json_number("stalled_us", ticks_to_us(totals->stalled));
  json_number("tsc_backwards", totals->backwards);
}

static void write_cpus(tally_of *of) {
  json_array("cpus");
  for (uint32_t i = 0; i < cpu_count; i++) {
    struct totals one = {0};
    add_cpu(&one, of, i);
    json_object(NULL);
    write_totals(&one);
    json_object_end();
  }
  json_array_end();
}

static void write_report(tally_of *of, uint64_t us) {
  struct totals all = {0};
  for (uint32_t i = 0; i < cpu_count; i++) add_cpu(&all, of, i);
  json_event("report");
  json_number("us", us);
  write_totals(&all);
  write_histogram(of, all.accesses);
  write_cpus(of);
  json_end();
}

void stats_report(uint64_t us) { write_report(tally_so_far, us); }

void stats_report_marked(uint64_t us) { write_report(tally_marked, us); }

struct interval {
  uint64_t accesses, longest_us;
};

static struct interval interval_of(const struct stats *stats, uint64_t number) {
  const uint64_t under_way = stats->interval;
  if (number < stats->first_interval || number > under_way) return (struct interval){0, 0};
  if (number == under_way) return (struct interval){stats->interval_accesses, ticks_to_us(stats->interval_longest)};
  return (struct interval){stats->series_accesses[number % INTERVALS], stats->series_longest_us[number % INTERVALS]};
}

/** Accesses of all vCPUs together; the longest of any. */
static struct interval sum_interval(uint64_t number) {
  struct interval sum = {0, 0};
  for (uint32_t i = 0; i < cpu_count; i++) {
    const struct stats *stats = current_stats(i);
    if (stats == NULL) continue;
    const struct interval one = interval_of(stats, number);
    sum.accesses += one.accesses;
    if (one.longest_us > sum.longest_us) sum.longest_us = one.longest_us;
  }
  return sum;
}

static uint64_t first_interval(uint64_t now) {
  uint64_t first = now;
  for (uint32_t i = 0; i < cpu_count; i++) {
    const struct stats *stats = current_stats(i);
    if (stats != NULL && stats->first_interval < first) first = stats->first_interval;
  }
  return first;
}

/** Of the intervals the ring still holds, the first that is asked for. */
static uint64_t first_wanted(uint64_t now, uint64_t last_ms) {
  const uint64_t asked = last_ms * 1000 / INTERVAL_US;
  const uint64_t most = asked < INTERVALS ? asked : INTERVALS;
  const uint64_t first = first_interval(now);
  return now - first < most ? first : now + 1 - most;
}

void stats_series(uint64_t last_ms) {
  const uint64_t tsc = read_tsc(), now = tsc / us_to_ticks(INTERVAL_US), first = first_wanted(now, last_ms);
  json_event("series");
  json_number("interval_us", INTERVAL_US);
  json_number("start_us", first * INTERVAL_US);
  json_number("now_us", ticks_to_us(tsc));
  json_array("counts");
  for (uint64_t i = first; i <= now; i++) json_number(NULL, sum_interval(i).accesses);
  json_array_end();
  json_array("longest_us");
  for (uint64_t i = first; i <= now; i++) json_number(NULL, sum_interval(i).longest_us);
  json_array_end();
  json_end();
}
