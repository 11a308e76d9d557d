#pragma once
#include <csetjmp>
#include <csignal>
#include <cstddef>

namespace postcopy {

// Pages of guest RAM that cannot be had: the host's memory has failed under them (a machine check), and whoever touches
// one gets a SIGBUS, which ends a process that does not expect it. Our own touches do: the guest's, and those of
// others, go to whoever had the signal before.
class LostPages {
 public:
  // Once for the process, before anybody else takes the signal.
  static void Expect();

  // Runs `touch`, which has nothing to destroy and keeps no lock; false if it came to a page that is lost, and was left
  // there.
  template <typename Touch>
  static bool Survive(const Touch& touch) {
    sigjmp_buf out;
    sigjmp_buf* const before = out_;
    if (sigsetjmp(out, 0) != 0) {
      out_ = before;
      return false;
    }
    out_ = &out;
    touch();
    out_ = before;
    return true;
  }

 private:
  // Of this thread: where a touch goes on that fails. Null while there is none.
  static thread_local sigjmp_buf* volatile out_;

  static void OnSignal(int signal, siginfo_t* info, void* context);
};

}  // namespace postcopy
