#include "block/disk_calls.h"

#include <utility>

#include "block/disk_thread.h"

namespace postcopy {
namespace {

int Do(DiskFile& file, DiskCall call) {
  switch (call) {
    case DiskCall::kSync:
      return file.Sync();
    case DiskCall::kLock:
      return file.Lock();
    case DiskCall::kUnlock:
      return file.Unlock();
    case DiskCall::kDropCache:
      return file.DropCache();
    case DiskCall::kTestLock:
      return file.TestLock();
    case DiskCall::kChooseSample:
      return file.Sample().Choose(file.Fd());
    case DiskCall::kTakeSample:
      return file.Sample().Take(file.Fd());
    case DiskCall::kReadSample:
      return file.Sample().Read(file.Fd());
  }
  return 0;
}

}  // namespace

DiskCalls::DiskCalls(std::shared_ptr<DiskFile> file, const char* name) : state_(std::make_shared<State>()) {
  state_->file = std::move(file);
  state_->name = name;
}

uint64_t DiskCalls::Begin(DiskCall call) {
  std::lock_guard lock(state_->mutex);
  if (state_->stopping) return 0;
  if (!state_->running) {
    thread_ = std::thread([state = state_] { Main(state); });
    state_->running = true;
  }
  state_->queue.push_back(call);
  state_->changed.notify_all();
  return ++state_->asked;
}

// Called with the lock held. Returns the number of the last that this one call answers: one sync is enough for all that
// were asked for before it began, and for none that is asked for while it runs.
uint64_t DiskCalls::State::Take(DiskCall& call) {
  call = queue.front();
  uint64_t number = ended;
  do {
    queue.pop_front();
    number++;
  } while (call == DiskCall::kSync && !queue.empty() && queue.front() == DiskCall::kSync);
  return number;
}

void DiskCalls::Main(const std::shared_ptr<State>& state) {
  SetUpDiskThread(state->name);
  std::unique_lock lock(state->mutex);
  while (true) {
    state->changed.wait(lock, [&] { return !state->queue.empty() || state->stopping; });
    if (state->queue.empty()) break;
    DiskCall call;
    const uint64_t number = state->Take(call);
    lock.unlock();
    const int error = Do(*state->file, call);
    lock.lock();
    while (state->ended < number) {
      state->ended++;
      if (error != 0) state->errors[state->ended] = error;
    }
    state->changed.notify_all();
  }
  state->running = false;
  state->changed.notify_all();
}

bool DiskCalls::Wait(uint64_t number, std::chrono::milliseconds timeout, int& error) {
  std::unique_lock lock(state_->mutex);
  error = 0;
  if (!state_->changed.wait_for(lock, timeout, [&] { return state_->ended >= number; })) return false;
  const auto found = state_->errors.find(number);
  if (found == state_->errors.end()) return true;
  error = found->second;
  state_->errors.erase(found);
  return true;
}

bool DiskCalls::Stop(std::chrono::milliseconds timeout, std::optional<DiskCall> last) {
  std::thread thread;
  bool ended;
  {
    std::unique_lock lock(state_->mutex);
    if (last.has_value() && state_->running && !state_->stopping) {
      state_->queue.push_back(*last);
      state_->asked++;
    }
    state_->stopping = true;
    state_->changed.notify_all();
    ended = state_->changed.wait_for(lock, timeout, [this] { return !state_->running; });
    thread.swap(thread_);
  }
  EndDiskThread(thread, ended);
  return ended;
}

}  // namespace postcopy
