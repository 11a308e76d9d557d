#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace postcopy {

// Pages of guest RAM that this process writes itself: devices do, and KVM's dirty log, which knows of vCPUs alone, does
// not tell of it. Every write of ours into guest RAM is followed by Mark(), on whatever thread. It costs a memory
// barrier while nobody wants the marks.
class WrittenPages {
 public:
  explicit WrittenPages(size_t pages) : pages_(pages) {}

  // Marks are kept from here on. False if somebody has them already.
  bool Begin();
  void End() { on_.store(false); }

  // Behind the write, of `count` pages: a mark that came before it could be taken, and the page sent, too early.
  void Mark(uint64_t first, uint64_t count) {
    // What was written is there for everybody before it is seen here that nobody wants the mark: who begins sends that.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (on_.load(std::memory_order_acquire)) Set(first, count);
  }

  // A bit a page. Adds the marks to these and takes them away.
  void TakeInto(std::vector<uint64_t>& words);

 private:
  void Set(uint64_t first, uint64_t count);

  const size_t pages_;
  std::atomic<bool> on_{false};
  // From the first Begin() on for good: a writer may be in the middle of Set() when it ends.
  std::vector<std::atomic<uint64_t>> words_;
};

}  // namespace postcopy
