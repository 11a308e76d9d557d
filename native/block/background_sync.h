#pragma once
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>

#include "block/disk_file.h"

namespace postcopy {

// Writes a disk back on a thread of its own, which is started for the first sync: fdatasync(2) on storage that does not
// answer never returns, and who asked for it must be able to stop waiting. The thread is then left behind, with all
// that it uses, as those of a RequestPool are.
class BackgroundSync {
 public:
  explicit BackgroundSync(std::shared_ptr<DiskFile> file);
  ~BackgroundSync() { Stop(std::chrono::milliseconds(0)); }

  // Asks for a sync that covers what was written before this call; its number, from 1 on. 0 after Stop(). Throws
  // std::system_error if there can be no thread for it.
  uint64_t Begin();
  // False if it has not ended by then; else `error` is 0 or an errno value.
  bool Wait(uint64_t number, std::chrono::milliseconds timeout, int& error);
  // Ends the thread. False if it still waits for the storage then.
  bool Stop(std::chrono::milliseconds timeout);

 private:
  // Shared with the thread, which may outlive this.
  struct State {
    std::shared_ptr<DiskFile> file;
    std::mutex mutex;
    std::condition_variable changed;
    uint64_t asked = 0;  // number of the last that was asked for
    uint64_t ended = 0;  // all up to this one are over
    int error = 0;       // of the last that ended; DiskFile::Sync() forgets none
    bool running = false;
    bool stopping = false;
  };

  static void Main(const std::shared_ptr<State>& state);

  std::shared_ptr<State> state_;
  std::thread thread_;  // under state_->mutex
};

}  // namespace postcopy
