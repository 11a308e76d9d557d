#include "block/disk_sample.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace postcopy {
namespace {

int ReadBlock(int fd, uint64_t offset, uint8_t* into) {
  size_t done = 0;
  while (done < DiskSample::kBlock) {
    const ssize_t got = pread(fd, into + done, DiskSample::kBlock - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno;
    if (got == 0) return EIO;  // somebody made the file shorter
    done += static_cast<size_t>(got);
  }
  return 0;
}

}  // namespace

void DiskSample::Begin(std::vector<uint64_t> offsets, uint64_t bytes) {
  bytes_ = bytes;
  SetOffsets(std::move(offsets));
}

void DiskSample::SetOffsets(std::vector<uint64_t> offsets) {
  std::lock_guard lock(mutex_);
  offsets_ = std::move(offsets);
  content_.clear();
}

std::vector<uint64_t> DiskSample::Offsets() const {
  std::lock_guard lock(mutex_);
  return offsets_;
}

std::vector<uint8_t> DiskSample::Content() const {
  std::lock_guard lock(mutex_);
  return content_;
}

// Two that write at once may take each other's place: one of them is forgotten, which is of no consequence.
void DiskSample::NoteWrite(uint64_t offset) { last_writes_[writes_++ % kLastWrites] = offset / kBlock + 1; }

int DiskSample::Choose(int fd) {
  std::vector<uint64_t> offsets = Offsets();
  for (uint64_t& offset : offsets) {
    const off_t data = lseek(fd, static_cast<off_t>(offset), SEEK_DATA);
    if (data < 0) continue;  // no data from there on, or nobody knows
    const uint64_t block = static_cast<uint64_t>(data) / kBlock * kBlock;
    if (block + kBlock <= bytes_) offset = block;
  }
  SetOffsets(std::move(offsets));
  return Read(fd);
}

int DiskSample::Take(int fd) {
  std::vector<uint64_t> offsets = Offsets();
  for (const auto& number : last_writes_) {
    const uint64_t block = number.load();
    if (block != 0 && block * kBlock <= bytes_) offsets.push_back((block - 1) * kBlock);
  }
  std::sort(offsets.begin(), offsets.end());
  offsets.erase(std::unique(offsets.begin(), offsets.end()), offsets.end());
  SetOffsets(std::move(offsets));
  return Read(fd);
}

int DiskSample::Read(int fd) {
  const std::vector<uint64_t> offsets = Offsets();
  // All at once for the storage, which is asked for one after the other then.
  for (const uint64_t offset : offsets) posix_fadvise(fd, static_cast<off_t>(offset), kBlock, POSIX_FADV_WILLNEED);
  std::vector<uint8_t> content(offsets.size() * kBlock);
  for (size_t i = 0; i < offsets.size(); i++) {
    const int error = ReadBlock(fd, offsets[i], content.data() + i * kBlock);
    if (error != 0) return error;
  }
  std::lock_guard lock(mutex_);
  content_ = std::move(content);
  return 0;
}

}  // namespace postcopy
