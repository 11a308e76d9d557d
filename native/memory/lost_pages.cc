#include "memory/lost_pages.h"

#include <pthread.h>
#include <ucontext.h>

#include <mutex>

namespace postcopy {
namespace {

struct sigaction previous;

void CallPrevious(int signal, siginfo_t* info, void* context) {
  if ((previous.sa_flags & SA_SIGINFO) != 0) return previous.sa_sigaction(signal, info, context);
  if (previous.sa_handler == SIG_IGN) return;
  if (previous.sa_handler != SIG_DFL) return previous.sa_handler(signal);
  // The instruction is run again, or the signal sent again, and ends the process as it would have.
  ::signal(signal, SIG_DFL);
  if (info->si_code <= 0) raise(signal);
}

}  // namespace

thread_local sigjmp_buf* volatile LostPages::out_ = nullptr;

void LostPages::Expect() {
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction action{};
    action.sa_sigaction = OnSignal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigfillset(&action.sa_mask);
    sigaction(SIGBUS, &action, &previous);
  });
}

void LostPages::OnSignal(int signal, siginfo_t* info, void* context) {
  // A page has failed that nobody is about to touch: who touches it later is told then.
  if (info->si_code == BUS_MCEERR_AO) return;
  if (out_ == nullptr || info->si_code <= 0) return CallPrevious(signal, info, context);
  // As a return from here would.
  pthread_sigmask(SIG_SETMASK, &static_cast<ucontext_t*>(context)->uc_sigmask, nullptr);
  siglongjmp(*out_, 1);
}

}  // namespace postcopy
