#include "block/request.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>

namespace postcopy {
namespace {

using VectorCall = ssize_t (*)(int, const iovec*, int, off_t);

// Drops `bytes` from the front of the parts, of which `first` is the first that is left; returns which is then.
size_t Advance(std::vector<iovec>& parts, size_t first, size_t bytes) {
  while (bytes > 0 && bytes >= parts[first].iov_len) bytes -= parts[first++].iov_len;
  if (bytes > 0) {
    parts[first].iov_base = static_cast<char*>(parts[first].iov_base) + bytes;
    parts[first].iov_len -= bytes;
  }
  return first;
}

// preadv(2) or pwritev(2) until all parts are done.
int TransferAll(VectorCall call, int fd, std::vector<iovec>& parts, uint64_t offset) {
  size_t first = 0;
  while (first < parts.size()) {
    int count = static_cast<int>(std::min<size_t>(parts.size() - first, IOV_MAX));
    ssize_t done = call(fd, parts.data() + first, count, static_cast<off_t>(offset));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return errno;
    if (done == 0) return EIO;  // somebody made the file shorter than it was when it was opened
    first = Advance(parts, first, static_cast<size_t>(done));
    offset += static_cast<uint64_t>(done);
  }
  return 0;
}

// TransferAll() shortens the parts.
int Read(const DiskFile& file, Request& request) {
  const std::vector<iovec> parts = request.parts;
  const int error = TransferAll(preadv, file.Fd(), request.parts, request.offset);
  for (const iovec& part : parts) request.ram->Written(part.iov_base, part.iov_len);
  return error;
}

int Allocate(int fd, int mode, uint64_t offset, uint64_t length) {
  while (fallocate(fd, mode, static_cast<off_t>(offset), static_cast<off_t>(length)) < 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

int PunchHole(const DiskFile& file, const Request& request) {
  return Allocate(file.Fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, request.offset, request.length);
}

int BlockDeviceRange(int fd, unsigned long command, const Request& request) {
  uint64_t range[2] = {request.offset, request.length};
  return ioctl(fd, command, range) == 0 ? 0 : errno;
}

// EINVAL: the range, which was checked, is not aligned to the blocks of a block device.
bool CannotDoIt(int error) { return error == EOPNOTSUPP || error == ENOSYS || error == ENOTTY || error == EINVAL; }

int Discard(const DiskFile& file, const Request& request) {
  if (request.length == 0) return 0;  // which both calls refuse
  int error = file.IsBlockDevice() ? BlockDeviceRange(file.Fd(), BLKDISCARD, request) : PunchHole(file, request);
  return CannotDoIt(error) ? 0 : error;
}

int WriteZeroesFromMemory(const DiskFile& file, const Request& request) {
  static char zeroes[64 << 10];  // never written
  constexpr size_t kPartsAtOnce = 16;
  uint64_t offset = request.offset;
  uint64_t left = request.length;
  while (left > 0) {
    std::vector<iovec> parts;
    for (uint64_t rest = left; rest > 0 && parts.size() < kPartsAtOnce; rest -= parts.back().iov_len) {
      parts.push_back({zeroes, std::min<uint64_t>(rest, sizeof zeroes)});
    }
    uint64_t bytes = 0;
    for (const iovec& part : parts) bytes += part.iov_len;
    int error = TransferAll(pwritev, file.Fd(), parts, offset);
    if (error != 0) return error;
    offset += bytes;
    left -= bytes;
  }
  return 0;
}

int WriteZeroes(const DiskFile& file, const Request& request, bool unmap) {
  if (request.length == 0) return 0;
  // A hole reads zero, of a file and (or it is EOPNOTSUPP) of a block device.
  if (unmap) {
    int error = PunchHole(file, request);
    if (!CannotDoIt(error)) return error;
  }
  int error = file.IsBlockDevice()
                  ? BlockDeviceRange(file.Fd(), BLKZEROOUT, request)
                  : Allocate(file.Fd(), FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, request.offset, request.length);
  return CannotDoIt(error) ? WriteZeroesFromMemory(file, request) : error;
}

}  // namespace

int Execute(const DiskFile& file, Request& request) {
  switch (request.kind) {
    case RequestKind::kRead:
      return Read(file, request);
    case RequestKind::kWrite:
      file.NoteWrite(request.offset);
      return TransferAll(pwritev, file.Fd(), request.parts, request.offset);
    case RequestKind::kWriteThrough: {
      file.NoteWrite(request.offset);
      int error = TransferAll(pwritev, file.Fd(), request.parts, request.offset);
      return error != 0 ? error : file.Flush();
    }
    case RequestKind::kFlush:
      return file.Flush();
    case RequestKind::kDiscard:
      return Discard(file, request);
    case RequestKind::kWriteZeroes:
      return WriteZeroes(file, request, false);
    case RequestKind::kWriteZeroesUnmap:
      return WriteZeroes(file, request, true);
  }
  return EINVAL;
}

}  // namespace postcopy
