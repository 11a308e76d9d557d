/* x86 port I/O, allowed in ring 3 by IOPL 3, or emulated (threads.h). */
#ifndef GUEST_PORT_IO_H
#define GUEST_PORT_IO_H

#include <stddef.h>
#include <stdint.h>

#include "threads.h"

static inline uint8_t in8(uint16_t port) {
  uint8_t value;
  __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}

static inline void out8(uint16_t port, uint8_t value) { __asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port)); }

static inline uint16_t in16(uint16_t port) {
  uint16_t value;
  __asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}

static inline uint32_t in32(uint16_t port) {
  uint32_t value;
  __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}

static inline void out16(uint16_t port, uint16_t value) { __asm__ volatile("outw %0, %1" ::"a"(value), "Nd"(port)); }

/** One exit to the VMM for all bytes, where the host does string I/O at once. There is none on threads. */
static inline void out8_string(uint16_t port, const char *bytes, size_t count) {
  if (on_threads)
    while (count-- > 0) out8(port, (uint8_t)*bytes++);
  else
    __asm__ volatile("rep outsb" : "+S"(bytes), "+c"(count) : "d"(port) : "memory");
}

#endif
