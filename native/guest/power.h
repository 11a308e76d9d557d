/* Ways for the machine to end. */
#ifndef GUEST_POWER_H
#define GUEST_POWER_H

#include "acpi.h"

/** ACPI S5; returns only if the machine does not take notice. */
void power_off(const struct acpi *acpi);
/** Chipset reset register, then keyboard controller; returns only if the machine does not take notice. */
void machine_reset(void);

#endif
