/* The clocks of the machine, read together. */
#ifndef GUEST_CLOCKS_H
#define GUEST_CLOCKS_H

#include "acpi.h"

void clocks_report(const struct acpi *acpi);

#endif
