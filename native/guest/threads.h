/* The machine of threads: there is no KVM, and each vCPU is a thread of the VM's process, which executes this very
 * image natively. What it gives:
 *
 *   RAM      flat, at GUEST_BASE, readable, writable, executable; no other address is the guest's to touch.
 *   start    All vCPUs begin at the ELF's entry point (thread_entry in thread-entry.S) in 64-bit mode, once the image
 *            is loaded: RDI the guest-physical address of hvm_start_info, RSI the number of the vCPU (its place in the
 *            MADT), all other general registers 0 and RSP useless, RFLAGS 0x202, FPU and SSE as after INIT. There is
 *            no start-up message: vCPU 0 fills in thread_starts[] for the others.
 *   ports    IN and OUT are caught and emulated: forms with AL, AX or EAX, and DX or an immediate; no string forms.
 *   idling   OUT of EAX to IDLE_PORT gives the core away for at most EAX microseconds, 1 ... MAX_IDLE_US. More vCPUs
 *            than cores would starve one another if they waited in loops; KVM has no such port.
 *   nothing  of ring 0: no local APIC, IDT, HLT or CLI. An exception ends the machine as a triple fault does.
 *   the host's own CPUID and TSC, so that the command line must have tsc_khz=; FS and GS bases are the host's too. */
#ifndef GUEST_THREADS_H
#define GUEST_THREADS_H

#define IDLE_PORT 0xed
#define MAX_IDLE_US 10000

#ifndef __ASSEMBLER__
#include <stdbool.h>
#include <stdint.h>

/* Whether this is that machine. */
extern bool on_threads;

static inline void give_core_away(uint32_t us) { __asm__ volatile("outl %0, %1" ::"a"(us), "N"(IDLE_PORT) : "memory"); }

/** One turn of a wait that may be long, where `*turns` counts them from 0: on threads the core is given away after a
 * few, for longer and longer. */
void wait_turn(uint32_t *turns);

struct cpu;
/* What a vCPU other than 0 begins with; thread-entry.S takes it by an exchange of stack_top with 0. */
struct thread_start {
  uint8_t *stack_top;
  struct cpu *cpu;
};
extern struct thread_start thread_starts[];

/** Lets vCPU `number` begin. */
void thread_start(uint32_t number, uint8_t *stack_top, struct cpu *cpu);
/** Takes that back; false if the vCPU has begun meanwhile. */
bool thread_start_revoke(uint32_t number);
#endif

#endif
