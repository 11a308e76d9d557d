#pragma once
#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "block/disk_sample.h"
#include "util/descriptor.h"

namespace postcopy {

// An open raw image or block device. Its methods can be called from several threads; those that return int give 0 or an
// errno value.
class DiskFile {
 public:
  // Throws std::system_error; EISDIR or EINVAL for what is neither a regular file nor a block device.
  DiskFile(const std::string& path, bool readonly);

  int Fd() const { return file_.Get(); }
  bool Readonly() const { return readonly_; }
  bool IsBlockDevice() const { return block_device_; }
  uint64_t Bytes() const { return bytes_; }
  bool HasBytes(uint64_t offset, uint64_t length) const { return offset <= bytes_ && length <= bytes_ - offset; }

  // Locks reach it as well from the next one on: bytes [start, start + length) of what is beneath the disk, to the end
  // if the length is 0. `shared`: others may have it too, but not for themselves alone. Before any other thread has the
  // disk. Throws std::system_error.
  void LockAlso(const std::string& path, uint64_t start, uint64_t length, bool shared);

  // A lock on the whole file, owned by this open file description (fcntl(2), "Open file description locks"): it ends
  // with the descriptor, works between hosts that share the file by NFS, and keeps QEMU out, which locks the same way.
  // Shared for a read-only disk. EAGAIN: somebody else has it.
  int Lock();
  int Unlock();
  // EAGAIN: a write would be kept out by a lock of somebody else's. Takes nothing, and needs no right to write.
  int TestLock() const;

  // Persists what was written. An error of writing back is told once for each open file description: Flush() tells it
  // the guest, and Sync(), which has a description of its own, whoever moves the VM; neither takes it from the other.
  // What Sync() could not write is lost to other hosts for good: it fails from then on.
  int Flush() const;
  int Sync();

  DiskSample& Sample() { return sample_; }
  // A request wrote there.
  void NoteWrite(uint64_t offset) const { sample_.NoteWrite(offset); }

  // Forgets what this host has cached, after writing back what is its own: the next read sees what another host wrote.
  int DropCache();

 private:
  int SyncFd() const { return sync_file_.Get(); }

  // What a lock reaches.
  struct Reach {
    Descriptor file;
    uint64_t start;
    uint64_t length;
    bool shared;
  };

  Descriptor file_;
  Descriptor sync_file_;
  std::vector<Reach> beneath_;
  bool readonly_;
  bool block_device_ = false;
  uint64_t bytes_ = 0;
  mutable DiskSample sample_;
  std::atomic<int> sync_error_{0};
};

}  // namespace postcopy
