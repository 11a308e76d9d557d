#include "serial.h"

#include "port-io.h"

/* 16550 registers (PC16550D data sheet, section 8). */
enum {
  COM1 = 0x3f8,
  DATA = COM1 + 0,
  INTERRUPT_ENABLE = COM1 + 1,
  INTERRUPT_ID = COM1 + 2,
  FIFO_CONTROL = COM1 + 2,
  LINE_CONTROL = COM1 + 3,
  MODEM_CONTROL = COM1 + 4,
  LINE_STATUS = COM1 + 5,
};
enum { FIFO_ENABLE = 0x01, FIFO_ENABLED = 0xc0, EIGHT_N_ONE = 0x03, DTR_RTS = 0x03 };
enum { DATA_READY = 0x01, TRANSMITTER_EMPTY = 0x20 };
enum { FIFO_BYTES = 16 };

static char pending[FIFO_BYTES];
static uint32_t pending_count;
static uint32_t burst = 1;

void serial_init(void) {
  out8(INTERRUPT_ENABLE, 0);
  out8(LINE_CONTROL, EIGHT_N_ONE);
  out8(MODEM_CONTROL, DTR_RTS);
  out8(FIFO_CONTROL, FIFO_ENABLE);
  burst = (in8(INTERRUPT_ID) & FIFO_ENABLED) == FIFO_ENABLED ? FIFO_BYTES : 1;
}

void serial_flush(void) {
  if (pending_count == 0) return;
  while (!(in8(LINE_STATUS) & TRANSMITTER_EMPTY)) __builtin_ia32_pause();
  out8_string(DATA, pending, pending_count);
  pending_count = 0;
}

void serial_put(char c) {
  pending[pending_count++] = c;
  if (pending_count >= burst) serial_flush();
}

bool serial_get(uint8_t *byte) {
  if (!(in8(LINE_STATUS) & DATA_READY)) return false;
  *byte = in8(DATA);
  return true;
}
