/* Ways for the machine to end. */
#ifndef GUEST_POWER_H
#define GUEST_POWER_H

#include <stdbool.h>

#include "acpi.h"

/** Whether the power button was pushed since this was last asked. The hardware is looked at seldom: it is an exit. */
bool power_button_pushed(const struct acpi *acpi);
/** ACPI S5; returns only if the machine does not take notice. */
void power_off(const struct acpi *acpi);
/** Chipset reset register, then keyboard controller; returns only if the machine does not take notice. */
void machine_reset(void);
/** Tells the machine that the kernel has panicked, if it has a device for that; the guest goes on. */
void say_panic(void);

#endif
