#include "traps.h"

#include <stdbool.h>
#include <stdint.h>

#include "cpus.h"
#include "json.h"
#include "lapic.h"
#include "physical.h"
#include "segments.h"
#include "text.h"
#include "threads.h"
#include "tss.h"

/* SDM volume 3, 6.14.1: a gate of 64-bit mode. */
struct gate {
  uint16_t offset_0_15, selector;
  uint8_t stack_table, type;
  uint16_t offset_16_31;
  uint32_t offset_32_63, reserved;
};
enum { INTERRUPT_GATE = 0x8e, ENTRY_BYTES = 16 };

extern struct gate idt[TRAP_VECTORS];
extern uint8_t trap_entries[];
extern _Noreturn void ring3_halt(void);

static struct trap {
  uint64_t vector, error, rip, address;
  uint32_t apic_id;
} trap;
/* Only the first trap is told of: what follows is its consequence. */
static uint32_t trap_taken, trap_ready;

void traps_init(void) {
  if (on_threads) return;
  bsp_tss_init();
  for (uint32_t i = 0; i < TRAP_VECTORS; i++) {
    const uint64_t entry = physical_of(trap_entries) + i * ENTRY_BYTES;
    idt[i].offset_0_15 = (uint16_t)entry;
    idt[i].offset_16_31 = (uint16_t)(entry >> 16);
    idt[i].selector = SELECTOR_CODE64;
    idt[i].type = INTERRUPT_GATE;
  }
}

/** Called by trap-entry.S, back in ring 3; `address` is CR2 and means something for page faults only. */
_Noreturn void trap_report(uint64_t vector, uint64_t error, uint64_t rip, uint64_t address) {
  if (__atomic_exchange_n(&trap_taken, 1, __ATOMIC_ACQ_REL) == 0) {
    trap = (struct trap){vector, error, rip, address, lapic_id()};
    __atomic_store_n(&trap_ready, 1, __ATOMIC_RELEASE);
  }
  if (cpu_count == 0 || lapic_id() == cpu_at(0)->apic_id) traps_report();
  halt();
}

void traps_report(void) {
  if (!__atomic_load_n(&trap_ready, __ATOMIC_ACQUIRE)) return;
  trap_ready = 0;
  json_event("exception");
  json_number("vector", trap.vector);
  json_hex("error", trap.error);
  json_hex("rip", trap.rip);
  json_hex("address", trap.address);
  json_number("apic_id", trap.apic_id);
  json_end();
}

_Noreturn void halt(void) {
  while (on_threads) give_core_away(MAX_IDLE_US);
  ring3_halt();
}

_Noreturn void triple_fault(void) {
  memset(idt, 0, sizeof idt);
  __builtin_trap();
}
