#include "block/background_sync.h"

#include <utility>

#include "block/disk_thread.h"

namespace postcopy {

BackgroundSync::BackgroundSync(std::shared_ptr<DiskFile> file) : state_(std::make_shared<State>()) {
  state_->file = std::move(file);
}

uint64_t BackgroundSync::Begin() {
  std::lock_guard lock(state_->mutex);
  if (state_->stopping) return 0;
  if (!state_->running) {
    thread_ = std::thread([state = state_] { Main(state); });
    state_->running = true;
  }
  state_->changed.notify_all();
  return ++state_->asked;
}

void BackgroundSync::Main(const std::shared_ptr<State>& state) {
  SetUpDiskThread("disk-sync");
  std::unique_lock lock(state->mutex);
  while (true) {
    state->changed.wait(lock, [&] { return state->asked > state->ended || state->stopping; });
    if (state->stopping) break;
    // One sync is enough for all that were asked for before it began, and for none that is asked for while it runs.
    const uint64_t number = state->asked;
    lock.unlock();
    const int error = state->file->Sync();
    lock.lock();
    state->ended = number;
    state->error = error;
    state->changed.notify_all();
  }
  state->running = false;
  state->changed.notify_all();
}

bool BackgroundSync::Wait(uint64_t number, std::chrono::milliseconds timeout, int& error) {
  std::unique_lock lock(state_->mutex);
  const bool ended = state_->changed.wait_for(lock, timeout, [&] { return state_->ended >= number; });
  error = ended ? state_->error : 0;
  return ended;
}

bool BackgroundSync::Stop(std::chrono::milliseconds timeout) {
  std::thread thread;
  bool ended;
  {
    std::unique_lock lock(state_->mutex);
    state_->stopping = true;
    state_->changed.notify_all();
    ended = state_->changed.wait_for(lock, timeout, [this] { return !state_->running; });
    thread.swap(thread_);
  }
  EndDiskThread(thread, ended);
  return ended;
}

}  // namespace postcopy
