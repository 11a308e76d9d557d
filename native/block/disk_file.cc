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

// From 0, with a length of 0: to the end, wherever that moves.
struct flock WholeFile(short type) {
  struct flock lock{};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  return lock;
}

}  // namespace

int DiskFile::SetLock(short type) {
  struct flock lock = WholeFile(type);
  if (fcntl(Fd(), F_OFD_SETLK, &lock) == 0) return 0;
  return errno == EACCES ? EAGAIN : errno;
}

int DiskFile::Lock() { return SetLock(readonly_ ? F_RDLCK : F_WRLCK); }

int DiskFile::Unlock() { return SetLock(F_UNLCK); }

int DiskFile::TestLock() const {
  struct flock lock = WholeFile(F_WRLCK);
  if (fcntl(Fd(), F_OFD_GETLK, &lock) < 0) return errno;
  return lock.l_type == F_UNLCK ? 0 : EAGAIN;
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
