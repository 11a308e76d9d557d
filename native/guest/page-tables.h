/* Maps RAM above what the static tables of boot-page-tables.S cover. */
#ifndef GUEST_PAGE_TABLES_H
#define GUEST_PAGE_TABLES_H

#include <stdbool.h>

#include "memory.h"

/** Maps the range at GUEST_BASE, user and writable; false if there is no memory for tables. */
bool map_ram(struct range range);

#endif
