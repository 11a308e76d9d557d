#pragma once
#include <cerrno>
#include <mutex>
#include <system_error>
#include <vector>

#include "memory/ram.h"

namespace postcopy {

// Which pages of a guest's RAM are written, by the guest or for it, while it runs. Its calls come from any thread, and
// wait for each other; all but End() throw std::system_error.
class DirtyLog {
 public:
  virtual ~DirtyLog() = default;

  // What is written from its end on is told. Once.
  void Begin() {
    std::lock_guard lock(mutex_);
    CheckOpen();
    Start();
  }

  // Runs of pages, in order: those that were written since the last call. A page that is written while this runs is
  // told now, or the next time.
  std::vector<Ram::Extent> Collect() {
    std::lock_guard lock(mutex_);
    CheckOpen();
    return Take();
  }

  // RAM is as if there had been no log.
  void End() {
    std::lock_guard lock(mutex_);
    if (ended_) return;
    ended_ = true;
    Stop();
  }

 protected:
  virtual void Start() = 0;
  virtual std::vector<Ram::Extent> Take() = 0;
  virtual void Stop() = 0;

 private:
  void CheckOpen() const {
    if (ended_) throw std::system_error(EBADF, std::generic_category(), "dirty log used after end()");
  }

  std::mutex mutex_;
  bool ended_ = false;
};

}  // namespace postcopy
