#include "block/request_pool.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "block/disk_thread.h"

namespace postcopy {

RequestPool::RequestPool(std::shared_ptr<DiskFile> file)
    : state_(std::make_shared<State>()), syncs_(file, "disk-sync"), claims_(file, "disk-lock") {
  state_->file = std::move(file);
  state_->completion_fd = Descriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!state_->completion_fd.Valid()) throw std::system_error(errno, std::generic_category(), "eventfd");
}

bool RequestPool::Submit(Request request) {
  std::lock_guard lock(state_->mutex);
  if (state_->stopping) return false;
  StartThreadIfNeeded();
  state_->queue.push_back(std::move(request));
  state_->in_flight++;
  state_->changed.notify_one();
  return true;
}

// Called with the lock held.
void RequestPool::StartThreadIfNeeded() {
  if (state_->sleeping > state_->queue.size() || threads_.size() == kThreads) return;
  try {
    threads_.emplace_back([state = state_] { Main(state); });
    state_->running++;
  } catch (const std::system_error&) {
    if (threads_.empty()) throw;  // else those that there are do it, later
  }
}

void RequestPool::Main(const std::shared_ptr<State>& state) {
  SetUpDiskThread("disk");
  std::unique_lock lock(state->mutex);
  while (true) {
    state->sleeping++;
    state->changed.wait(lock, [&] { return !state->queue.empty() || state->stopping; });
    state->sleeping--;
    if (state->queue.empty()) break;
    Request request = std::move(state->queue.front());
    state->queue.pop_front();
    lock.unlock();
    const int error = Execute(*state->file, request);
    request.ram.reset();
    lock.lock();
    state->Complete(request.id, error);
  }
  state->running--;
  state->idle.notify_all();
}

// Called with the lock held, as Take() reads the eventfd: it is readable exactly while there are completions.
void RequestPool::State::Complete(int32_t id, int error) {
  if (completions.empty()) eventfd_write(completion_fd.Get(), 1);
  completions.push_back({id, error});
  if (--in_flight == 0) idle.notify_all();
}

size_t RequestPool::Take(int32_t* pairs, size_t count) {
  std::lock_guard lock(state_->mutex);
  std::vector<Completion>& completions = state_->completions;
  const size_t taken = std::min(count, completions.size());
  for (size_t i = 0; i < taken; i++) {
    pairs[i * 2] = completions[i].id;
    pairs[i * 2 + 1] = completions[i].error;
  }
  completions.erase(completions.begin(), completions.begin() + static_cast<ptrdiff_t>(taken));
  eventfd_t ignored;
  if (taken > 0 && completions.empty()) eventfd_read(state_->completion_fd.Get(), &ignored);
  return taken;
}

bool RequestPool::WaitIdle(std::chrono::milliseconds timeout) {
  std::unique_lock lock(state_->mutex);
  return state_->idle.wait_for(lock, timeout, [this] { return state_->in_flight == 0; });
}

bool RequestPool::Stop(std::chrono::milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  std::vector<std::thread> threads;
  bool ended;
  {
    std::unique_lock lock(state_->mutex);
    state_->stopping = true;
    state_->changed.notify_all();
    ended = state_->idle.wait_until(lock, deadline, [this] { return state_->running == 0; });
    state_->in_flight -= state_->queue.size();
    state_->queue.clear();
    threads.swap(threads_);
  }
  for (std::thread& thread : threads) EndDiskThread(thread, ended);
  const auto left = [deadline] {
    const auto time = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    return std::max(time, std::chrono::milliseconds(0));
  };
  ended = syncs_.Stop(left()) && ended;
  // Other objects may keep the file open for a while.
  return claims_.Stop(left(), ended ? std::optional(DiskCall::kUnlock) : std::nullopt) && ended;
}

}  // namespace postcopy
