#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "memory/pagemap_scan.h"
#include "memory/ram.h"

namespace postcopy {
namespace {

constexpr uint64_t kPagemapPresent = 1ULL << 63;
constexpr uint64_t kPagemapSwapped = 1ULL << 62;
constexpr uint64_t kPagemapFrame = (1ULL << 55) - 1;

[[noreturn]] void Fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

// The frame number of the kernel's shared zero page: what a page that was only ever read maps to. 0 if not shown to us.
uint64_t ZeroFrame(int pagemap) {
  void* probe = mmap(nullptr, kPageSize, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (probe == MAP_FAILED) return 0;
  [[maybe_unused]] volatile uint8_t touched = *static_cast<volatile uint8_t*>(probe);
  uint64_t entry = 0;
  ssize_t got = pread(pagemap, &entry, sizeof entry,
                      static_cast<off_t>(reinterpret_cast<uintptr_t>(probe) / kPageSize * sizeof entry));
  munmap(probe, kPageSize);
  return got == sizeof entry ? entry & kPagemapFrame : 0;
}

}  // namespace

Descriptor OpenPagemap() {
  Descriptor pagemap(open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
  if (!pagemap.Valid()) Fail("open /proc/self/pagemap");
  return pagemap;
}

// Looks through one range of pages after the other, in order, with the descriptor and the buffer of the first: there
// may be thousands of ranges, and a guest stands still meanwhile.
class ExtentFinder {
 public:
  explicit ExtentFinder(const Ram& ram) : ram_(ram) {}

  void Find(uint64_t first, uint64_t count) {
    if (count == 0) return;
    first_ = first;
    end_ = first + count;
    if (ram_.backing_ == Backing::kMemfd) return BySeek();
    if (!pagemap_.Valid()) pagemap_ = OpenPagemap();
    if (!can_scan_ || !ByScan()) ByPagemap();
  }

  std::vector<Ram::Extent> Take() { return std::move(extents_); }

 private:
  // One pass of the kernel over its page tables; false where the kernel has no PAGEMAP_SCAN (before 6.7).
  bool ByScan() {
    if (regions_.empty()) regions_.resize(1024);
    pm_scan_arg scan{};
    scan.size = sizeof scan;
    scan.start = reinterpret_cast<uint64_t>(ram_.Page(first_));
    scan.end = reinterpret_cast<uint64_t>(ram_.Page(end_));
    scan.vec = reinterpret_cast<uint64_t>(regions_.data());
    scan.vec_len = regions_.size();
    scan.category_inverted = PAGE_IS_PFNZERO;
    scan.category_mask = PAGE_IS_PFNZERO;
    scan.category_anyof_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED;
    scan.return_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED;
    while (scan.start < scan.end) {
      int found = ioctl(pagemap_.Get(), PAGEMAP_SCAN, &scan);
      if (found < 0) {
        if (errno != ENOTTY && errno != EINVAL) Fail("PAGEMAP_SCAN");
        can_scan_ = false;
        return false;
      }
      for (int i = 0; i < found; i++) {
        uint64_t first = (regions_[i].start - reinterpret_cast<uint64_t>(ram_.Base())) / kPageSize;
        Ram::Append(extents_, first, (regions_[i].end - regions_[i].start) / kPageSize);
      }
      scan.start = scan.walk_end;
    }
    return true;
  }

  void ByPagemap() {
    if (entries_.empty()) {
      entries_.resize(64 * 1024);
      zero_frame_ = ZeroFrame(pagemap_.Get());
    }
    uint64_t first_entry = reinterpret_cast<uintptr_t>(ram_.Base()) / kPageSize;
    for (uint64_t page = first_; page < end_;) {
      size_t wanted = std::min<uint64_t>(entries_.size(), end_ - page) * sizeof(uint64_t);
      off_t at = static_cast<off_t>((first_entry + page) * sizeof(uint64_t));
      ssize_t got = pread(pagemap_.Get(), entries_.data(), wanted, at);
      if (got <= 0) Fail("read /proc/self/pagemap");
      size_t count = static_cast<size_t>(got) / sizeof(uint64_t);
      for (size_t i = 0; i < count; i++) {
        if (HoldsData(entries_[i])) Ram::Append(extents_, page + i, 1);
      }
      page += count;
    }
  }

  bool HoldsData(uint64_t entry) const {
    if ((entry & kPagemapSwapped) != 0) return true;
    const bool is_zero_page = zero_frame_ != 0 && (entry & kPagemapFrame) == zero_frame_;
    return (entry & kPagemapPresent) != 0 && !is_zero_page;
  }

  void BySeek() {
    off_t end = static_cast<off_t>(end_ * kPageSize);
    for (off_t at = static_cast<off_t>(first_ * kPageSize); at < end;) {
      off_t data = lseek(ram_.memfd_.Get(), at, SEEK_DATA);
      if (data < 0 && errno == ENXIO) break;
      if (data < 0) Fail("lseek SEEK_DATA");
      if (data >= end) break;
      off_t hole = lseek(ram_.memfd_.Get(), data, SEEK_HOLE);
      if (hole < 0) Fail("lseek SEEK_HOLE");
      hole = std::min(hole, end);
      Ram::Append(extents_, data / kPageSize, (hole - data) / kPageSize);
      at = hole;
    }
  }

  const Ram& ram_;
  Descriptor pagemap_;
  bool can_scan_ = true;
  std::vector<page_region> regions_;
  std::vector<uint64_t> entries_;
  uint64_t zero_frame_ = 0;
  // The range that is looked through.
  uint64_t first_ = 0;
  uint64_t end_ = 0;
  std::vector<Ram::Extent> extents_;
};

void Ram::Append(std::vector<Extent>& extents, uint64_t first, uint64_t count) {
  if (!extents.empty() && extents.back().first + uint64_t{extents.back().count} == first) {
    extents.back().count += static_cast<uint32_t>(count);
  } else {
    extents.push_back({static_cast<uint32_t>(first), static_cast<uint32_t>(count)});
  }
}

std::vector<Ram::Extent> Ram::DataExtents(uint64_t first, uint64_t count) const {
  ExtentFinder finder(*this);
  finder.Find(first, count);
  return finder.Take();
}

std::vector<Ram::Extent> Ram::DataExtentsOutside(const std::vector<Extent>& known) const {
  ExtentFinder finder(*this);
  uint64_t end = 0;
  for (const Extent& extent : known) {
    finder.Find(end, extent.first - end);
    end = uint64_t{extent.first} + extent.count;
  }
  finder.Find(end, Pages() - end);
  return finder.Take();
}

}  // namespace postcopy
