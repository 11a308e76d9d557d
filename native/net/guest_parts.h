#pragma once
#include <limits.h>
#include <napi.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstdint>
#include <memory>

#include "memory/guest_memory.h"
#include "util/args.h"

namespace postcopy {

// The buffers of a frame: pieces of guest RAM, and one of the host's before or behind them.
class GuestParts {
 public:
  static constexpr uint64_t kMaxSegments = IOV_MAX - 1;

  // Arguments from `index` on: segments: Float64Array of [ramOffset, length], count. `memory` is argument 0.
  GuestParts(const Napi::CallbackInfo& info, size_t index) : ram_(GuestMemory::FromArg(info, 0)) {
    Napi::Float64Array segments = DoublesArg(info, index, "segments");
    count_ = UintArg(info, index + 1, "count", kMaxSegments);
    if (segments.ElementLength() < count_ * 2) {
      throw Napi::RangeError::New(info.Env(), "segments are fewer than count");
    }
    for (uint64_t i = 0; i < count_; i++) {
      double offset = segments[i * 2];
      double length = segments[i * 2 + 1];
      if (!IsInRam(offset, length)) throw Napi::RangeError::New(info.Env(), "a segment outside of guest RAM");
      parts_[i + 1] = {ram_->Base() + static_cast<uint64_t>(offset), static_cast<size_t>(length)};
    }
  }

  iovec* Before(void* bytes, size_t length) {
    parts_[0] = {bytes, length};
    return parts_;
  }

  iovec* Behind(void* bytes, size_t length) {
    parts_[count_ + 1] = {bytes, length};
    return parts_ + 1;
  }

  // The first `bytes` of the guest's pieces, or all of them, have been written.
  void Written(size_t bytes) const {
    for (uint64_t i = 1; i <= count_ && bytes > 0; i++) {
      const size_t length = std::min(bytes, parts_[i].iov_len);
      ram_->Written(parts_[i].iov_base, length);
      bytes -= length;
    }
  }

  // With the host's piece.
  int Count() const { return static_cast<int>(count_ + 1); }

 private:
  bool IsInRam(double offset, double length) const {
    double most = static_cast<double>(ram_->Bytes());
    if (!(offset >= 0 && offset <= most && length >= 0 && length <= most)) return false;
    if (offset != std::floor(offset) || length != std::floor(length)) return false;
    return ram_->HasBytes(static_cast<uint64_t>(offset), static_cast<uint64_t>(length));
  }

  std::shared_ptr<Ram> ram_;
  uint64_t count_ = 0;
  iovec parts_[kMaxSegments + 2];
};

}  // namespace postcopy
