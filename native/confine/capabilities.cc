#include "confine/capabilities.h"

#include <dirent.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <system_error>

namespace postcopy {
namespace {

// The signal by which the C library has all threads change their user (nptl(7)). It is the only one that no thread
// blocks: sigfillset(3) leaves it out. sigaction(2) of the library refuses it, so that it is set past it.
constexpr int kEveryThread = 33;
constexpr int kCapabilityBits = 64;

// As the kernel has it for x86-64.
struct KernelAction {
  void (*handler)(int, siginfo_t*, void*);
  unsigned long flags;
  void (*restorer)();
  uint64_t mask;
};
constexpr unsigned long kSaRestorer = 0x04000000;
constexpr uint64_t kAllSignals = ~uint64_t{0};

std::atomic<uint64_t> kept{~uint64_t{0}};
// The C library's.
KernelAction previous{};

[[noreturn]] void Fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

// Of the calling thread. In a signal handler: system calls alone.
bool LimitThread(uint64_t keep) {
  // Refused to who may not: then there is nothing that could be got again by them.
  for (int bit = 0; bit < kCapabilityBits; bit++) {
    if ((keep >> bit & 1) == 0 && syscall(SYS_prctl, PR_CAPBSET_DROP, bit, 0, 0, 0) < 0) break;
  }
  syscall(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3]{};
  if (syscall(SYS_capget, &header, data) < 0) return false;
  for (int word = 0; word < _LINUX_CAPABILITY_U32S_3; word++) {
    const auto bits = static_cast<uint32_t>(keep >> (32 * word));
    data[word].permitted &= bits;
    data[word].effective &= bits;
    data[word].inheritable = 0;
  }
  return syscall(SYS_capset, &header, data) == 0;
}

void OnSignal(int signal, siginfo_t* info, void* context) {
  // The library's own come from tgkill(2).
  if (info->si_code != SI_QUEUE) {
    if ((previous.flags & SA_SIGINFO) != 0) previous.handler(signal, info, context);
    return;
  }
  const int error = errno;
  LimitThread(kept.load());
  errno = error;
}

asm(R"(
        .text
        .type return_from_signal, @function
return_from_signal:
        mov $15, %eax
        syscall
        .size return_from_signal, . - return_from_signal
)");
extern "C" void return_from_signal() __attribute__((visibility("hidden")));

// It stays: a thread that waits in the kernel takes the signal when it comes out.
void InstallHandler() {
  static const bool once = [] {
    if (syscall(SYS_rt_sigaction, kEveryThread, nullptr, &previous, sizeof(uint64_t)) < 0) Fail("rt_sigaction");
    // On the thread's signal stack, if it has one: the stack may be a guest's (threads/guest_context.h).
    const KernelAction action{OnSignal, SA_SIGINFO | SA_ONSTACK | SA_RESTART | kSaRestorer, return_from_signal,
                              kAllSignals};
    if (syscall(SYS_rt_sigaction, kEveryThread, &action, nullptr, sizeof(uint64_t)) < 0) Fail("rt_sigaction");
    return true;
  }();
  (void)once;
}

// The hexadecimal number of this field, if the line is of it.
bool Read(const std::string& line, const char* field, uint64_t& value) {
  const size_t length = strlen(field);
  if (line.compare(0, length, field) != 0) return false;
  value = strtoull(line.c_str() + length, nullptr, 16);
  return true;
}

// False also of a thread that has just ended, and of one that is the kernel's own (KVM has one in the process, which
// runs nothing of the process's): they block all signals.
bool HasMore(const std::string& thread, uint64_t keep) {
  std::ifstream status("/proc/self/task/" + thread + "/status");
  uint64_t blocked = 0;
  uint64_t permitted = 0;
  for (std::string line; std::getline(status, line);) {
    if (Read(line, "SigBlk:", blocked) || Read(line, "CapPrm:", permitted)) continue;
  }
  return (blocked >> (kEveryThread - 1) & 1) == 0 && (permitted & ~keep) != 0;
}

void Signal(pid_t thread) {
  siginfo_t info{};
  info.si_signo = kEveryThread;
  info.si_code = SI_QUEUE;
  info.si_pid = getpid();
  info.si_uid = getuid();
  const long result = syscall(SYS_rt_tgsigqueueinfo, getpid(), thread, kEveryThread, &info);
  if (result < 0 && errno != ESRCH && errno != EAGAIN) Fail("rt_tgsigqueueinfo");
}

}  // namespace

int LimitCapabilities(uint64_t keep) {
  InstallHandler();
  kept.store(keep);
  if (!LimitThread(keep)) Fail("capset");
  std::unique_ptr<DIR, int (*)(DIR*)> threads(opendir("/proc/self/task"), closedir);
  if (threads == nullptr) Fail("opendir");
  int left = 0;
  while (const dirent* entry = readdir(threads.get())) {
    if (entry->d_name[0] == '.' || !HasMore(entry->d_name, keep)) continue;
    Signal(static_cast<pid_t>(atoi(entry->d_name)));
    left++;
  }
  return left;
}

}  // namespace postcopy
