#pragma once
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

namespace postcopy {

// Some blocks of a disk, by which two hosts find out whether they see one disk: some at random, and those that were
// written last, which a stale cache would not have. Its methods can be called from several threads; those that return
// int give 0 or an errno value.
class DiskSample {
 public:
  static constexpr size_t kBlock = 4096;

  // Of whole blocks among the first `bytes` of the disk, which are all that it is ever of.
  void Begin(std::vector<uint64_t> offsets, uint64_t bytes);
  std::vector<uint64_t> Offsets() const;
  std::vector<uint8_t> Content() const;
  void NoteWrite(uint64_t offset);

  // Moves each to the next that holds data: holes look alike on all disks. Reads them, so that they are cached later.
  int Choose(int fd);
  // Adds those that were written last, and reads all.
  int Take(int fd);
  int Read(int fd);

 private:
  void SetOffsets(std::vector<uint64_t> offsets);

  static constexpr size_t kLastWrites = 8;

  mutable std::mutex mutex_;
  std::vector<uint64_t> offsets_;
  std::atomic<uint64_t> bytes_{0};
  std::vector<uint8_t> content_;
  std::array<std::atomic<uint64_t>, kLastWrites> last_writes_{};  // block number plus one; 0 is none
  std::atomic<size_t> writes_{0};
};

}  // namespace postcopy
