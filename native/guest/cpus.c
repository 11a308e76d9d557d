#include "cpus.h"

#include <stddef.h>

#include "clock.h"
#include "json.h"
#include "lapic.h"
#include "memory.h"
#include "physical.h"
#include "text.h"
#include "threads.h"
#include "traps.h"
#include "tss.h"

enum { STACK_BYTES = 0x4000 };
enum { INIT_WAIT_US = 10 * 1000, SECOND_STARTUP_US = 1000, COME_UP_US = 2 * 1000 * 1000 };
enum { TSS_AVAILABLE = 0x89 };

struct ap_memory {
  uint8_t stack[STACK_BYTES];
  uint8_t trap_stack[TRAP_STACK_BYTES];
  struct tss tss;
};

/* As ap-trampoline.S reads it: guest-physical addresses, all below 4 GiB. */
struct ap_mailbox {
  uint32_t stack_top, tss_selector, cpu;
};

extern uint8_t ap_trampoline[], ap_trampoline_end[], ap_mailbox[];
extern uint64_t gdt[];

uint32_t cpu_count;
static struct cpu *cpus;
static struct {
  job *run;
  uint32_t number;
} posted;

struct cpu *cpu_at(uint32_t index) { return &cpus[index]; }

/* SDM volume 3, 8.2.3: a 16-byte descriptor with its base in four pieces. */
static void write_tss_descriptor(uint32_t selector, const struct tss *tss) {
  const uint64_t base = physical_of(tss);
  gdt[selector / 8] = (TSS_BYTES - 1) | (base & 0xffffff) << 16 | (uint64_t)TSS_AVAILABLE << 40 | (base >> 24) << 56;
  gdt[selector / 8 + 1] = base >> 32;
}

static void prepare(struct cpu *cpu, struct ap_memory *memory) {
  const uint32_t selector = SELECTOR_TSS + cpu->index * TSS_DESCRIPTOR_BYTES;
  tss_init(&memory->tss, memory->trap_stack + TRAP_STACK_BYTES);
  write_tss_descriptor(selector, &memory->tss);
  struct ap_mailbox *mailbox = at_physical(TRAMPOLINE_ADDRESS + (uint64_t)(ap_mailbox - ap_trampoline));
  mailbox->stack_top = (uint32_t)physical_of(memory->stack + STACK_BYTES);
  mailbox->tss_selector = selector;
  mailbox->cpu = (uint32_t)physical_of(cpu);
}

static bool is_online(const struct cpu *cpu) { return __atomic_load_n(&cpu->online, __ATOMIC_ACQUIRE) != 0; }

static bool comes_up(const struct cpu *cpu, uint64_t us) {
  const uint64_t start = read_tsc();
  uint32_t turns = 0;
  while (!is_online(cpu) && read_tsc() - start < us_to_ticks(us)) wait_turn(&turns);
  return is_online(cpu);
}

/* MP specification B.4, with the second message only for processors that missed the first. */
static bool start_by_message(struct cpu *cpu) {
  lapic_send_startup((uint8_t)cpu->apic_id, TRAMPOLINE_ADDRESS);
  if (comes_up(cpu, SECOND_STARTUP_US)) return true;
  lapic_send_startup((uint8_t)cpu->apic_id, TRAMPOLINE_ADDRESS);
  if (comes_up(cpu, COME_UP_US)) return true;
  lapic_send_init((uint8_t)cpu->apic_id); /* or it might come up later, on the stack of the next one */
  return false;
}

/** The vCPU of a thread; revoked, or it might come up later, on the stack of the next one. */
static bool start_thread(struct cpu *cpu, uint32_t number, struct ap_memory *memory) {
  thread_start(number, memory->stack + STACK_BYTES, cpu);
  if (comes_up(cpu, COME_UP_US)) return true;
  return !thread_start_revoke(number) && comes_up(cpu, COME_UP_US);
}

/** `number` is its place in the MADT. */
static bool start(struct cpu *cpu, uint32_t number, struct ap_memory *memory) {
  if (on_threads && start_thread(cpu, number, memory)) return true;
  if (!on_threads) {
    prepare(cpu, memory);
    if (start_by_message(cpu)) return true;
  }
  json_event("error");
  json_text("text", "a processor did not come up within 2 s");
  json_number("apic_id", cpu->apic_id);
  json_end();
  return false;
}

static void add_boot_cpu(const struct acpi *acpi) {
  cpus[0].apic_id = on_threads ? acpi->apic_ids[0] : lapic_id();
  cpus[0].online = 1;
  cpu_count = 1;
}

static void make_ready_to_start(const struct acpi *acpi) {
  memcpy(at_physical(TRAMPOLINE_ADDRESS), ap_trampoline, (size_t)(ap_trampoline_end - ap_trampoline));
  for (uint32_t i = 0; i < acpi->processors; i++)
    if (acpi->apic_ids[i] != cpus[0].apic_id) lapic_send_init(acpi->apic_ids[i]);
  wait_us(INIT_WAIT_US);
}

static void start_others(const struct acpi *acpi, uint32_t limit, struct ap_memory *memory) {
  if (!on_threads) make_ready_to_start(acpi);
  for (uint32_t i = 0; i < acpi->processors && cpu_count < limit; i++) {
    if (acpi->apic_ids[i] == cpus[0].apic_id) continue;
    struct cpu *cpu = &cpus[cpu_count];
    cpu->index = cpu_count;
    cpu->apic_id = acpi->apic_ids[i];
    if (start(cpu, i, &memory[cpu_count])) cpu_count++;
  }
}

bool cpus_init(const struct acpi *acpi, uint64_t limit) {
  const uint32_t wanted = limit < acpi->processors ? (uint32_t)limit : acpi->processors;
  const uint32_t slots = wanted == 0 ? 1 : wanted;
  cpus = memory_take(slots * sizeof(struct cpu));
  struct ap_memory *memory = memory_take(slots * sizeof(struct ap_memory));
  if (cpus == NULL || memory == NULL) return false;
  if (!on_threads) lapic_enable();
  add_boot_cpu(acpi);
  if (wanted <= 1) return true;
  if (on_threads || memory_is_ram(TRAMPOLINE_ADDRESS, TRAMPOLINE_ADDRESS + PAGE_BYTES))
    start_others(acpi, wanted, memory);
  else
    json_error("no RAM at 0x8000 to start processors from; there is one vCPU only");
  return true;
}

static uint32_t posted_number(void) { return __atomic_load_n(&posted.number, __ATOMIC_ACQUIRE); }

/** An application processor in ring 3 (from ap-trampoline.S or thread-entry.S); does not return. */
void ap_main(struct cpu *cpu) {
  if (!on_threads) lapic_enable();
  __atomic_store_n(&cpu->online, 1, __ATOMIC_RELEASE);
  for (;;) {
    uint32_t turns = 0;
    while (posted_number() == cpu->jobs_done) wait_turn(&turns);
    posted.run(cpu);
    __atomic_store_n(&cpu->jobs_done, posted_number(), __ATOMIC_RELEASE);
  }
}

void job_post(job *run) {
  posted.run = run;
  __atomic_store_n(&posted.number, posted.number + 1, __ATOMIC_RELEASE);
}

void job_wait(void) {
  uint32_t turns = 0;
  for (uint32_t i = 1; i < cpu_count; i++)
    while (__atomic_load_n(&cpus[i].jobs_done, __ATOMIC_ACQUIRE) != posted.number) {
      traps_report(); /* one that trapped is waited for in vain */
      wait_turn(&turns);
    }
}

void job_run(job *run) {
  job_post(run);
  run(&cpus[0]);
  job_wait();
}
