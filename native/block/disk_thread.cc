#include "block/disk_thread.h"

#include <pthread.h>

#include <csignal>

namespace postcopy {

void SetUpDiskThread(const char* name) {
  pthread_setname_np(pthread_self(), name);
  sigset_t set;
  sigfillset(&set);
  sigdelset(&set, SIGSEGV);
  sigdelset(&set, SIGBUS);
  pthread_sigmask(SIG_SETMASK, &set, nullptr);
}

void EndDiskThread(std::thread& thread, bool ended) {
  if (!thread.joinable()) return;
  if (ended) {
    thread.join();
  } else {
    thread.detach();
  }
}

}  // namespace postcopy
