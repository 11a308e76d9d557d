/* Registers full of a pattern, held and checked again and again: one bit that a move loses is found. */
#ifndef GUEST_REGISTERS_H
#define GUEST_REGISTERS_H

/* Of struct held: where its fields are, for assembly. */
#define HOLD_VECTOR 0
#define HOLD_MASK 2048
#define HOLD_X87 2112
#define HOLD_GENERAL 2240
#define HOLD_MXCSR 2320
#define HOLD_FCW 2324

/* Features: what the processor has beyond x87 and SSE, and the kernel lets programs use. */
#define HOLD_AVX 1
#define HOLD_AVX512 2

#ifndef __ASSEMBLER__
#include <stdbool.h>
#include <stdint.h>

/** Starts it on the other vCPUs; vCPU 0 takes part by registers_slice(). Nothing else may be running. */
void registers_start(uint64_t seed);
/** vCPU 0's part: one check. */
void registers_slice(void);
bool registers_running(void);
/** Stops it if it is running, and waits until all vCPUs have. */
void registers_stop(void);
/** Answers how often they were checked since the start, and how often something was lost. */
void registers_report(void);
#endif

#endif
