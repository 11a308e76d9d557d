#pragma once
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "block/disk_calls.h"
#include "block/disk_file.h"
#include "block/request.h"
#include "util/descriptor.h"

namespace postcopy {

// A disk and the threads that do its requests, any of them in any order. The threads are started when there is work for
// them. A system call that never ends (a dead server) must not keep the process: then its thread is left behind, with
// all that it uses.
class RequestPool {
 public:
  static constexpr size_t kThreads = 4;

  // Throws std::system_error.
  explicit RequestPool(std::shared_ptr<DiskFile> file);
  ~RequestPool() { Stop(std::chrono::milliseconds(0)); }

  DiskFile& File() const { return *state_->file; }
  // Syncs have a thread of their own: one that hangs must not keep the lock from coming or going.
  DiskCalls& Calls(DiskCall call) { return call == DiskCall::kSync ? syncs_ : claims_; }
  // An eventfd that is readable while there are completions.
  int CompletionFd() const { return state_->completion_fd.Get(); }

  // False after Stop(). Throws std::system_error if there can be no thread for it.
  bool Submit(Request request);
  // Takes up to `count` completions as [id, 0 or errno] pairs; returns how many.
  size_t Take(int32_t* pairs, size_t count);
  // Until no request is in flight; completions may wait to be taken. False if that takes too long.
  bool WaitIdle(std::chrono::milliseconds timeout);
  // Finishes what is in flight, ends the threads and gives up the lock. False if that takes too long: what was not
  // begun is dropped, and the lock stays until the last thread has ended: what is still being written needs it.
  bool Stop(std::chrono::milliseconds timeout);

 private:
  struct Completion {
    int32_t id;
    int error;
  };

  // Shared with the threads, which may outlive the pool.
  struct State {
    std::shared_ptr<DiskFile> file;
    Descriptor completion_fd;
    std::mutex mutex;
    std::condition_variable changed;  // for the threads: work has come, or the end
    std::condition_variable idle;     // for who waits for them
    std::deque<Request> queue;
    std::vector<Completion> completions;
    size_t in_flight = 0;  // queued, or being done
    size_t sleeping = 0;
    size_t running = 0;  // threads
    bool stopping = false;

    void Complete(int32_t id, int error);
  };

  static void Main(const std::shared_ptr<State>& state);
  void StartThreadIfNeeded();

  std::shared_ptr<State> state_;
  DiskCalls syncs_;
  DiskCalls claims_;
  std::vector<std::thread> threads_;  // under state_->mutex
};

}  // namespace postcopy
