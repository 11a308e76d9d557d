#pragma once
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "block/disk_file.h"

namespace postcopy {

// What a disk's storage may keep waiting for ever; native.ts has the numbers.
enum class DiskCall : uint8_t { kSync, kLock, kUnlock, kDropCache, kTestLock, kChooseSample, kTakeSample, kReadSample };
constexpr uint64_t kDiskCalls = 8;

// Does such calls, one after the other, on a thread of its own, which is started for the first: a call to storage that
// does not answer never returns, and who asked for it must be able to stop waiting. The thread is then left behind,
// with all that it uses, as those of a RequestPool are.
class DiskCalls {
 public:
  // `name`: of the thread.
  DiskCalls(std::shared_ptr<DiskFile> file, const char* name);
  ~DiskCalls() { Stop(std::chrono::milliseconds(0)); }

  // Asks for a call; its number, from 1 on. A sync covers what was written before it was asked for. 0 after Stop().
  // Throws std::system_error if there can be no thread for it.
  uint64_t Begin(DiskCall call);
  // False if it has not ended by then; else `error` is 0 or an errno value, which is told once.
  bool Wait(uint64_t number, std::chrono::milliseconds timeout, int& error);
  // Ends the thread, once it has done what it was asked for, and `last` behind that. False if it still waits for the
  // storage then: what is left is done if the storage ever answers. Without a thread nothing is done.
  bool Stop(std::chrono::milliseconds timeout, std::optional<DiskCall> last = std::nullopt);

 private:
  // Shared with the thread, which may outlive this.
  struct State {
    std::shared_ptr<DiskFile> file;
    const char* name;
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<DiskCall> queue;
    uint64_t asked = 0;  // number of the last that was asked for
    uint64_t ended = 0;  // all up to this one are over
    std::map<uint64_t, int> errors;
    bool running = false;
    bool stopping = false;

    uint64_t Take(DiskCall& call);
  };

  static void Main(const std::shared_ptr<State>& state);

  std::shared_ptr<State> state_;
  std::thread thread_;  // under state_->mutex
};

}  // namespace postcopy
