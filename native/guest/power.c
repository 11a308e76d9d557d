#include "power.h"

#include "clock.h"
#include "port-io.h"

enum { NOTICE_US = 100 * 1000 };

bool power_button_pushed(const struct acpi *acpi) {
  /* ACPI 6.4, 4.8.3.1.1 (PM1 status): a one that is written clears. */
  enum { PM1_POWER_BUTTON = 1 << 8, LOOK_US = 250 * 1000 };
  static uint64_t looked_at;
  if (acpi->pm1a_event_port == 0 || read_tsc() - looked_at < us_to_ticks(LOOK_US)) return false;
  looked_at = read_tsc();
  if ((in16(acpi->pm1a_event_port) & PM1_POWER_BUTTON) == 0) return false;
  out16(acpi->pm1a_event_port, PM1_POWER_BUTTON);
  return true;
}

void power_off(const struct acpi *acpi) {
  /* ACPI 6.4, 4.8.3.2.1 (PM1 control) and 4.8.3.7 (sleep control). */
  enum { PM1_SLEEP_TYPE_SHIFT = 10, PM1_SLEEP_ENABLE = 1 << 13, SLEEP_TYPE_SHIFT = 2, SLEEP_ENABLE = 1 << 5 };
  /* Where QEMU's PIIX4 and ICH9 have it when there are no tables. */
  enum { QEMU_PM1A_CONTROL = 0x604, QEMU_S5 = 0 };
  if (acpi->pm1a_control_port != 0)
    out16(acpi->pm1a_control_port, (uint16_t)(acpi->s5_sleep_type << PM1_SLEEP_TYPE_SHIFT | PM1_SLEEP_ENABLE));
  else if (acpi->sleep_control_port != 0)
    out8(acpi->sleep_control_port, (uint8_t)(acpi->s5_sleep_type << SLEEP_TYPE_SHIFT | SLEEP_ENABLE));
  else
    out16(QEMU_PM1A_CONTROL, QEMU_S5 << PM1_SLEEP_TYPE_SHIFT | PM1_SLEEP_ENABLE);
  wait_us(NOTICE_US);
}

void say_panic(void) {
  /* QEMU, docs/specs/pvpanic: a read tells which events are understood. */
  enum { PVPANIC = 0x505, PANICKED = 1 << 0 };
  out8(PVPANIC, in8(PVPANIC) & PANICKED);
}

void machine_reset(void) {
  enum { RESET_CONTROL = 0xcf9, RESET_HARD = 0x06, KEYBOARD_COMMAND = 0x64, KEYBOARD_PULSE_RESET = 0xfe };
  out8(RESET_CONTROL, RESET_HARD);
  wait_us(NOTICE_US);
  out8(KEYBOARD_COMMAND, KEYBOARD_PULSE_RESET);
  wait_us(NOTICE_US);
}
