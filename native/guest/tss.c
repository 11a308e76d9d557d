#include "tss.h"

#include "physical.h"

/* In zeroed memory: a bit that is 0 allows its port. Its address is in the GDT of entry.S, through guest.ld. */
struct {
  struct tss tss;
  uint8_t io_bitmap[IO_BITMAP_BYTES];
  uint8_t io_bitmap_end;
} __attribute__((packed, aligned(16))) bsp_tss;
_Static_assert(sizeof bsp_tss >= BSP_TSS_BYTES, "the limit in the GDT");

static uint8_t bsp_trap_stack[TRAP_STACK_BYTES] __attribute__((aligned(16)));

void tss_init(struct tss *tss, const uint8_t *trap_stack_top) {
  tss->rsp0_low = (uint32_t)physical_of(trap_stack_top);
  tss->io_map_base = TSS_BYTES;
}

void bsp_tss_init(void) {
  tss_init(&bsp_tss.tss, bsp_trap_stack + TRAP_STACK_BYTES);
  bsp_tss.io_bitmap_end = 0xff;
}
