#include "clock.h"

#include <stdbool.h>
#include <stddef.h>

#include "cpuid.h"
#include "json.h"
#include "port-io.h"
#include "text.h"
#include "threads.h"

/* Outside of these a frequency is taken for nonsense. */
enum { MIN_KHZ = 100 * 1000, MAX_KHZ = 20 * 1000 * 1000 };
/* When nothing works: about right for a PC, and said aloud. */
enum { GUESS_KHZ = 2 * 1000 * 1000 };

/* 8254 timer, channel 2, gated by port 0x61 (it needs no interrupt). */
enum { PIT_CHANNEL_2 = 0x42, PIT_COMMAND = 0x43, PORT_B = 0x61 };
enum { PIT_CHANNEL_2_MODE_0 = 0xb0, PORT_B_GATE_2 = 0x01, PORT_B_SPEAKER = 0x02, PORT_B_OUT_2 = 0x20 };
enum { PIT_HZ = 1193182, PIT_COUNT = 0xffff };
/* The count takes 55 ms; a TSC of MAX_KHZ would have come this far after a second. */
static const uint64_t PIT_LIMIT_TICKS = (uint64_t)MAX_KHZ * 1000;

uint64_t tsc_khz;

static uint64_t sane(uint64_t khz) { return khz >= MIN_KHZ && khz <= MAX_KHZ ? khz : 0; }

static uint64_t khz_from_options(const char *options) {
  uint64_t khz = 0;
  const char *value = find_value(options, "tsc_khz");
  if (value == NULL) return 0;
  if (!parse_number(value, word_length(value), &khz) || !sane(khz)) json_error("tsc_khz= is no frequency in kHz");
  return sane(khz);
}

static uint64_t khz_from_hypervisor(void) {
  enum { TIMING_LEAF = 0x40000010, LAST_SANE_LEAF = 0x400000ff };
  const uint32_t last = read_hypervisor_leaf().eax;
  return last >= TIMING_LEAF && last <= LAST_SANE_LEAF ? sane(read_cpuid(TIMING_LEAF).eax) : 0;
}

/** SDM volume 2, CPUID leaf 15H: crystal (ECX, Hz) * EBX / EAX. */
static uint64_t khz_from_crystal(void) {
  enum { TSC_LEAF = 0x15 };
  if (read_cpuid(0).eax < TSC_LEAF) return 0;
  const struct cpuid leaf = read_cpuid(TSC_LEAF);
  return leaf.eax == 0 ? 0 : sane((uint64_t)leaf.ecx * leaf.ebx / leaf.eax / 1000);
}

static uint64_t khz_from_pit(void) {
  out8(PORT_B, (in8(PORT_B) & ~PORT_B_SPEAKER) | PORT_B_GATE_2);
  out8(PIT_COMMAND, PIT_CHANNEL_2_MODE_0);
  out8(PIT_CHANNEL_2, PIT_COUNT & 0xff);
  out8(PIT_CHANNEL_2, PIT_COUNT >> 8);
  const uint64_t start = read_tsc();
  while (!(in8(PORT_B) & PORT_B_OUT_2))
    if (read_tsc() - start > PIT_LIMIT_TICKS) return 0;
  return sane((read_tsc() - start) * PIT_HZ / (PIT_COUNT + 1) / 1000);
}

void clock_init(const char *options) {
  tsc_khz = khz_from_options(options);
  if (tsc_khz == 0) tsc_khz = khz_from_hypervisor();
  if (tsc_khz == 0) tsc_khz = khz_from_crystal();
  if (tsc_khz == 0) tsc_khz = khz_from_pit();
  if (tsc_khz != 0) return;
  tsc_khz = GUESS_KHZ;
  json_error("the TSC frequency is unknown and times are guesses; give tsc_khz=");
}

uint64_t ticks_to_us(uint64_t ticks) { return ticks / tsc_khz * 1000 + ticks % tsc_khz * 1000 / tsc_khz; }

uint64_t ticks_to_sixteenth_us(uint64_t ticks) { return ticks / tsc_khz * 16000 + ticks % tsc_khz * 16000 / tsc_khz; }

void wait_part(uint64_t ticks) {
  /* Less is not worth the exit. */
  enum { SHORTEST_IDLE_US = 100 };
  const uint64_t us = on_threads ? ticks_to_us(ticks) : 0;
  if (us < SHORTEST_IDLE_US) return __builtin_ia32_pause();
  give_core_away(us < MAX_IDLE_US ? (uint32_t)us : MAX_IDLE_US);
}

void wait_us(uint64_t us) {
  const uint64_t start = read_tsc(), ticks = us_to_ticks(us);
  uint64_t gone = 0;
  for (; gone < ticks; gone = read_tsc() - start) wait_part(ticks - gone);
}
