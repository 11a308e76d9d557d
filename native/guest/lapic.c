#include "lapic.h"

/* SDM volume 3, 11.4 (registers), 11.5.4 (timer) and 11.6.1 (interrupt command register). */
enum { LAPIC_BASE = 0xfee00000u };
enum { ID = 0x20, SPURIOUS = 0xf0, ICR_LOW = 0x300, ICR_HIGH = 0x310 };
enum { LVT_TIMER = 0x320, INITIAL_COUNT = 0x380, CURRENT_COUNT = 0x390, DIVIDE = 0x3e0 };
enum { LVT_MASKED = 0x10000, LVT_PERIODIC = 0x20000, DIVIDE_BY_128 = 0xa };
enum { SPURIOUS_ENABLE = 0x100, SPURIOUS_VECTOR = 0xff };
enum { ICR_INIT = 0x500, ICR_STARTUP = 0x600, ICR_PENDING = 0x1000, ICR_ASSERT = 0x4000 };

static volatile uint32_t *reg(uint32_t offset) { return (volatile uint32_t *)(uint64_t)(LAPIC_BASE + offset); }

static void send(uint8_t apic_id, uint32_t command) {
  while (*reg(ICR_LOW) & ICR_PENDING) __builtin_ia32_pause();
  *reg(ICR_HIGH) = (uint32_t)apic_id << 24;
  *reg(ICR_LOW) = command | ICR_ASSERT;
}

void lapic_enable(void) { *reg(SPURIOUS) = SPURIOUS_ENABLE | SPURIOUS_VECTOR; }

uint8_t lapic_id(void) { return (uint8_t)(*reg(ID) >> 24); }

void lapic_timer_start(void) {
  if (*reg(INITIAL_COUNT) != 0) return;
  *reg(DIVIDE) = DIVIDE_BY_128;
  *reg(LVT_TIMER) = LVT_MASKED | LVT_PERIODIC | SPURIOUS_VECTOR;
  *reg(INITIAL_COUNT) = UINT32_MAX;
}

uint32_t lapic_timer(void) { return *reg(CURRENT_COUNT); }

void lapic_send_init(uint8_t apic_id) { send(apic_id, ICR_INIT); }

void lapic_send_startup(uint8_t apic_id, uint32_t page) { send(apic_id, ICR_STARTUP | page >> 12); }
