#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "memory/written_pages.h"
#include "util/descriptor.h"

namespace postcopy {

constexpr size_t kPageSize = 4096;

enum class Backing { kAnonymous, kMemfd };

// Guest RAM: one mapping, addressed by RAM offset (guest-physical holes are the memslots' business, not ours).
class Ram {
 public:
  // Throws std::system_error. `bytes` is a multiple of the page size.
  Ram(size_t bytes, Backing backing);
  // Anonymous, at `address` and executable: for a guest that runs as threads of this process. EEXIST if something is
  // there.
  Ram(size_t bytes, uintptr_t address);
  ~Ram();
  Ram(const Ram&) = delete;
  Ram& operator=(const Ram&) = delete;

  uint8_t* Base() const { return base_; }
  size_t Bytes() const { return bytes_; }
  size_t Pages() const { return bytes_ / kPageSize; }
  Backing Kind() const { return backing_; }

  bool HasPages(uint64_t first, uint64_t count) const { return first <= Pages() && count <= Pages() - first; }
  bool HasBytes(uint64_t offset, uint64_t length) const { return offset <= bytes_ && length <= bytes_ - offset; }
  uint8_t* Page(uint64_t page) const { return base_ + page * kPageSize; }

  // Behind every write into RAM that this process makes itself, whether all of it was made or not: of bytes that are in
  // RAM.
  void Written(const void* at, size_t bytes) {
    const size_t offset = static_cast<const uint8_t*>(at) - base_;
    if (bytes > 0) written_.Mark(offset / kPageSize, (offset + bytes - 1) / kPageSize - offset / kPageSize + 1);
  }
  WrittenPages& Marks() { return written_; }

  // Gives pages back to the host; they read as zero afterwards. Returns 0 or an errno value.
  int Release(uint64_t first, uint64_t count);

  // Puts what these pages hold into huge pages. Returns 0 or an errno value; pages keep what they hold either way.
  int Collapse(uint64_t first, uint64_t count);

  // Whether a page reads zero; reads it.
  bool IsZero(uint64_t page) const;

  struct Extent {
    uint32_t first;
    uint32_t count;
  };
  // Adds pages behind all that are there; to the last run, if they go on where it ends.
  static void Append(std::vector<Extent>& extents, uint64_t first, uint64_t count);
  // Runs of pages that hold data among these, in order, found without reading a byte of RAM. Throws std::system_error.
  std::vector<Extent> DataExtents(uint64_t first, uint64_t count) const;
  // The same of all pages that are in none of these extents, which are ascending and within RAM.
  std::vector<Extent> DataExtentsOutside(const std::vector<Extent>& known) const;

 private:
  uint8_t* base_ = nullptr;
  size_t bytes_;
  size_t mapped_bytes_ = 0;
  uint8_t* mapped_ = nullptr;
  Backing backing_;
  Descriptor memfd_;
  WrittenPages written_;

  void Advise();
  int GiveBack(uint64_t first, uint64_t count);

  friend class ExtentFinder;
};

}  // namespace postcopy
