/* The commands; main.c describes them. */
#ifndef GUEST_COMMANDS_H
#define GUEST_COMMANDS_H

#include "acpi.h"

/** `acpi` is kept. */
void commands_init(const struct acpi *acpi);
/** Runs one line and writes its answer. */
void run_command(const char *line);

#endif
