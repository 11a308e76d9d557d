#include "threads.h"

#include <stddef.h>

/* So few pauses are over in some microseconds, so that short waits cost no exit; at the longest, 64 idle vCPUs take a
 * few per cent of a core, and a job begins everywhere within that time. */
enum { PAUSES = 64, FIRST_IDLE_US = 16, LONGEST_IDLE_US = 5000, DOUBLINGS = 9 };

void wait_turn(uint32_t *turns) {
  const uint32_t turn = *turns;
  if (turn < PAUSES + DOUBLINGS) (*turns)++;
  if (!on_threads || turn < PAUSES) return __builtin_ia32_pause();
  const uint32_t us = FIRST_IDLE_US << (turn - PAUSES);
  give_core_away(us < LONGEST_IDLE_US ? us : LONGEST_IDLE_US);
}

void thread_start(uint32_t number, uint8_t *stack_top, struct cpu *cpu) {
  thread_starts[number].cpu = cpu;
  __atomic_store_n(&thread_starts[number].stack_top, stack_top, __ATOMIC_RELEASE);
}

bool thread_start_revoke(uint32_t number) {
  return __atomic_exchange_n(&thread_starts[number].stack_top, NULL, __ATOMIC_ACQ_REL) != NULL;
}
