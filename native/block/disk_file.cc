#include "block/disk_file.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace postcopy {
namespace {

[[noreturn]] void Fail(int error, const char* what) { throw std::system_error(error, std::generic_category(), what); }

void CheckKind(const struct stat& found) {
  if (S_ISDIR(found.st_mode)) Fail(EISDIR, "stat");
  if (!S_ISREG(found.st_mode) && !S_ISBLK(found.st_mode)) Fail(EINVAL, "stat");
}

int DataSync(int fd) {
  while (fdatasync(fd) < 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

}  // namespace

DiskFile::DiskFile(const std::string& path, bool readonly) : readonly_(readonly) {
  struct stat found{};
  // Before it is opened: opening a FIFO waits, and opening some devices has effects (a watchdog begins to run).
  if (stat(path.c_str(), &found) < 0) Fail(errno, "stat");
  CheckKind(found);
  file_ = Descriptor(open(path.c_str(), (readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY));
  if (!file_.Valid()) Fail(errno, "open");
  if (fstat(Fd(), &found) < 0) Fail(errno, "fstat");
  CheckKind(found);
  // The same file, whatever has the path by now.
  sync_file_ = Descriptor(open(("/proc/self/fd/" + std::to_string(Fd())).c_str(), O_RDONLY | O_CLOEXEC));
  if (!sync_file_.Valid()) Fail(errno, "open");
  block_device_ = S_ISBLK(found.st_mode);
  bytes_ = static_cast<uint64_t>(found.st_size);
  if (block_device_ && ioctl(Fd(), BLKGETSIZE64, &bytes_) < 0) Fail(errno, "BLKGETSIZE64");
}

namespace {

// A length of 0 is to the end, wherever that moves.
struct flock LockOf(short type, uint64_t start = 0, uint64_t length = 0) {
  struct flock lock{};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = static_cast<off_t>(start);
  lock.l_len = static_cast<off_t>(length);
  return lock;
}

int SetLock(int fd, struct flock lock) {
  if (fcntl(fd, F_OFD_SETLK, &lock) == 0) return 0;
  return errno == EACCES ? EAGAIN : errno;
}

int TestWriteLock(int fd, uint64_t start = 0, uint64_t length = 0) {
  struct flock lock = LockOf(F_WRLCK, start, length);
  if (fcntl(fd, F_OFD_GETLK, &lock) < 0) return errno;
  return lock.l_type == F_UNLCK ? 0 : EAGAIN;
}

}  // namespace

void DiskFile::LockAlso(const std::string& path, uint64_t start, uint64_t length, bool shared) {
  shared = shared || readonly_;
  Descriptor file(open(path.c_str(), (shared ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY));
  if (!file.Valid()) Fail(errno, "open");
  beneath_.push_back({std::move(file), start, length, shared});
}

int DiskFile::Lock() {
  int error = SetLock(Fd(), LockOf(readonly_ ? F_RDLCK : F_WRLCK));
  for (const Reach& reach : beneath_) {
    if (error != 0) break;
    error = SetLock(reach.file.Get(), LockOf(reach.shared ? F_RDLCK : F_WRLCK, reach.start, reach.length));
  }
  if (error != 0) Unlock();
  return error;
}

int DiskFile::Unlock() {
  int first = SetLock(Fd(), LockOf(F_UNLCK));
  for (const Reach& reach : beneath_) {
    const int error = SetLock(reach.file.Get(), LockOf(F_UNLCK, reach.start, reach.length));
    if (first == 0) first = error;
  }
  return first;
}

// What others may have as well says nothing about who has the disk.
int DiskFile::TestLock() const {
  int error = TestWriteLock(Fd());
  for (const Reach& reach : beneath_) {
    if (error != 0) break;
    if (!reach.shared || readonly_) error = TestWriteLock(reach.file.Get(), reach.start, reach.length);
  }
  return error;
}

int DiskFile::Flush() const { return DataSync(Fd()); }

int DiskFile::Sync() {
  int none = 0;
  const int error = DataSync(SyncFd());
  if (error != 0) sync_error_.compare_exchange_strong(none, error);
  return sync_error_.load();
}

int DiskFile::DropCache() {
  // Dirty pages would stay in the cache.
  int error = Sync();
  if (error != 0) return error;
  if (!block_device_) return posix_fadvise(Fd(), 0, 0, POSIX_FADV_DONTNEED);
  if (ioctl(Fd(), BLKFLSBUF, 0) == 0) return 0;
  // Who is not CAP_SYS_ADMIN has the other way, to the same clean pages of the device's cache.
  return errno == EACCES ? posix_fadvise(Fd(), 0, 0, POSIX_FADV_DONTNEED) : errno;
}

}  // namespace postcopy
