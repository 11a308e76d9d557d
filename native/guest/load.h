/* The load: every vCPU reads, checks and rewrites pages of its own share of the working set. */
#ifndef GUEST_LOAD_H
#define GUEST_LOAD_H

#include <stdbool.h>
#include <stdint.h>

enum load_pattern { LOAD_UNIFORM, LOAD_SEQUENTIAL, LOAD_HOT_COLD, LOAD_WARM };

struct load_options {
  enum load_pattern pattern;
  /* Accesses per second and vCPU; 0 for as many as there can be. */
  uint64_t rate;
  /* How many accesses of a hundred rewrite the page. */
  uint64_t write_percent;
  /* vCPUs that take part, from vCPU 0 on. */
  uint64_t cpus;
};

/** Starts it on the other vCPUs; vCPU 0 takes part by load_slice(). The load must not be running. */
void load_start(const struct load_options *options);
/** vCPU 0's part, for so many microseconds. What comes between two slices is no part of the load, but where it takes a
 * millisecond the vCPU stood still meanwhile: that is noted like an access. */
void load_slice(uint64_t us);
/** What vCPU 0 did since the last slice takes its time: it did not stand still. */
void load_was_busy(void);
bool load_running(void);
/** Stops it if it is running, and waits until all vCPUs have. */
void load_stop(void);
/** Microseconds since the statistics were reset, or between that and the stop. */
uint64_t load_us(void);
void load_reset_stats(void);
/** Accesses of all vCPUs since the statistics were reset. */
uint64_t load_accesses(void);

#endif
