#include "cpuinfo.h"

#include "clock.h"
#include "cpuid.h"
#include "cpus.h"
#include "json.h"
#include "text.h"

/** Vendor and hypervisor names are 12 characters in three registers. */
static void write_name(const char *key, uint32_t a, uint32_t b, uint32_t c) {
  const uint32_t registers[3] = {a, b, c};
  char name[sizeof registers + 1] = {0};
  memcpy(name, registers, sizeof registers);
  json_text(key, name);
}

static void write_brand(void) {
  enum { BRAND_LEAVES = 3 };
  struct cpuid leaves[BRAND_LEAVES];
  char brand[sizeof leaves + 1] = {0};
  if (read_cpuid(CPUID_EXTENDED).eax < CPUID_BRAND + BRAND_LEAVES - 1) return;
  for (uint32_t i = 0; i < BRAND_LEAVES; i++) leaves[i] = read_cpuid(CPUID_BRAND + i);
  memcpy(brand, leaves, sizeof leaves);
  json_text("brand", brand);
}

void write_cpuinfo(void) {
  const struct cpuid vendor = read_cpuid(0), signature = read_cpuid(1), hypervisor = read_hypervisor_leaf();
  json_event("cpuinfo");
  write_name("vendor", vendor.ebx, vendor.edx, vendor.ecx);
  write_brand();
  json_hex("signature", signature.eax);
  write_name("hypervisor", hypervisor.ebx, hypervisor.ecx, hypervisor.edx);
  json_number("tsc_khz", tsc_khz);
  json_array("apic_ids");
  for (uint32_t i = 0; i < cpu_count; i++) json_number(NULL, cpu_at(i)->apic_id);
  json_array_end();
  json_end();
}
