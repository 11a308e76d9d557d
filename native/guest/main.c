/* A guest that is nothing but load: it fills memory with a pattern, reads, checks and rewrites it at full speed or at
 * a given rate, times each access, and tells over the serial port what it felt. It boots by PVH, needs no firmware,
 * devices or interrupts, and runs in ring 3 on all vCPUs. The same image runs in the machine of threads (threads.h).
 *
 * Kernel command line: options, separated by blanks
 *   tsc_khz=N  frequency of the TSC, where the guest cannot find out or should not trust what it finds
 *   cpus=N     use N processors at most; without ACPI tables, those with APIC ids 0 ... N - 1
 *   run=LIST   commands to run at boot, separated by ';', with ',' for blanks: run=fill,mib=512;start,pattern=hotcold
 *
 * Commands: one per line on COM1, `name key=value ...`. Every answer is one line of JSON; at boot it is
 *   {"event":"ready","cpus":N,"arena_pages":N,"tsc_khz":N}
 *
 * fill mib=N [seed=N]
 *   The first N MiB of the arena become the working set, all of it written anew; stops the load.
 *   {"event":"filled","pages":N,"us":N}
 * start [pattern=uniform|sequential|hotcold|warm] [rate=N] [write=0..100] [cpus=N] [stall_us=N]
 *   Each vCPU accesses pages of its own share: rate per second and vCPU (0, the default: at full speed), rewriting
 *   write percent of them (100); an access longer than stall_us (5) is a stall. warm: all accesses go to one page.
 *   A millisecond or more in which vCPU 0 stands still between two accesses, while it looks at the serial port, counts
 *   as one. Starts anew if the load is running.
 *   {"event":"started"}
 * mark
 *   Keeps what a report would say now. {"event":"marked"}
 * report [marked=1]
 *   Since start or reset; with marked=1, what it was at the mark. longest_us is 0 if all took less than 1 us; hist_us
 *   has 16 buckets to an octave and leaves out empty ones.
 *   {"event":"report","us":N,"accesses":N,"bad":N,"stalls":N,"longest_us":N,"stalled_us":N,"tsc_backwards":N,
 *    "hist_us":[[upper_us,count],...],"cpus":[{the same from accesses to tsc_backwards},...]}
 * reset
 *   Zeroes the statistics. {"event":"reset"}
 * series [last_ms=N]
 *   Accesses that ended in each 10 ms, and the longest of them, for up to 60 s. The times are the TSC's; the last
 *   interval is under way.
 *   {"event":"series","interval_us":10000,"start_us":N,"now_us":N,"counts":[...],"longest_us":[...]}
 * clock
 *   {"event":"clock","now_us":N}
 * clocks
 *   All clocks of the machine, in one moment, apart_us from the first to the last of them: TSC, power-management timer
 *   (3.579545 MHz, 32 bits), and under KVM the timer of vCPU 0's LAPIC, which counts down since the first such command.
 *   {"event":"clocks","tsc_us":N,"apart_us":N,"pm_timer":N,"second_of_day":N,"lapic":N}
 * stop
 *   {"event":"stopped","accesses":N}
 * verify [outside=N]
 *   Stops the load, checks every word of the working set, and that N pages of the arena that were never written read
 *   zero (firmware may have used some; a VMM that boots PVH itself leaves them alone).
 *   {"event":"verified","pages":N,"bad":N,"outside":N,"outside_bad":N,"us":N}
 * registers [seed=N]
 *   On threads. Every vCPU fills its general, x87, vector and mask registers with a pattern, holds it for some 20 ms and
 *   checks it, again and again, instead of any load. {"event":"started"}
 * held
 *   How often since then, and how often anything was lost.
 *   {"event":"registers","features":"x87 sse avx avx512","checks":N,"bad":N}
 * spin ms=N
 *   vCPU 0 does nothing but wait. {"event":"spun","ms":N}
 * echo TEXT
 *   {"event":"echo","text":TEXT}
 * cpuinfo
 *   {"event":"cpuinfo","vendor":T,"brand":T,"signature":HEX,"hypervisor":T,"tsc_khz":N,"apic_ids":[...]}
 * poweroff, reset_machine, triple_fault, hlt (all vCPUs, for good; asleep on threads)
 *   An event of that name, and then it happens. The ACPI power button is a poweroff too, within a quarter of a second.
 *
 * At any time
 *   {"event":"bad","page":N,"address":HEX,"what":T,"line":N,"expected":HEX,"found":HEX}  for the first few wrong pages
 *   {"event":"exception","vector":N,"error":HEX,"rip":HEX,"address":HEX,"apic_id":N}     that vCPU halts
 *   {"event":"error","text":T,...}                                                       what failed and why
 */
#include <stddef.h>

#include "acpi.h"
#include "bad-pages.h"
#include "clock.h"
#include "commands.h"
#include "cpus.h"
#include "input.h"
#include "json.h"
#include "load.h"
#include "memory.h"
#include "physical.h"
#include "power.h"
#include "registers.h"
#include "serial.h"
#include "start-info.h"
#include "text.h"
#include "traps.h"
#include "working-set.h"

enum { MAX_COMMAND_LINE = 2048 };
/* Looking at the serial port is an exit to the VMM: seldom under load, when it would slow the load down. */
enum { POLL_US_UNDER_LOAD = 5 * 1000, POLL_US_IDLE = 1000 };

static char command_line[MAX_COMMAND_LINE];
static struct acpi acpi;

_Noreturn static void give_up(const char *text) {
  json_error(text);
  halt();
}

/** Copies what lies in memory that will become the arena. */
static struct hvm_start_info read_start_info(uint64_t address) {
  if (address > MAPPED_AT_BOOT - sizeof(struct hvm_start_info)) give_up("hvm_start_info is above 4 GiB");
  const struct hvm_start_info info = *(const struct hvm_start_info *)at_physical(address);
  if (info.magic != START_INFO_MAGIC) give_up("there is no hvm_start_info; boot this by PVH");
  if (info.cmdline_paddr != 0 && info.cmdline_paddr <= MAPPED_AT_BOOT - MAX_COMMAND_LINE)
    text_copy(command_line, sizeof command_line, at_physical(info.cmdline_paddr));
  return info;
}

/** Without tables, `cpus=` stands for the processors 0 ... cpus - 1. */
static uint64_t choose_cpus(void) {
  uint64_t limit = MAX_CPUS;
  const char *value = find_value(command_line, "cpus");
  if (value == NULL) return limit;
  if (!parse_number(value, word_length(value), &limit) || limit == 0 || limit > MAX_CPUS) {
    json_error("cpus= is not a number from 1 to 255");
    return MAX_CPUS;
  }
  if (acpi.processors == 0)
    for (; acpi.processors < limit; acpi.processors++) acpi.apic_ids[acpi.processors] = (uint8_t)acpi.processors;
  return limit;
}

static void boot(uint64_t start_info) {
  traps_init();
  serial_init();
  const struct hvm_start_info info = read_start_info(start_info);
  if (!memory_init(&info)) give_up("no memory map with RAM behind the image in hvm_start_info");
  clock_init(command_line);
  acpi_init(&acpi, info.rsdp_paddr);
  if (!cpus_init(&acpi, choose_cpus()) || !working_set_init()) give_up("too little RAM");
  arena_init();
  commands_init(&acpi);
}

static void announce(void) {
  json_event("ready");
  json_number("cpus", cpu_count);
  json_number("arena_pages", arena_pages());
  json_number("tsc_khz", tsc_khz);
  json_end();
}

/** Runs one command of `run=` and returns what follows it. */
static char *run_first(char *list, char *end) {
  char *at = list;
  for (; at < end && *at != ';'; at++)
    if (*at == ',') *at = ' ';
  *at = 0;
  run_command(list);
  return at + 1;
}

static void run_from_command_line(void) {
  const char *value = find_value(command_line, "run");
  if (value == NULL) return;
  char *list = command_line + (value - command_line), *end = list + word_length(list);
  while (list < end) list = run_first(list, end);
}

/** Between two looks at the serial port, vCPU 0 takes part in the load or waits. */
static void work(void) {
  if (load_running())
    load_slice(POLL_US_UNDER_LOAD);
  else if (registers_running())
    registers_slice();
  else
    wait_us(POLL_US_IDLE);
}

/** vCPU 0 in ring 3, from entry.S or thread-entry.S; start_info is the guest-physical address of hvm_start_info. */
_Noreturn void main(uint64_t start_info) {
  boot(start_info);
  announce();
  run_from_command_line();
  for (;;) {
    const char *line;
    work();
    traps_report();
    bad_pages_report();
    if (power_button_pushed(&acpi)) run_command("poweroff");
    while ((line = input_poll()) != NULL) {
      run_command(line);
      load_was_busy();
    }
  }
}
