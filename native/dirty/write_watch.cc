#include "dirty/write_watch.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "dirty/async_write_protect.h"

namespace postcopy {
namespace {

// So much at a time is looked through and protected: meanwhile a vCPU of KVM that misses a page in it waits.
constexpr uint64_t kPartBytes = 16 << 20;
// Runs that are no further apart are protected in one call. What is between them is left as it is, but KVM forgets its
// own mappings of it.
constexpr uint64_t kGapBytes = 32 * kPageSize;
constexpr size_t kRegionsAtOnce = 1024;

[[noreturn]] void Fail(int error, const char* what) { throw std::system_error(error, std::generic_category(), what); }

// No fault is ever told to us, so this needs no right: UFFD_USER_MODE_ONLY is about who is told of the kernel's own.
Descriptor OpenUserfaultfd() {
  Descriptor opened(static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY)));
  if (!opened.Valid()) Fail(errno, "userfaultfd");
  uffdio_api api{};
  api.api = UFFD_API;
  api.features = UFFD_FEATURE_WP_ASYNC;
  if (ioctl(opened.Get(), UFFDIO_API, &api) < 0) Fail(errno, "UFFDIO_API");
  return opened;
}

}  // namespace

WriteWatch::WriteWatch(std::shared_ptr<Ram> ram) : ram_(std::move(ram)), userfaultfd_(OpenUserfaultfd()) {
  // The pages of a file can leave the page table with what is known of their writes.
  if (ram_->Kind() != Backing::kAnonymous) Fail(EOPNOTSUPP, "UFFDIO_REGISTER");
  pagemap_ = OpenPagemap();
  uffdio_register request{};
  request.range = {reinterpret_cast<uint64_t>(ram_->Base()), ram_->Bytes()};
  request.mode = UFFDIO_REGISTER_MODE_WP;
  if (ioctl(userfaultfd_.Get(), UFFDIO_REGISTER, &request) < 0) Fail(errno, "UFFDIO_REGISTER");
  buffer_.resize(kRegionsAtOnce);
}

template <typename Act>
void WriteWatch::ForParts(const Act& act) const {
  const uint64_t base = reinterpret_cast<uint64_t>(ram_->Base());
  for (uint64_t at = 0; at < ram_->Bytes(); at += kPartBytes) {
    act(page_region{base + at, base + std::min(at + kPartBytes, ram_->Bytes()), 0});
  }
}

void WriteWatch::Start() {
  Regions unwanted;
  ForParts([&](const page_region& part) {
    Scan(part, true, unwanted);
    unwanted.clear();
  });
}

std::vector<Ram::Extent> WriteWatch::Take() {
  std::vector<Ram::Extent> written;
  ForParts([&](const page_region& part) { TakeFrom(part, written); });
  return written;
}

// Protecting has KVM forget its mappings of all the range it is asked for, whatever is protected of it, and the guest
// waits for each of them. So first a look that changes nothing, which tells where there is something to protect.
void WriteWatch::TakeFrom(const page_region& among, std::vector<Ram::Extent>& written) {
  Regions found;
  Scan(among, false, found);
  Regions taken;
  for (size_t i = 0; i < found.size();) {
    page_region range = found[i++];
    while (i < found.size() && found[i].start - range.end <= kGapBytes) range.end = found[i++].end;
    Scan(range, true, taken);
  }
  const uint64_t base = reinterpret_cast<uint64_t>(ram_->Base());
  for (const page_region& run : taken) {
    Ram::Append(written, (run.start - base) / kPageSize, (run.end - run.start) / kPageSize);
  }
}

void WriteWatch::Scan(const page_region& among, bool protect, Regions& written) {
  pm_scan_arg scan{};
  scan.size = sizeof scan;
  scan.flags = PM_SCAN_CHECK_WPASYNC | (protect ? PM_SCAN_WP_MATCHING : 0);
  scan.start = among.start;
  scan.end = among.end;
  scan.vec = reinterpret_cast<uint64_t>(buffer_.data());
  scan.vec_len = buffer_.size();
  // A page that was only ever read is the kernel's page of zeroes: writing makes another one, which is not protected.
  scan.category_inverted = PAGE_IS_PFNZERO;
  scan.category_mask = PAGE_IS_WRITTEN | PAGE_IS_PFNZERO;
  scan.category_anyof_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED;
  scan.return_mask = PAGE_IS_WRITTEN;
  while (scan.start < scan.end) {
    const int found = ioctl(pagemap_.Get(), PAGEMAP_SCAN, &scan);
    if (found < 0) Fail(errno, "PAGEMAP_SCAN");
    written.insert(written.end(), buffer_.begin(), buffer_.begin() + found);
    scan.start = scan.walk_end;
  }
}

void WriteWatch::Stop() {
  // Takes the protection off. Closing would do it too, but not while another process has the descriptor.
  uffdio_range range{reinterpret_cast<uint64_t>(ram_->Base()), ram_->Bytes()};
  ioctl(userfaultfd_.Get(), UFFDIO_UNREGISTER, &range);
  userfaultfd_.Close();
  pagemap_.Close();
  ram_.reset();  // whoever still has the log must not keep it
}

}  // namespace postcopy
