/* The time stamp counter is the only clock: reading it costs no exit. */
#ifndef GUEST_CLOCK_H
#define GUEST_CLOCK_H

#include <stdint.h>

extern uint64_t tsc_khz;

/* Not serialising: an access that faults retires before the rdtsc behind it all the same, and anything shorter than
 * a page fault is of no interest here. A fence would halve the accesses per second. */
static inline uint64_t read_tsc(void) {
  uint32_t low, high;
  __asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
  return (uint64_t)high << 32 | low;
}

static inline uint64_t us_to_ticks(uint64_t us) { return us * tsc_khz / 1000; }

/** Sets tsc_khz from `tsc_khz=` in options, CPUID 0x40000010, CPUID 0x15, or by measuring against the PIT. */
void clock_init(const char *options);
uint64_t ticks_to_us(uint64_t ticks);
/** Ticks in units of a sixteenth of a microsecond. */
uint64_t ticks_to_sixteenth_us(uint64_t ticks);
/** One turn of a wait with so long to go; it takes no longer than that. */
void wait_part(uint64_t ticks);
void wait_us(uint64_t us);

#endif
