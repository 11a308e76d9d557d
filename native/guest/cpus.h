/* The vCPUs, and the jobs vCPU 0 gives to all of them. */
#ifndef GUEST_CPUS_H
#define GUEST_CPUS_H

#include <stdbool.h>
#include <stdint.h>

#include "acpi.h"
#include "stats.h"

struct cpu {
  /* 0 ... cpu_count - 1; vCPU 0 is the one that booted. */
  uint32_t index;
  uint32_t apic_id;
  /* Set by the processor itself once it is in ring 3. */
  uint32_t online;
  /* The number of the last job it has finished. */
  uint32_t jobs_done;
  /* State of its random number generator. */
  uint64_t random;
  /* Where it goes on in the sequential pattern, and when it is to access memory next. */
  uint64_t position, due;
  struct stats stats;
};

/** A job runs on every vCPU at once. */
typedef void job(struct cpu *cpu);

extern uint32_t cpu_count;
/** Of vCPU index < cpu_count. */
struct cpu *cpu_at(uint32_t index);

/** Starts every processor ACPI names, at most `limit`; those that do not come up are reported and left out. */
bool cpus_init(const struct acpi *acpi, uint64_t limit);

/** Starts a job on the other vCPUs. Their last one must be over. */
void job_post(job *run);
/** Waits until the job is over on all the others. */
void job_wait(void);
/** Runs a job on all vCPUs, this one included. */
void job_run(job *run);

#endif
