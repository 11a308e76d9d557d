/* COM1, polled: a 16550 with its FIFO where there is one. Used by vCPU 0 only. */
#ifndef GUEST_SERIAL_H
#define GUEST_SERIAL_H

#include <stdbool.h>
#include <stdint.h>

void serial_init(void);
/** Buffered up to a FIFO's worth; serial_flush() sends the rest. */
void serial_put(char c);
void serial_flush(void);
/** Takes a received byte if there is one. Each call costs at least one exit to the VMM. */
bool serial_get(uint8_t *byte);

#endif
