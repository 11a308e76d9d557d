#include "memory/ram.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

namespace postcopy {
namespace {

constexpr size_t kHugePageSize = 2 << 20;

#ifndef MADV_COLLAPSE  // Linux 6.1; Debian 12's C library does not know it
#define MADV_COLLAPSE 25
#endif

[[noreturn]] void Fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

}  // namespace

Ram::Ram(size_t bytes, Backing backing) : bytes_(bytes), backing_(backing), written_(bytes / kPageSize) {
  // Reserve with room to align, so that RAM offset 0 sits on a huge page boundary, as guest address 0 does.
  mapped_bytes_ = bytes + kHugePageSize;
  void* reserved = mmap(nullptr, mapped_bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (reserved == MAP_FAILED) Fail("mmap");
  mapped_ = static_cast<uint8_t*>(reserved);
  uintptr_t aligned = (reinterpret_cast<uintptr_t>(reserved) + kHugePageSize - 1) & ~(kHugePageSize - 1);
  int flags = MAP_FIXED | MAP_NORESERVE;
  if (backing == Backing::kMemfd) {
    memfd_ = Descriptor(memfd_create("postcopy-ram", MFD_CLOEXEC));
    if (!memfd_.Valid() || ftruncate(memfd_.Get(), static_cast<off_t>(bytes)) < 0) {
      int error = errno;
      munmap(mapped_, mapped_bytes_);
      errno = error;
      Fail("memfd_create");
    }
    flags |= MAP_SHARED;
  } else {
    flags |= MAP_PRIVATE | MAP_ANONYMOUS;
  }
  void* base = mmap(reinterpret_cast<void*>(aligned), bytes, PROT_READ | PROT_WRITE, flags, memfd_.Get(), 0);
  if (base == MAP_FAILED) {
    int error = errno;
    munmap(mapped_, mapped_bytes_);
    errno = error;
    Fail("mmap");
  }
  base_ = static_cast<uint8_t*>(base);
  Advise();
}

Ram::Ram(size_t bytes, uintptr_t address)
    : bytes_(bytes), mapped_bytes_(bytes), backing_(Backing::kAnonymous), written_(bytes / kPageSize) {
  const int flags = MAP_FIXED_NOREPLACE | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  void* wanted = reinterpret_cast<void*>(address);
  void* base = mmap(wanted, bytes, PROT_READ | PROT_WRITE | PROT_EXEC, flags, -1, 0);
  if (base == MAP_FAILED) Fail("mmap");
  mapped_ = base_ = static_cast<uint8_t*>(base);
  Advise();
}

void Ram::Advise() {
  // Guest memory has no place in a core dump, and a forked child must not get a copy-on-write view of it.
  madvise(base_, bytes_, MADV_DONTDUMP);
  madvise(base_, bytes_, MADV_DONTFORK);
  // A guest runs faster on huge pages. Where the host has none to give (for memfd, often), 4 KiB pages do.
  madvise(base_, bytes_, MADV_HUGEPAGE);
}

Ram::~Ram() { munmap(mapped_, mapped_bytes_); }

int Ram::Release(uint64_t first, uint64_t count) {
  if (count == 0) return 0;  // which fallocate(2) refuses
  const int error = GiveBack(first, count);
  // They come back as zeroes, in a huge page even without a write to them.
  Written(Page(first), count * kPageSize);
  return error;
}

int Ram::GiveBack(uint64_t first, uint64_t count) {
  if (backing_ == Backing::kMemfd) {
    int done = fallocate(memfd_.Get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                         static_cast<off_t>(first * kPageSize), static_cast<off_t>(count * kPageSize));
    return done == 0 ? 0 : errno;
  }
  return madvise(Page(first), count * kPageSize, MADV_DONTNEED) == 0 ? 0 : errno;
}

int Ram::Collapse(uint64_t first, uint64_t count) {
  return madvise(Page(first), count * kPageSize, MADV_COLLAPSE) == 0 ? 0 : errno;
}

bool Ram::IsZero(uint64_t page) const {
  const uint8_t* bytes = Page(page);
  uint64_t word;
  memcpy(&word, bytes, sizeof word);
  return word == 0 && memcmp(bytes, bytes + sizeof word, kPageSize - sizeof word) == 0;
}

}  // namespace postcopy
