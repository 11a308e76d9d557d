#include "kvm/vcpu_signals.h"

#include <array>
#include <mutex>

#include "threads/guest_context.h"

namespace postcopy {
namespace {

// What a guest that runs as a thread can do wrong (Intel SDM vol. 3, 6.15, as signal(7) has it).
constexpr std::array kExceptions = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};

// By number: what the process had before. V8 has a SIGSEGV of its own, for WebAssembly.
struct sigaction previous[NSIG];

void CallPrevious(int signal, siginfo_t* info, void* context) {
  const struct sigaction& action = previous[signal];
  if ((action.sa_flags & SA_SIGINFO) != 0) return action.sa_sigaction(signal, info, context);
  if (action.sa_handler == SIG_IGN) return;
  if (action.sa_handler != SIG_DFL) return action.sa_handler(signal);
  // The instruction is run again, or the signal sent again, and ends the process as it would have.
  ::signal(signal, SIG_DFL);
  if (info->si_code <= 0) raise(signal);
}

// A signal handler must not allocate them.
__attribute__((tls_model("initial-exec"))) thread_local volatile bool notes_lost_pages = false;
__attribute__((tls_model("initial-exec"))) thread_local volatile uintptr_t lost_page = 0;

// Of the kernel on behalf of KVM, whose thread touches no guest RAM itself.
bool NoteLostPage(int signal, const siginfo_t* info) {
  if (signal != SIGBUS || info->si_code != BUS_MCEERR_AR || !notes_lost_pages) return false;
  lost_page = reinterpret_cast<uintptr_t>(info->si_addr);
  return true;
}

void OnSignal(int signal, siginfo_t* info, void* context) {
  if (NoteLostPage(signal, info)) return;
  GuestContext* guest = GuestContext::Running();
  // Sent by a process: none of the guest's doing.
  const bool is_exception = signal != KickSignal();
  const bool is_sent = is_exception && info->si_code <= 0;
  if (guest != nullptr && !is_sent) return guest->Leave(signal, static_cast<ucontext_t*>(context));
  if (is_exception) CallPrevious(signal, info, context);
}

void Install(int signal, struct sigaction* before) {
  struct sigaction action{};
  action.sa_sigaction = OnSignal;
  // On a stack of the host's: the guest's own may lack its page, or be none.
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigfillset(&action.sa_mask);
  sigaction(signal, &action, before);
}

}  // namespace

int KickSignal() { return SIGRTMIN + 5; }

void InstallVcpuSignals() {
  static std::once_flag once;
  std::call_once(once, [] {
    Install(KickSignal(), nullptr);
    for (int signal : kExceptions) Install(signal, &previous[signal]);
  });
}

void NoteLostPages() { notes_lost_pages = true; }

uintptr_t TakeLostPage() {
  const uintptr_t taken = lost_page;
  lost_page = 0;
  return taken;
}

const sigset_t& VcpuSignalMask() {
  static const sigset_t mask = [] {
    sigset_t set;
    sigfillset(&set);
    sigdelset(&set, KickSignal());
    for (int signal : kExceptions) sigdelset(&set, signal);
    return set;
  }();
  return mask;
}

}  // namespace postcopy
