#include "registers.h"

#include <stddef.h>

#include "clock.h"
#include "cpuid.h"
#include "cpus.h"
#include "json.h"
#include "pattern.h"
#include "text.h"

enum { VECTORS = 32, SSE_VECTORS = 16, VECTOR_WORDS = 8, MASKS = 8, X87 = 8, GENERAL = 10 };
/* A turn takes a cycle or two. Long enough to be met by any move, short enough to answer commands in between. */
enum { HOLD_MS = 20, MAX_ROUND_WORDS = 1024 };

/* hold-registers.S */
struct held {
  uint64_t vector[VECTORS][VECTOR_WORDS];
  uint64_t mask[MASKS];
  uint64_t x87[X87][2];
  uint64_t general[GENERAL];
  uint32_t mxcsr;
  uint16_t fcw;
};
_Static_assert(offsetof(struct held, vector) == HOLD_VECTOR && offsetof(struct held, mask) == HOLD_MASK &&
                   offsetof(struct held, x87) == HOLD_X87 && offsetof(struct held, general) == HOLD_GENERAL &&
                   offsetof(struct held, mxcsr) == HOLD_MXCSR && offsetof(struct held, fcw) == HOLD_FCW,
               "as hold-registers.S has it");

void hold_registers(const struct held *load, struct held *store, uint64_t turns, uint32_t features);

static uint64_t seed;
static uint32_t stopping = 1;
static uint64_t checks, bad;

/* XCR0 (Intel SDM volume 1, 13.3), which says what the kernel saves. */
static uint32_t enabled_state(void) {
  enum { OSXSAVE = 27 };
  if (!(read_cpuid(1).ecx >> OSXSAVE & 1)) return 0;
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

static uint32_t find_features(void) {
  enum { AVX_STATE = 0x6, AVX512_STATE = 0xe6, AVX = 28, AVX512F = 16, AVX512BW = 30 };
  const uint32_t state = enabled_state();
  const uint32_t leaf7 = read_cpuid(7).ebx;
  uint32_t features = 0;
  if ((state & AVX_STATE) == AVX_STATE && (read_cpuid(1).ecx >> AVX & 1)) features |= HOLD_AVX;
  if ((state & AVX512_STATE) == AVX512_STATE && (leaf7 >> AVX512F & 1) && (leaf7 >> AVX512BW & 1))
    features |= HOLD_AVX512;
  return features;
}

/* Another word for each register of each vCPU, and each round. */
static uint64_t word(const struct cpu *cpu, uint64_t round, uint64_t number) {
  return page_key(seed + round * MAX_ROUND_WORDS + number, cpu->index);
}

static void fill(struct held *held, const struct cpu *cpu, uint64_t round, uint32_t features) {
  enum { EXPONENT = 0x3fff, INTEGER_BIT = 63, MXCSR = 0x1f80, MXCSR_ROUNDING = 13, FCW = 0x37f, FCW_ROUNDING = 10 };
  uint64_t number = 0;
  memset(held, 0, sizeof *held);
  const uint32_t vectors = features & HOLD_AVX512 ? VECTORS : SSE_VECTORS;
  const uint32_t words = features & HOLD_AVX512 ? VECTOR_WORDS : features & HOLD_AVX ? VECTOR_WORDS / 2 : 2;
  for (uint32_t i = 0; i < vectors; i++)
    for (uint32_t j = 0; j < words; j++) held->vector[i][j] = word(cpu, round, number++);
  for (uint32_t i = 0; features & HOLD_AVX512 && i < MASKS; i++) held->mask[i] = word(cpu, round, number++);
  /* Any normal number is loaded and stored as it is. */
  for (uint32_t i = 0; i < X87; i++) {
    held->x87[i][0] = word(cpu, round, number++) | 1ull << INTEGER_BIT;
    held->x87[i][1] = EXPONENT + (word(cpu, round, number++) & 0xff);
  }
  for (uint32_t i = 0; i < GENERAL; i++) held->general[i] = word(cpu, round, number++);
  held->mxcsr = MXCSR | (uint32_t)(word(cpu, round, number++) & 3) << MXCSR_ROUNDING;
  held->fcw = (uint16_t)(FCW | (word(cpu, round, number) & 3) << FCW_ROUNDING);
}

static void check(const struct cpu *cpu) {
  const uint32_t features = find_features();
  const uint64_t round = __atomic_fetch_add(&checks, 1, __ATOMIC_RELAXED);
  struct held load, store;
  fill(&load, cpu, round, features);
  memset(&store, 0, sizeof store);
  hold_registers(&load, &store, HOLD_MS * tsc_khz, features);
  if (memcmp(&load, &store, sizeof load) != 0) __atomic_fetch_add(&bad, 1, __ATOMIC_RELAXED);
}

static bool is_stopping(void) { return __atomic_load_n(&stopping, __ATOMIC_ACQUIRE) != 0; }

static void check_until_stopped(struct cpu *cpu) {
  while (!is_stopping()) check(cpu);
}

void registers_start(uint64_t with) {
  seed = with;
  checks = bad = 0;
  __atomic_store_n(&stopping, 0, __ATOMIC_RELEASE);
  job_post(check_until_stopped);
}

void registers_slice(void) { check(cpu_at(0)); }

bool registers_running(void) { return !is_stopping(); }

void registers_stop(void) {
  if (is_stopping()) return;
  __atomic_store_n(&stopping, 1, __ATOMIC_RELEASE);
  job_wait();
}

void registers_report(void) {
  const uint32_t features = find_features();
  json_event("registers");
  json_text("features", features & HOLD_AVX512 ? "x87 sse avx avx512"
                        : features & HOLD_AVX  ? "x87 sse avx"
                                               : "x87 sse");
  json_number("checks", __atomic_load_n(&checks, __ATOMIC_RELAXED));
  json_number("bad", __atomic_load_n(&bad, __ATOMIC_RELAXED));
  json_end();
}
