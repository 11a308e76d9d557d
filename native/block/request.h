#pragma once
#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "block/disk_file.h"
#include "memory/ram.h"

namespace postcopy {

// Numbers as in src/native.ts.
enum class RequestKind : uint32_t {
  kRead = 0,
  kWrite = 1,
  // Persistent when it completes: for a driver that knows no flush.
  kWriteThrough = 2,
  // Covers the writes that completed before it was submitted, which is all that virtio asks for (1.2, 5.2.6.2) and what
  // fdatasync(2) does. So nothing orders requests: any thread takes the next one.
  kFlush = 3,
  // A hint: what the disk cannot discard stays.
  kDiscard = 4,
  kWriteZeroes = 5,
  // The same; the disk may give the blocks back.
  kWriteZeroesUnmap = 6,
};
constexpr uint32_t kRequestKinds = 7;

struct Request {
  int32_t id;
  RequestKind kind;
  // Keeps the parts where they are.
  std::shared_ptr<Ram> ram;
  std::vector<iovec> parts;
  uint64_t offset;
  uint64_t length;
};

// Does it, on the calling thread. Returns 0 or an errno value. May wait in the kernel for a guest page that is missing;
// userfaultfd has it served as it does for a vCPU.
int Execute(const DiskFile& file, Request& request);

}  // namespace postcopy
