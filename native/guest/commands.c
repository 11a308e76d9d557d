#include "commands.h"

#include <stddef.h>

#include "bad-pages.h"
#include "clock.h"
#include "clocks.h"
#include "cpuinfo.h"
#include "cpus.h"
#include "json.h"
#include "load.h"
#include "memory.h"
#include "power.h"
#include "registers.h"
#include "stats.h"
#include "text.h"
#include "threads.h"
#include "traps.h"
#include "working-set.h"

enum { PAGES_PER_MIB = 256, DEFAULT_STALL_US = 5, MAX_STALL_US = 1000 * 1000, MAX_SPIN_MS = 3600 * 1000 };
enum { MAX_RATE = 100 * 1000 * 1000, MAX_SERIES_MS = INTERVALS * (INTERVAL_US / 1000) };

static const struct acpi *acpi;

/* Answers an error and returns false if the value is no number from min to max. */
static bool number_option(const char *args, const char *key, uint64_t min, uint64_t max, uint64_t *value) {
  const char *text = find_value(args, key);
  if (text == NULL) return true;
  uint64_t number;
  if (parse_number(text, word_length(text), &number) && number >= min && number <= max) {
    *value = number;
    return true;
  }
  json_event("error");
  json_text("text", "a value is not a number within bounds");
  json_text("key", key);
  json_number("min", min);
  json_number("max", max);
  json_end();
  return false;
}

/* Whatever the vCPUs are at. */
static void stop_work(void) {
  load_stop();
  registers_stop();
}

static void fill(const char *args) {
  const uint64_t most = arena_pages() / PAGES_PER_MIB;
  uint64_t mib = 0, seed = 1;
  if (!number_option(args, "mib", 1, most, &mib) || !number_option(args, "seed", 0, UINT64_MAX, &seed)) return;
  if (mib == 0) return json_error("fill needs mib=");
  stop_work();
  const uint64_t start = read_tsc();
  working_set_fill(mib * PAGES_PER_MIB, seed);
  json_event("filled");
  json_number("pages", working_set.pages);
  json_number("us", ticks_to_us(read_tsc() - start));
  json_end();
}

static bool pattern_option(const char *args, enum load_pattern *pattern) {
  static const char *const names[] = {"uniform", "sequential", "hotcold", "warm"};
  const char *value = find_value(args, "pattern");
  if (value == NULL) return true;
  for (uint32_t i = 0; i < sizeof names / sizeof *names; i++) {
    char name[16] = {0};
    if (word_length(value) < sizeof name) memcpy(name, value, word_length(value));
    if (!text_equal(name, names[i])) continue;
    *pattern = (enum load_pattern)i;
    return true;
  }
  json_error("pattern= is uniform, sequential, hotcold or warm");
  return false;
}

static void start(const char *args) {
  struct load_options options = {LOAD_UNIFORM, 0, 100, cpu_count};
  uint64_t stall_us = DEFAULT_STALL_US;
  const bool understood = pattern_option(args, &options.pattern) &&
                          number_option(args, "rate", 0, MAX_RATE, &options.rate) &&
                          number_option(args, "write", 0, 100, &options.write_percent) &&
                          number_option(args, "cpus", 1, cpu_count, &options.cpus) &&
                          number_option(args, "stall_us", 1, MAX_STALL_US, &stall_us);
  if (!understood) return;
  if (working_set.pages == 0) return json_error("there is nothing to access yet; fill first");
  stop_work();
  stats_init(stall_us);
  load_start(&options);
  json_event("started");
  json_end();
}

static uint64_t marked_us;

static void mark(const char *args) {
  (void)args;
  stats_mark();
  marked_us = load_us();
  json_event("marked");
  json_end();
}

static void report(const char *args) {
  uint64_t marked = 0;
  if (!number_option(args, "marked", 0, 1, &marked)) return;
  if (marked) return stats_report_marked(marked_us);
  stats_report(load_us());
}

static void reset(const char *args) {
  (void)args;
  load_reset_stats();
  json_event("reset");
  json_end();
}

static void series(const char *args) {
  uint64_t last_ms = MAX_SERIES_MS;
  if (number_option(args, "last_ms", INTERVAL_US / 1000, MAX_SERIES_MS, &last_ms)) stats_series(last_ms);
}

static void tell_time(const char *args) {
  (void)args;
  json_event("clock");
  json_number("now_us", ticks_to_us(read_tsc()));
  json_end();
}

static void clocks(const char *args) {
  (void)args;
  clocks_report(acpi);
}

static void stop(const char *args) {
  (void)args;
  stop_work();
  bad_pages_report();
  json_event("stopped");
  json_number("accesses", load_accesses());
  json_end();
}

static void verify(const char *args) {
  uint64_t outside = 0;
  if (!number_option(args, "outside", 0, UINT64_MAX, &outside)) return;
  stop_work();
  bad_pages_report();
  const uint64_t start = read_tsc();
  const struct verified result = working_set_verify(outside);
  const uint64_t us = ticks_to_us(read_tsc() - start);
  bad_pages_report();
  json_event("verified");
  json_number("pages", working_set.pages);
  json_number("bad", result.bad);
  json_number("outside", result.outside);
  json_number("outside_bad", result.outside_bad);
  json_number("us", us);
  json_end();
}

static void registers(const char *args) {
  uint64_t seed = 1;
  if (!number_option(args, "seed", 0, UINT64_MAX, &seed)) return;
  if (!on_threads) return json_error("registers is for the machine of threads: ring 0 here has enabled no vectors");
  stop_work();
  registers_start(seed);
  json_event("started");
  json_end();
}

static void report_registers(const char *args) {
  (void)args;
  registers_report();
}

static void spin(const char *args) {
  uint64_t ms = 0;
  if (!number_option(args, "ms", 0, MAX_SPIN_MS, &ms)) return;
  wait_us(ms * 1000);
  json_event("spun");
  json_number("ms", ms);
  json_end();
}

static void echo(const char *args) {
  json_event("echo");
  json_text("text", args);
  json_end();
}

static void cpuinfo(const char *args) {
  (void)args;
  write_cpuinfo();
}

/* Said before it happens: afterwards nobody is left to answer. */
static void announce(const char *event) {
  json_event(event);
  json_end();
}

static void poweroff(const char *args) {
  (void)args;
  announce("poweroff");
  power_off(acpi);
  json_error("the machine did not power off");
}

static void reset_machine(const char *args) {
  (void)args;
  announce("reset_machine");
  machine_reset();
  json_error("the machine did not reset");
}

static void fault(const char *args) {
  (void)args;
  announce("triple_fault");
  triple_fault();
}

static void panic(const char *args) {
  (void)args;
  announce("panic");
  say_panic();
}

static void halt_job(struct cpu *cpu) {
  (void)cpu;
  halt();
}

static void hlt(const char *args) {
  (void)args;
  stop_work();
  announce("hlt");
  job_run(halt_job);
}

static const struct command {
  const char *name;
  /* The keys it takes, each between blanks; NULL for free text. */
  const char *keys;
  void (*run)(const char *args);
} commands[] = {
    {"fill", " mib seed ", fill},
    {"start", " pattern rate write cpus stall_us ", start},
    {"mark", " ", mark},
    {"report", " marked ", report},
    {"reset", " ", reset},
    {"series", " last_ms ", series},
    {"clock", " ", tell_time},
    {"clocks", " ", clocks},
    {"stop", " ", stop},
    {"verify", " outside ", verify},
    {"registers", " seed ", registers},
    {"held", " ", report_registers},
    {"spin", " ms ", spin},
    {"echo", NULL, echo},
    {"cpuinfo", " ", cpuinfo},
    {"poweroff", " ", poweroff},
    {"reset_machine", " ", reset_machine},
    {"triple_fault", " ", fault},
    {"panic", " ", panic},
    {"hlt", " ", hlt},
};

static bool is_key(const char *keys, const char *word, size_t length) {
  size_t key = 0;
  while (key < length && word[key] != '=') key++;
  if (key == 0 || key == length) return false;
  for (const char *at = skip_blanks(keys); *at != 0; at = skip_blanks(at + word_length(at)))
    if (word_length(at) == key && memcmp(at, word, key) == 0) return true;
  return false;
}

/* A misspelt key must not silently mean the default. */
static bool all_keys_known(const char *keys, const char *args) {
  for (args = skip_blanks(args); *args != 0; args = skip_blanks(args + word_length(args)))
    if (!is_key(keys, args, word_length(args))) return false;
  return true;
}

static void error_about(const char *text, const char *line) {
  json_event("error");
  json_text("text", text);
  json_text("command", line);
  json_end();
}

void commands_init(const struct acpi *tables) {
  acpi = tables;
  stats_init(DEFAULT_STALL_US);
}

void run_command(const char *line) {
  line = skip_blanks(line);
  const size_t length = word_length(line);
  if (length == 0) return;
  for (uint32_t i = 0; i < sizeof commands / sizeof *commands; i++) {
    const struct command *command = &commands[i];
    char name[16] = {0};
    if (length < sizeof name) memcpy(name, line, length);
    if (!text_equal(name, command->name)) continue;
    const char *args = skip_blanks(line + length);
    if (command->keys != NULL && !all_keys_known(command->keys, args))
      return error_about("the command has an argument it does not take", line);
    return command->run(args);
  }
  error_about("unknown command", line);
}
