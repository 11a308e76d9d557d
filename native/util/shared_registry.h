#pragma once
#include <map>
#include <memory>
#include <mutex>

namespace postcopy {

// Resources that several worker threads use (RAM, userfaultfd, sockets, exit queues) live here under a number that can
// be posted to a worker. The registry keeps a resource until it is removed by an explicit close(): garbage collection
// or the end of a worker must never close a userfaultfd while a vCPU runs, because from then on the vCPU's faults would
// be answered with zero pages. Never destroyed, so that nothing is torn down under running threads at exit.
template <typename T>
class SharedRegistry {
 public:
  static uint32_t Add(std::shared_ptr<T> resource) {
    std::lock_guard lock(Instance().mutex_);
    uint32_t handle = ++Instance().last_;
    Instance().resources_[handle] = std::move(resource);
    return handle;
  }

  static std::shared_ptr<T> Find(uint32_t handle) {
    std::lock_guard lock(Instance().mutex_);
    auto found = Instance().resources_.find(handle);
    return found == Instance().resources_.end() ? nullptr : found->second;
  }

  static void Remove(uint32_t handle) {
    std::shared_ptr<T> dropped;  // destroyed after the lock is released
    std::lock_guard lock(Instance().mutex_);
    auto found = Instance().resources_.find(handle);
    if (found == Instance().resources_.end()) return;
    dropped = std::move(found->second);
    Instance().resources_.erase(found);
  }

 private:
  static SharedRegistry& Instance() {
    static SharedRegistry* instance = new SharedRegistry();
    return *instance;
  }

  std::mutex mutex_;
  std::map<uint32_t, std::shared_ptr<T>> resources_;
  uint32_t last_ = 0;
};

}  // namespace postcopy
