/* The local APIC, through its MMIO page. */
#ifndef GUEST_LAPIC_H
#define GUEST_LAPIC_H

#include <stdint.h>

void lapic_enable(void);
/** The xAPIC id of the vCPU that calls. */
uint8_t lapic_id(void);
/** INIT: the processor waits for a start-up message, whatever it did before. */
void lapic_send_init(uint8_t apic_id);
/** Start-up message: the processor begins in real mode at `page`, a multiple of 4 KiB below 1 MiB. */
void lapic_send_startup(uint8_t apic_id, uint32_t page);

#endif
