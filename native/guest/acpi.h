/* What the guest needs of ACPI: which processors there are, and how to power off. */
#ifndef GUEST_ACPI_H
#define GUEST_ACPI_H

#include <stdbool.h>
#include <stdint.h>

#include "segments.h"

struct acpi {
  /* Of enabled processors, in the order of the MADT. */
  uint8_t apic_ids[MAX_CPUS];
  uint32_t processors;
  /* 0 if the FADT has none (hardware-reduced ACPI). */
  uint16_t pm1a_event_port;
  uint16_t pm1a_control_port;
  uint16_t pm_timer_port;
  /* SLEEP_CONTROL_REG as a port; 0 if there is none. */
  uint16_t sleep_control_port;
  uint8_t s5_sleep_type;
};

/** Reads the tables from the RSDP at `rsdp`, or from one found in the first MiB if that is 0. */
void acpi_init(struct acpi *acpi, uint64_t rsdp);

#endif
