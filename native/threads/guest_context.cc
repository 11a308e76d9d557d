#include "threads/guest_context.h"

#include <pthread.h>
#include <sys/auxv.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <new>

#include "kvm/vcpu_signals.h"

// enter_guest(frame, &host_stack): keeps what a function must keep (System V ABI, 3.2.1) and returns from the signal
// frame at `frame`, whose first field the kernel expects to have been popped already. leave_guest is where its handler
// has the thread go on, with the stack pointer that was kept.
asm(R"(
        .text
        .type enter_guest, @function
enter_guest:
        .cfi_startproc
        push %rbx
        push %rbp
        push %r12
        push %r13
        push %r14
        push %r15
        mov %rsp, (%rsi)
        mov %rdi, %rsp
        mov $15, %eax
        syscall
        ud2
leave_guest:
        pop %r15
        pop %r14
        pop %r13
        pop %r12
        pop %rbp
        pop %rbx
        ret
        .cfi_endproc
        .size enter_guest, . - enter_guest
)");

extern "C" {
void enter_guest(ucontext_t* frame, void** host_stack) __attribute__((visibility("hidden")));
void leave_guest() __attribute__((visibility("hidden")));
}

namespace postcopy {
namespace {

// <asm/ucontext.h> and <asm/sigcontext.h>, which cannot be included beside the C library's.
constexpr uint32_t kXstateMagic = 0x46505853;
constexpr unsigned long kUcFpXstate = 1;
constexpr unsigned long kUcSigcontextSs = 2;
constexpr unsigned long kUcStrictRestoreSs = 4;
// __USER_CS and __USER_DS of x86-64 Linux.
constexpr uint64_t kUserCode = 0x33;
constexpr uint64_t kUserData = 0x2b;
constexpr uint64_t kSelectors = kUserCode | kUserData << 48;
// Bit 1 is always set, and interrupts are on, as in all of user mode.
constexpr uint64_t kHostFlags = 0x202;

// The XSAVE area: legacy region, header (Intel SDM vol. 1, 13.4.1 and 13.4.2).
constexpr size_t kMxcsr = 24;
constexpr size_t kMxcsrMask = 28;
constexpr size_t kSoftwareBytes = 464;
constexpr size_t kLegacyBytes = 512;
constexpr size_t kHeaderBytes = 64;
constexpr uint16_t kInitialControlWord = 0x37f;
constexpr uint32_t kInitialMxcsr = 0x1f80;
// Where the mask reads 0 (SDM vol. 1, 11.6.6).
constexpr uint32_t kDefaultMxcsrMask = 0xffbf;

constexpr size_t kSignalStackBytes = 64 * 1024;
constexpr size_t kAlignment = 64;

// Set for as long as the thread is in the guest. A signal handler must not allocate it.
__attribute__((tls_model("initial-exec"))) thread_local GuestContext* running = nullptr;

template <typename T>
T Load(const uint8_t* at) {
  T value;
  memcpy(&value, at, sizeof value);
  return value;
}

}  // namespace

GuestContext* GuestContext::Running() { return running; }

GuestContext::GuestContext() = default;

GuestContext::~GuestContext() { free(xsave_); }

void GuestContext::Begin() {
  const size_t bytes = kSignalStackBytes + getauxval(AT_MINSIGSTKSZ);
  signal_stack_ = std::make_unique<uint8_t[]>(bytes);
  stack_t stack{};
  stack.ss_sp = signal_stack_.get();
  stack.ss_size = bytes;
  sigaltstack(&stack, nullptr);
  capturing_ = true;
  running = this;
  pthread_kill(pthread_self(), KickSignal());  // delivered before this returns
  running = nullptr;
  capturing_ = false;
  // From here on the kick is taken in the guest only; one that comes in between waits for the next entry.
  sigset_t kick;
  sigemptyset(&kick);
  sigaddset(&kick, KickSignal());
  pthread_sigmask(SIG_BLOCK, &kick, nullptr);
  pthread_sigmask(SIG_SETMASK, nullptr, &host_mask_);
}

// What the kernel writes beside the registers is needed to give them back; the registers are those of a processor after
// reset.
void GuestContext::Capture(const ucontext_t* frame) {
  const auto* area = reinterpret_cast<const uint8_t*>(frame->uc_mcontext.fpregs);
  const auto software = Load<_fpx_sw_bytes>(area + kSoftwareBytes);
  const bool extended = software.magic1 == kXstateMagic;
  xsave_bytes_ = extended ? software.xstate_size : kLegacyBytes;
  xfeatures_ = extended ? software.xstate_bv : 0;
  const size_t bytes = extended ? software.extended_size : kLegacyBytes;
  xsave_ = static_cast<uint8_t*>(aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment));
  memcpy(xsave_, area, bytes);
  const auto mask = Load<uint32_t>(xsave_ + kMxcsrMask);
  mxcsr_mask_ = mask == 0 ? kDefaultMxcsrMask : mask;
  memset(xsave_, 0, kSoftwareBytes);
  memset(xsave_ + kLegacyBytes, 0, xsave_bytes_ - kLegacyBytes);
  memcpy(xsave_, &kInitialControlWord, sizeof kInitialControlWord);
  memcpy(xsave_ + kMxcsr, &kInitialMxcsr, sizeof kInitialMxcsr);
}

GuestContext::Exit GuestContext::Enter() {
  ucontext_t frame{};
  frame.uc_flags = kUcFpXstate | kUcSigcontextSs | kUcStrictRestoreSs;
  sigaltstack(nullptr, &frame.uc_stack);
  auto& r = frame.uc_mcontext.gregs;
  const Registers& g = general_;
  const std::pair<int, uint64_t> values[] = {
      {REG_RAX, g.rax}, {REG_RBX, g.rbx}, {REG_RCX, g.rcx},    {REG_RDX, g.rdx},        {REG_RSI, g.rsi},
      {REG_RDI, g.rdi}, {REG_RSP, g.rsp}, {REG_RBP, g.rbp},    {REG_R8, g.r8},          {REG_R9, g.r9},
      {REG_R10, g.r10}, {REG_R11, g.r11}, {REG_R12, g.r12},    {REG_R13, g.r13},        {REG_R14, g.r14},
      {REG_R15, g.r15}, {REG_RIP, g.rip}, {REG_EFL, g.rflags}, {REG_CSGSFS, kSelectors}};
  for (const auto& [index, value] : values) r[index] = static_cast<greg_t>(value);
  frame.uc_mcontext.fpregs = reinterpret_cast<fpregset_t>(xsave_);
  frame.uc_sigmask = VcpuSignalMask();
  running = this;
  enter_guest(&frame, &host_stack_);
  return exit_;
}

void GuestContext::Leave(int signal, ucontext_t* frame) {
  if (capturing_) return Capture(frame);
  running = nullptr;
  auto& r = frame->uc_mcontext.gregs;
  const auto get = [&](int index) { return static_cast<uint64_t>(r[index]); };
  general_ = {get(REG_RAX), get(REG_RBX), get(REG_RCX), get(REG_RDX), get(REG_RSI), get(REG_RDI),
              get(REG_RSP), get(REG_RBP), get(REG_R8),  get(REG_R9),  get(REG_R10), get(REG_R11),
              get(REG_R12), get(REG_R13), get(REG_R14), get(REG_R15), get(REG_RIP), get(REG_EFL)};
  // The magic numbers are the same in every frame.
  memcpy(xsave_, frame->uc_mcontext.fpregs, xsave_bytes_);
  exit_ = {signal, static_cast<int>(r[REG_TRAPNO]), get(REG_CR2)};
  r[REG_RIP] = reinterpret_cast<greg_t>(&leave_guest);
  r[REG_RSP] = reinterpret_cast<greg_t>(host_stack_);
  r[REG_EFL] = kHostFlags;
  // None: the kernel initializes the FPU, as a function call may find it.
  frame->uc_mcontext.fpregs = nullptr;
  frame->uc_sigmask = host_mask_;
}

void GuestContext::GetXsave(uint8_t* into) const {
  memcpy(into, xsave_, xsave_bytes_);
  memset(into + kSoftwareBytes, 0, kLegacyBytes - kSoftwareBytes);
}

// XRSTOR refuses reserved bits of MXCSR and of the header (Intel SDM vol. 1, 13.8), and the thread would end for it.
bool GuestContext::SetXsave(const uint8_t* from) {
  if ((Load<uint32_t>(from + kMxcsr) & ~mxcsr_mask_) != 0) return false;
  if (xsave_bytes_ > kLegacyBytes) {
    const uint8_t* header = from + kLegacyBytes;
    if ((Load<uint64_t>(header) & ~xfeatures_) != 0) return false;
    if (std::any_of(header + sizeof(uint64_t), header + kHeaderBytes, [](uint8_t byte) { return byte != 0; }))
      return false;
  }
  memcpy(xsave_, from, kSoftwareBytes);
  memcpy(xsave_ + kLegacyBytes, from + kLegacyBytes, xsave_bytes_ - kLegacyBytes);
  return true;
}

}  // namespace postcopy
