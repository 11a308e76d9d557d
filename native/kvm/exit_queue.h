#pragma once
#include <napi.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "util/descriptor.h"
#include "util/shared_wrap.h"

namespace postcopy {

enum class ExitKind : uint32_t { kPort = 1, kMmio = 2, kStopped = 3, kPortAnswered = 4 };

// One access of a vCPU to a device, or the end of a vCPU (kStopped: address = KVM exit reason, data = detail).
// kPortAnswered: a read that the vCPU did not have to wait for, with what it was given.
// The layout is read by src/machine/exit-dispatch.ts.
struct ExitRecord {
  uint32_t vcpu;
  ExitKind kind;
  uint32_t is_write;
  uint32_t size;
  uint64_t address;
  uint64_t data;
};
static_assert(sizeof(ExitRecord) == 32);

// The mailbox between vCPU threads and the device worker. A read waits for its answer. A write is posted: the vCPU goes
// on, and the device sees it in order before any later access, or kPostedDelayNs after it at the latest. So a burst of
// writes to a serial port costs one wake-up and not one each.
class ExitQueue {
 public:
  // Throws std::system_error.
  ExitQueue();

  // Readable when somebody waits for an answer, and when a posted write has waited long enough.
  int Fd() const { return event_.Get(); }
  int PostedFd() const { return posted_.Get(); }

  // vCPU thread: a read; waits for its answer. False when the queue was closed instead.
  bool Read(const ExitRecord& record, uint64_t& answer);
  // vCPU thread: a write, or an answered read. Waits only while kMaxPosted are before it. False when the queue was
  // closed.
  bool Write(const ExitRecord& record);
  // vCPU thread: the end of the vCPU.
  void Report(const ExitRecord& record);

  // Device worker.
  size_t Take(ExitRecord* into, size_t room);
  void Complete(uint32_t vcpu, uint64_t data);

  // Main thread: lets every waiting vCPU go, for good.
  void Close();

 private:
  struct Answer {
    uint64_t data = 0;
    bool ready = false;
  };

  static constexpr size_t kMaxPosted = 256;
  static constexpr long kPostedDelayNs = 1'000'000;

  void Signal();
  void SignalLater();

  Descriptor event_;
  Descriptor posted_;
  std::mutex mutex_;
  std::condition_variable answered_;
  std::condition_variable taken_;
  std::deque<ExitRecord> waiting_;
  std::vector<Answer> answers_;
  bool closed_ = false;
};

// JavaScript class ExitQueue, the device worker's end. See src/native.ts.
class ExitQueueObject : public Napi::ObjectWrap<ExitQueueObject> {
 public:
  static void Init(Napi::Env env, Napi::Object exports);
  explicit ExitQueueObject(const Napi::CallbackInfo& info);

 private:
  Napi::Value Fd(const Napi::CallbackInfo& info);
  Napi::Value PostedFd(const Napi::CallbackInfo& info);
  Napi::Value Take(const Napi::CallbackInfo& info);
  Napi::Value Complete(const Napi::CallbackInfo& info);

  SharedRef<ExitQueue> ref_;
};

}  // namespace postcopy
