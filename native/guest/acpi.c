/* Sections are of the ACPI specification 6.4. */
#include "acpi.h"

#include <stddef.h>

#include "json.h"
#include "memory.h"
#include "physical.h"
#include "text.h"

enum { HEADER_BYTES = 36, MAX_TABLE_BYTES = 1 << 20 };

static uint64_t read_le(const uint8_t *bytes, uint32_t count) {
  uint64_t value = 0;
  while (count-- > 0) value = value << 8 | bytes[count];
  return value;
}

static bool sums_to_zero(const uint8_t *bytes, uint32_t count) {
  uint8_t sum = 0;
  while (count-- > 0) sum += bytes[count];
  return sum == 0;
}

static bool has_signature(const uint8_t *table, const char *signature) { return memcmp(table, signature, 4) == 0; }

/* 5.2.6: signature, length at 4, checksum over all. */
static uint32_t table_bytes(const uint8_t *table) { return (uint32_t)read_le(table + 4, 4); }

/** The table at an address that came out of another table, or NULL if it is none. */
static const uint8_t *checked_table(uint64_t address) {
  if (address == 0 || address > MAPPED_AT_BOOT - MAX_TABLE_BYTES) return NULL;
  const uint8_t *table = at_physical(address);
  const uint32_t bytes = table_bytes(table);
  if (bytes < HEADER_BYTES || bytes > MAX_TABLE_BYTES) return NULL;
  if (sums_to_zero(table, bytes)) return table;
  json_error("an ACPI table has a wrong checksum and is ignored");
  return NULL;
}

/* 5.2.5.3 */
enum { RSDP_V1_BYTES = 20, RSDP_REVISION = 15, RSDP_RSDT = 16, RSDP_XSDT = 24 };

static bool is_rsdp(const uint8_t *at) { return memcmp(at, "RSD PTR ", 8) == 0 && sums_to_zero(at, RSDP_V1_BYTES); }

/* 5.2.5.1: in the first KiB of the EBDA or in 0xE0000-0xFFFFF, on a 16-byte boundary. */
static const uint8_t *scan_for_rsdp(uint64_t start, uint64_t end) {
  for (uint64_t at = start; at < end; at += 16)
    if (is_rsdp(at_physical(at))) return at_physical(at);
  return NULL;
}

static const uint8_t *find_rsdp(uint64_t hint) {
  enum { EBDA_SEGMENT = 0x40e, EBDA_SCAN = 1024, BIOS_START = 0xe0000, BIOS_END = 0x100000 };
  if (hint != 0 && hint < MAPPED_AT_BOOT - PAGE_BYTES && is_rsdp(at_physical(hint))) return at_physical(hint);
  const uint64_t ebda = read_le(at_physical(EBDA_SEGMENT), 2) << 4;
  const uint8_t *found = ebda == 0 ? NULL : scan_for_rsdp(ebda, ebda + EBDA_SCAN);
  return found != NULL ? found : scan_for_rsdp(BIOS_START, BIOS_END);
}

/** Looks a table up in the XSDT, or in the RSDT of old machines (5.2.7, 5.2.8). */
static const uint8_t *find_table(const uint8_t *rsdp, const char *signature) {
  const bool extended = rsdp[RSDP_REVISION] >= 2 && read_le(rsdp + RSDP_XSDT, 8) != 0;
  const uint32_t entry_bytes = extended ? 8 : 4;
  const uint8_t *root = checked_table(read_le(rsdp + (extended ? RSDP_XSDT : RSDP_RSDT), entry_bytes));
  if (root == NULL) return NULL;
  for (uint32_t at = HEADER_BYTES; at + entry_bytes <= table_bytes(root); at += entry_bytes) {
    const uint64_t address = read_le(root + at, entry_bytes);
    if (address == 0 || address > MAPPED_AT_BOOT - MAX_TABLE_BYTES) continue;
    if (has_signature(at_physical(address), signature)) return checked_table(address);
  }
  return NULL;
}

/* 5.2.12: entries from 44 on; type 0 (5.2.12.2) is a processor with an xAPIC id. */
static void read_madt(struct acpi *acpi, const uint8_t *madt) {
  enum { FIRST_ENTRY = 44, LOCAL_APIC = 0, LOCAL_APIC_BYTES = 8, ENABLED = 1 };
  const uint32_t bytes = table_bytes(madt);
  for (uint32_t at = FIRST_ENTRY; at + 2 <= bytes;) {
    const uint8_t *entry = madt + at;
    const uint32_t entry_bytes = entry[1];
    if (entry_bytes < 2 || at + entry_bytes > bytes) return;
    const bool processor = entry[0] == LOCAL_APIC && entry_bytes >= LOCAL_APIC_BYTES;
    if (processor && (read_le(entry + 4, 4) & ENABLED) && acpi->processors < MAX_CPUS)
      acpi->apic_ids[acpi->processors++] = entry[3];
    at += entry_bytes;
  }
}

/** The first number of \_S5 (7.4.2.6), found by its bytes: Name (_S5_, Package () {number, ...}) (20.2.5.1). */
static uint8_t parse_s5(const uint8_t *dsdt) {
  enum { S5_DEFAULT = 5, PACKAGE_OP = 0x12, BYTE_PREFIX = 0x0a, LONGEST = 16 };
  const uint32_t bytes = table_bytes(dsdt);
  for (uint32_t at = HEADER_BYTES; at + LONGEST <= bytes; at++) {
    if (memcmp(dsdt + at, "_S5_", 4) != 0 || dsdt[at + 4] != PACKAGE_OP) continue;
    const uint8_t *length = dsdt + at + 5;
    const uint8_t *first = length + 1 + (length[0] >> 6) + 1; /* PkgLength has 0-3 more bytes; then NumElements */
    return first[0] == BYTE_PREFIX ? first[1] : first[0];     /* ZeroOp and OneOp are their own values */
  }
  return S5_DEFAULT;
}

/* 5.2.9 */
static void read_fadt(struct acpi *acpi, const uint8_t *fadt) {
  enum {
    DSDT = 40,
    PM1A_EVENT = 56,
    PM1A_CONTROL = 64,
    PM_TIMER = 76,
    X_DSDT = 140,
    SLEEP_CONTROL = 244,
    GAS_ADDRESS = 4,
    GAS_BYTES = 12
  };
  enum { SYSTEM_IO = 1, MAX_PORT = 0xffff };
  const uint32_t bytes = table_bytes(fadt);
  if (bytes < PM_TIMER + 4) return;
  const uint64_t event = read_le(fadt + PM1A_EVENT, 4), control = read_le(fadt + PM1A_CONTROL, 4);
  if (event <= MAX_PORT) acpi->pm1a_event_port = (uint16_t)event;
  if (control <= MAX_PORT) acpi->pm1a_control_port = (uint16_t)control;
  const uint64_t timer = read_le(fadt + PM_TIMER, 4);
  if (timer <= MAX_PORT) acpi->pm_timer_port = (uint16_t)timer;
  if (bytes >= SLEEP_CONTROL + GAS_BYTES && fadt[SLEEP_CONTROL] == SYSTEM_IO) {
    const uint64_t port = read_le(fadt + SLEEP_CONTROL + GAS_ADDRESS, 8);
    if (port <= MAX_PORT) acpi->sleep_control_port = (uint16_t)port;
  }
  uint64_t address = read_le(fadt + DSDT, 4);
  if (address == 0 && bytes >= X_DSDT + 8) address = read_le(fadt + X_DSDT, 8);
  const uint8_t *dsdt = checked_table(address);
  if (dsdt != NULL) acpi->s5_sleep_type = parse_s5(dsdt);
}

void acpi_init(struct acpi *acpi, uint64_t hint) {
  const uint8_t *rsdp = find_rsdp(hint);
  if (rsdp == NULL) return;
  const uint8_t *madt = find_table(rsdp, "APIC");
  if (madt != NULL) read_madt(acpi, madt);
  const uint8_t *fadt = find_table(rsdp, "FACP");
  if (fadt != NULL) read_fadt(acpi, fadt);
}
