/* Task state segments: the stack for traps from ring 3, and which ports ring 3 may use.
 *
 * Port I/O in ring 3 is allowed by IOPL 3 alone, but there are KVM hosts that do not carry IOPL into ring 3 and look at
 * the permission bitmap only. So vCPU 0, which does all port I/O, has one that allows every port. */
#ifndef GUEST_TSS_H
#define GUEST_TSS_H

#include <stdint.h>

#include "segments.h"

enum { TRAP_STACK_BYTES = 0x1000 };

/* SDM volume 3, 8.7. */
struct tss {
  uint32_t reserved;
  uint32_t rsp0_low, rsp0_high;
  uint8_t unused[TSS_BYTES - 14];
  uint16_t io_map_base;
} __attribute__((packed));
_Static_assert(sizeof(struct tss) == TSS_BYTES, "the TSS of long mode");

/** `trap_stack_top` is 16-byte aligned. The bitmap is behind the segment, if the segment's limit includes one. */
void tss_init(struct tss *tss, const uint8_t *trap_stack_top);
/** Fills in the segment of vCPU 0, which is loaded already; before this it must not trap or do port I/O. */
void bsp_tss_init(void);

#endif
