#include "block/disk.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <memory>
#include <system_error>
#include <utility>

#include "memory/guest_memory.h"
#include "util/args.h"
#include "util/errors.h"

namespace postcopy {
namespace {

// More than a virtqueue can have descriptors.
constexpr uint64_t kMaxSegments = 65536;
constexpr uint64_t kMaxWaitMs = 3'600'000;
constexpr const char* kUsedAfterClose = "disk used after close()";

std::chrono::milliseconds WaitArg(const Napi::CallbackInfo& info, size_t index) {
  return std::chrono::milliseconds(UintArg(info, index, "timeoutMs", kMaxWaitMs));
}

// Throws unless the value is a whole number that a JavaScript number holds exactly.
uint64_t WholeNumber(Napi::Env env, double value) {
  if (!(value >= 0 && value <= 9007199254740991.0 && value == std::floor(value))) {
    throw Napi::RangeError::New(env, "segments must be pairs of whole numbers");
  }
  return static_cast<uint64_t>(value);
}

// The parts of guest RAM that `count` pairs of [ramOffset, length] name; `total` is how long they are together.
std::vector<iovec> PartsOf(Napi::Env env, const Ram& ram, Napi::Float64Array segments, size_t count, uint64_t& total) {
  std::vector<iovec> parts;
  parts.reserve(count);
  total = 0;
  for (size_t i = 0; i < count; i++) {
    uint64_t ram_offset = WholeNumber(env, segments[i * 2]);
    uint64_t length = WholeNumber(env, segments[i * 2 + 1]);
    if (!ram.HasBytes(ram_offset, length)) throw Napi::RangeError::New(env, "segment outside of guest RAM");
    if (length > 0) parts.push_back({ram.Base() + ram_offset, length});
    total += length;  // cannot overflow: 2^16 segments of at most 2^44 bytes
  }
  return parts;
}

DiskCall CallArg(const Napi::CallbackInfo& info) {
  return static_cast<DiskCall>(UintArg(info, 0, "call", kDiskCalls - 1));
}

// The system call that a failure is one of.
const char* NameOf(DiskCall call, const DiskFile& file) {
  switch (call) {
    case DiskCall::kSync:
      return "fdatasync";
    case DiskCall::kLock:
    case DiskCall::kUnlock:
    case DiskCall::kTestLock:
      return "fcntl";
    case DiskCall::kDropCache:
      return file.IsBlockDevice() ? "BLKFLSBUF" : "posix_fadvise";
    case DiskCall::kChooseSample:
    case DiskCall::kTakeSample:
    case DiskCall::kReadSample:
      return "pread";
  }
  return "disk";
}

}  // namespace

// new Disk(path, readonly)
Disk::Disk(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Disk>(info) {
  if (IsAttach(info)) {
    ref_.Attach(info.Env(), UintArg(info, 1, "handle", UINT32_MAX));
    return;
  }
  std::string path = StringArg(info, 0, "path");
  bool readonly = BoolArg(info, 1, "readonly");
  try {
    ref_.Own(std::make_shared<RequestPool>(std::make_shared<DiskFile>(path, readonly)));
  } catch (const std::system_error& error) {
    const int code = error.code().value();
    throw SystemError(info.Env(), code, "open",
                      code == EINVAL ? path + " is neither a regular file nor a block device" : path);
  }
}

Napi::Value Disk::Handle(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), ref_.Handle()); }

Napi::Value Disk::Fd(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), ref_.Get(info.Env()).CompletionFd());
}

Napi::Value Disk::Bytes(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(ref_.Get(info.Env()).File().Bytes()));
}

// lockAlso(path, start, length, shared): before begin().
Napi::Value Disk::LockAlso(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const std::string path = StringArg(info, 0, "path");
  const uint64_t start = UintArg(info, 1, "start");
  const uint64_t length = UintArg(info, 2, "length");
  const bool shared = BoolArg(info, 3, "shared");
  try {
    ref_.Get(env).File().LockAlso(path, start, length, shared);
  } catch (const std::system_error& error) {
    throw SystemError(env, error.code().value(), "open", path);
  }
  return env.Undefined();
}

// sampleAt(offsets, bytes): what the next sample is of; whole blocks among the first `bytes` of the disk.
Napi::Value Disk::SampleAt(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  DiskFile& file = ref_.Get(env).File();
  Napi::Float64Array given = DoublesArg(info, 0, "offsets");
  const uint64_t bytes = UintArg(info, 1, "bytes", file.Bytes());
  std::vector<uint64_t> offsets;
  for (size_t i = 0; i < given.ElementLength(); i++) {
    offsets.push_back(WholeNumber(env, given[i]));
    if (!file.HasBytes(offsets.back(), DiskSample::kBlock))
      throw Napi::RangeError::New(env, "block outside of the disk");
  }
  file.Sample().Begin(std::move(offsets), bytes);
  return env.Undefined();
}

// sampleOffsets(): those that the sample is of, after a call for it.
Napi::Value Disk::SampleOffsets(const Napi::CallbackInfo& info) {
  const std::vector<uint64_t> offsets = ref_.Get(info.Env()).File().Sample().Offsets();
  Napi::Float64Array into = Napi::Float64Array::New(info.Env(), offsets.size());
  for (size_t i = 0; i < offsets.size(); i++) into[i] = static_cast<double>(offsets[i]);
  return into;
}

// sampleContent(): of its blocks, one behind the other.
Napi::Value Disk::SampleContent(const Napi::CallbackInfo& info) {
  const std::vector<uint8_t> content = ref_.Get(info.Env()).File().Sample().Content();
  Napi::Uint8Array into = Napi::Uint8Array::New(info.Env(), content.size());
  std::copy(content.begin(), content.end(), into.Data());
  return into;
}

// begin(call): its number, for ended().
Napi::Value Disk::Begin(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const DiskCall call = CallArg(info);
  uint64_t number;
  try {
    number = ref_.Get(env).Calls(call).Begin(call);
  } catch (const std::system_error& error) {
    throw SystemError(env, error.code().value(), "pthread_create", "disk thread");
  }
  if (number == 0) throw Napi::Error::New(env, kUsedAfterClose);
  return Napi::Number::New(env, static_cast<double>(number));
}

// ended(call, number, timeoutMs): false if it has not ended by then.
Napi::Value Disk::Ended(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const DiskCall call = CallArg(info);
  RequestPool& pool = ref_.Get(env);
  int error;
  const bool ended = pool.Calls(call).Wait(UintArg(info, 1, "number"), WaitArg(info, 2), error);
  if (error != 0) throw SystemError(env, error, NameOf(call, pool.File()), "disk");
  return Napi::Boolean::New(env, ended);
}

// submit(id, kind, memory, segments: Float64Array of [ramOffset, length] pairs, count, offset, length)
Napi::Value Disk::Submit(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  RequestPool& pool = ref_.Get(env);
  Request request;
  request.id = static_cast<int32_t>(UintArg(info, 0, "id", INT32_MAX));
  request.kind = static_cast<RequestKind>(UintArg(info, 1, "kind", kRequestKinds - 1));
  request.ram = GuestMemory::FromArg(info, 2);
  Napi::Float64Array segments = DoublesArg(info, 3, "segments");
  const size_t count = UintArg(info, 4, "count", kMaxSegments);
  request.offset = UintArg(info, 5, "offset");
  request.length = UintArg(info, 6, "length");
  if (segments.ElementLength() < count * 2) throw Napi::RangeError::New(env, "segments are shorter than count");
  if (!pool.File().HasBytes(request.offset, request.length))
    throw Napi::RangeError::New(env, "bytes outside of the disk");
  uint64_t total;
  request.parts = PartsOf(env, *request.ram, segments, count, total);
  const bool transfers = request.kind <= RequestKind::kWriteThrough;
  if (transfers && total != request.length) throw Napi::RangeError::New(env, "length is not that of the segments");
  try {
    if (!pool.Submit(std::move(request))) throw Napi::Error::New(env, kUsedAfterClose);
  } catch (const std::system_error& error) {
    throw SystemError(env, error.code().value(), "pthread_create", "disk thread");
  }
  return env.Undefined();
}

// completions(into: Int32Array): number of [id, 0 or errno] pairs that it filled.
Napi::Value Disk::Completions(const Napi::CallbackInfo& info) {
  Napi::Int32Array into = Int32sArg(info, 0, "into");
  size_t taken = ref_.Get(info.Env()).Take(into.Data(), into.ElementLength() / 2);
  return Napi::Number::New(info.Env(), static_cast<double>(taken));
}

Napi::Value Disk::WaitIdle(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), ref_.Get(info.Env()).WaitIdle(WaitArg(info, 0)));
}

// detach(): this object lets go of the disk; others, and the handle, keep it.
Napi::Value Disk::Detach(const Napi::CallbackInfo& info) {
  ref_.Detach();
  return info.Env().Undefined();
}

// close(timeoutMs): for all who share it. False if requests were still in flight at the end.
Napi::Value Disk::Close(const Napi::CallbackInfo& info) {
  std::chrono::milliseconds timeout = WaitArg(info, 0);
  bool ended = true;
  if (ref_.Shared() != nullptr) ended = ref_.Shared()->Stop(timeout);
  ref_.Close();
  return Napi::Boolean::New(info.Env(), ended);
}

void Disk::Init(Napi::Env env, Napi::Object exports) {
  exports.Set(
      "Disk",
      DefineClass(env, "Disk",
                  {InstanceAccessor<&Disk::Handle>("handle"), InstanceAccessor<&Disk::Fd>("fd"),
                   InstanceAccessor<&Disk::Bytes>("bytes"), InstanceMethod<&Disk::LockAlso>("lockAlso"),
                   InstanceMethod<&Disk::SampleAt>("sampleAt"), InstanceMethod<&Disk::SampleOffsets>("sampleOffsets"),
                   InstanceMethod<&Disk::SampleContent>("sampleContent"), InstanceMethod<&Disk::Begin>("begin"),
                   InstanceMethod<&Disk::Ended>("ended"), InstanceMethod<&Disk::Submit>("submit"),
                   InstanceMethod<&Disk::Completions>("completions"), InstanceMethod<&Disk::WaitIdle>("waitIdle"),
                   InstanceMethod<&Disk::Detach>("detach"), InstanceMethod<&Disk::Close>("close")}));
}

}  // namespace postcopy
