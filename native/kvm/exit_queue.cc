#include "kvm/exit_queue.h"

#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include <cerrno>
#include <system_error>

#include "util/args.h"

namespace postcopy {

ExitQueue::ExitQueue()
    : event_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      posted_(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)) {
  if (!event_.Valid() || !posted_.Valid()) throw std::system_error(errno, std::generic_category(), "eventfd");
}

void ExitQueue::Signal() {
  uint64_t one = 1;
  [[maybe_unused]] ssize_t written = write(event_.Get(), &one, sizeof one);  // EAGAIN: signalled already
}

void ExitQueue::SignalLater() {
  itimerspec delay{};
  delay.it_value.tv_nsec = kPostedDelayNs;
  timerfd_settime(posted_.Get(), 0, &delay, nullptr);
}

bool ExitQueue::Read(const ExitRecord& record, uint64_t& answer) {
  std::unique_lock lock(mutex_);
  if (closed_) return false;
  if (answers_.size() <= record.vcpu) answers_.resize(record.vcpu + 1);
  answers_[record.vcpu].ready = false;
  waiting_.push_back(record);
  Signal();
  answered_.wait(lock, [&] { return closed_ || answers_[record.vcpu].ready; });
  answer = answers_[record.vcpu].data;
  return !closed_;
}

bool ExitQueue::Write(const ExitRecord& record) {
  std::unique_lock lock(mutex_);
  if (waiting_.size() >= kMaxPosted) {
    Signal();
    taken_.wait(lock, [&] { return closed_ || waiting_.size() < kMaxPosted; });
  }
  if (closed_) return false;
  if (waiting_.empty()) SignalLater();
  waiting_.push_back(record);
  return true;
}

void ExitQueue::Report(const ExitRecord& record) {
  std::lock_guard lock(mutex_);
  waiting_.push_back(record);
  Signal();
}

size_t ExitQueue::Take(ExitRecord* into, size_t room) {
  std::lock_guard lock(mutex_);
  uint64_t drained;
  [[maybe_unused]] ssize_t got = read(event_.Get(), &drained, sizeof drained);
  got = read(posted_.Get(), &drained, sizeof drained);
  size_t count = 0;
  for (; count < room && !waiting_.empty(); count++) {
    into[count] = waiting_.front();
    waiting_.pop_front();
  }
  if (!waiting_.empty()) Signal();
  taken_.notify_all();
  return count;
}

void ExitQueue::Complete(uint32_t vcpu, uint64_t data) {
  std::lock_guard lock(mutex_);
  if (vcpu >= answers_.size()) return;
  answers_[vcpu] = {data, true};
  answered_.notify_all();
}

void ExitQueue::Close() {
  std::lock_guard lock(mutex_);
  closed_ = true;
  answered_.notify_all();
  taken_.notify_all();
}

// new ExitQueue(null, handle): the handle comes from Vm.exitQueueHandle
ExitQueueObject::ExitQueueObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<ExitQueueObject>(info) {
  if (!IsAttach(info)) throw Napi::TypeError::New(info.Env(), "ExitQueue is attached to, by handle");
  ref_.Attach(info.Env(), UintArg(info, 1, "handle", UINT32_MAX));
}

Napi::Value ExitQueueObject::Fd(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), ref_.Get(info.Env()).Fd());
}

Napi::Value ExitQueueObject::PostedFd(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), ref_.Get(info.Env()).PostedFd());
}

// take(records: Uint8Array): number of 32-byte records written.
Napi::Value ExitQueueObject::Take(const Napi::CallbackInfo& info) {
  Napi::Uint8Array into = BytesArg(info, 0, "records");
  if (reinterpret_cast<uintptr_t>(into.Data()) % alignof(ExitRecord) != 0) {
    throw Napi::RangeError::New(info.Env(), "records must be aligned to 8 bytes");
  }
  size_t room = into.ByteLength() / sizeof(ExitRecord);
  size_t count = ref_.Get(info.Env()).Take(reinterpret_cast<ExitRecord*>(into.Data()), room);
  return Napi::Number::New(info.Env(), count);
}

// complete(vcpu, low: 32 bits, high: 32 bits): answers the read of a vCPU, which goes on.
Napi::Value ExitQueueObject::Complete(const Napi::CallbackInfo& info) {
  uint32_t vcpu = static_cast<uint32_t>(UintArg(info, 0, "vcpu", UINT32_MAX));
  uint64_t low = UintArg(info, 1, "low", UINT32_MAX);
  uint64_t high = UintArg(info, 2, "high", UINT32_MAX);
  ref_.Get(info.Env()).Complete(vcpu, low | high << 32);
  return info.Env().Undefined();
}

void ExitQueueObject::Init(Napi::Env env, Napi::Object exports) {
  exports.Set("ExitQueue", DefineClass(env, "ExitQueue",
                                       {InstanceAccessor<&ExitQueueObject::Fd>("fd"),
                                        InstanceAccessor<&ExitQueueObject::PostedFd>("postedFd"),
                                        InstanceMethod<&ExitQueueObject::Take>("take"),
                                        InstanceMethod<&ExitQueueObject::Complete>("complete")}));
}

}  // namespace postcopy
