#include "clocks.h"

#include <stdbool.h>

#include "clock.h"
#include "json.h"
#include "lapic.h"
#include "port-io.h"
#include "threads.h"

/* MC146818A: index and data; time registers in BCD, register A tells that they are about to change. */
enum { CMOS_INDEX = 0x70, CMOS_DATA = 0x71 };
enum { SECONDS = 0x00, MINUTES = 0x02, HOURS = 0x04, REGISTER_A = 0x0a, UPDATING = 0x80 };
/* Readings that lie apart no further are good; the best of so many is taken. */
enum { CLOSE_US = 50, TRIES = 16 };

struct readings {
  uint64_t tsc, took;
  uint32_t pm_timer, lapic;
};

static uint8_t cmos(uint8_t index) {
  out8(CMOS_INDEX, index);
  return in8(CMOS_DATA);
}

static uint64_t two_digits(uint8_t index) {
  const uint8_t bcd = cmos(index);
  return (uint64_t)(bcd >> 4) * 10 + (bcd & 0xf);
}

static uint64_t second_of_day(void) {
  while (cmos(REGISTER_A) & UPDATING) __builtin_ia32_pause();
  return (two_digits(HOURS) * 60 + two_digits(MINUTES)) * 60 + two_digits(SECONDS);
}

/* The vCPU may stand still between any two of them, for as long as a move takes. */
static struct readings read_once(uint16_t pm_timer_port) {
  struct readings now = {read_tsc(), 0, 0, 0};
  now.pm_timer = in32(pm_timer_port);
  if (!on_threads) now.lapic = lapic_timer();
  now.took = read_tsc() - now.tsc;
  return now;
}

static struct readings read_together(uint16_t pm_timer_port) {
  struct readings best = read_once(pm_timer_port);
  for (uint32_t i = 1; i < TRIES && best.took > us_to_ticks(CLOSE_US); i++) {
    const struct readings next = read_once(pm_timer_port);
    if (next.took < best.took) best = next;
  }
  return best;
}

void clocks_report(const struct acpi *acpi) {
  if (acpi->pm_timer_port == 0) return json_error("ACPI names no power-management timer");
  if (!on_threads) lapic_timer_start();
  const struct readings now = read_together(acpi->pm_timer_port);
  json_event("clocks");
  json_number("tsc_us", ticks_to_us(now.tsc + now.took / 2));
  json_number("apart_us", ticks_to_us(now.took));
  json_number("pm_timer", now.pm_timer);
  json_number("second_of_day", second_of_day());
  if (!on_threads) json_number("lapic", now.lapic);
  json_end();
}
