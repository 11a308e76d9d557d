/* The local APIC, through its MMIO page. */
#ifndef GUEST_LAPIC_H
#define GUEST_LAPIC_H

#include <stdint.h>

void lapic_enable(void);
/** The xAPIC id of the vCPU that calls. */
uint8_t lapic_id(void);

/** The timer counts down from the highest value, in ticks of 128 ns under KVM, over and over; not anew if it does. */
void lapic_timer_start(void);

uint32_t lapic_timer(void);
/** INIT: the processor waits for a start-up message, whatever it did before. */
void lapic_send_init(uint8_t apic_id);
/** Start-up message: the processor begins in real mode at `page`, a multiple of 4 KiB below 1 MiB. */
void lapic_send_startup(uint8_t apic_id, uint32_t page);

#endif
