/* The CPUID instruction. */
#ifndef GUEST_CPUID_H
#define GUEST_CPUID_H

#include <stdint.h>

struct cpuid {
  uint32_t eax, ebx, ecx, edx;
};

enum { CPUID_HYPERVISOR = 0x40000000, CPUID_EXTENDED = 0x80000000, CPUID_BRAND = 0x80000002 };

static inline struct cpuid read_cpuid(uint32_t leaf) {
  struct cpuid r;
  __asm__ volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(0));
  return r;
}

/** All 0 where there is no hypervisor (CPUID.1:ECX.31): processors answer unknown leaves with something else. */
static inline struct cpuid read_hypervisor_leaf(void) {
  enum { PRESENT = 31 };
  return read_cpuid(1).ecx >> PRESENT ? read_cpuid(CPUID_HYPERVISOR) : (struct cpuid){0, 0, 0, 0};
}

#endif
