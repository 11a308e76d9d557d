#include "memory/guest_memory.h"

#include <cerrno>
#include <cstring>
#include <system_error>

#include "memory/extent_search.h"
#include "memory/lost_pages.h"
#include "util/args.h"
#include "util/env_data.h"
#include "util/errors.h"

namespace postcopy {
namespace {

// 2^32 pages of 4 KiB: page numbers are 32 bits wide on the wire and in page tables of ours.
constexpr uint64_t kMaxBytes = 1ULL << 44;
// GUEST_BASE of native/guest/physical.h (test/native/guest-base.test.ts holds them equal): the same in every process.
// Above where V8 asks for memory, below where Linux puts a program.
constexpr uintptr_t kThreadsGuestBase = 1ULL << 46;

// EHWPOISON: one of these pages is lost to a memory error of this host.
Napi::Error LostError(Napi::Env env, const char* what, uint64_t offset, uint64_t bytes) {
  const uint64_t last = (offset + (bytes > 0 ? bytes - 1 : 0)) / kPageSize;
  return SystemError(env, EHWPOISON, what,
                     "guest RAM, pages " + std::to_string(offset / kPageSize) + " to " + std::to_string(last));
}

}  // namespace

// The pages from `first` on that are alike in being all zero, or not: positive if they are zero. 0 if the first is
// lost; another that is ends the run.
static double Alike(const Ram& ram, uint64_t first, uint64_t count) {
  // As far as it came: volatile, because a touch that fails leaves the function where it stands.
  volatile bool zero = false;
  volatile int64_t run = 0;
  volatile bool* const is_zero = &zero;
  volatile int64_t* const alike = &run;
  const Ram* const pages = &ram;
  const auto most = static_cast<int64_t>(count);
  LostPages::Survive([=] {
    *is_zero = pages->IsZero(first);
    *alike = 1;
    while (*alike < most && pages->IsZero(first + static_cast<uint64_t>(*alike)) == *is_zero) *alike = *alike + 1;
  });
  return static_cast<double>(zero ? run : -run);
}

GuestMemory::GuestMemory(const Napi::CallbackInfo& info) : Napi::ObjectWrap<GuestMemory>(info) {
  if (IsAttach(info)) {
    ref_.Attach(info.Env(), UintArg(info, 1, "handle", UINT32_MAX));
    return;
  }
  LostPages::Expect();
  uint64_t bytes = UintArg(info, 0, "bytes", kMaxBytes);
  std::string backing = StringArg(info, 1, "backing");
  if (bytes == 0 || bytes % kPageSize != 0) throw Napi::RangeError::New(info.Env(), "bytes must be whole pages");
  if (backing == "threads") {
    OwnAt(info, bytes);
    return;
  }
  if (backing != "anonymous" && backing != "memfd") {
    throw Napi::RangeError::New(info.Env(), "backing must be 'anonymous', 'memfd' or 'threads'");
  }
  try {
    ref_.Own(std::make_shared<Ram>(bytes, backing == "memfd" ? Backing::kMemfd : Backing::kAnonymous));
  } catch (const std::system_error& error) {
    throw SystemError(info.Env(), error.code().value(), "mmap", std::to_string(bytes) + " bytes of guest RAM");
  }
}

void GuestMemory::OwnAt(const Napi::CallbackInfo& info, uint64_t bytes) {
  try {
    ref_.Own(std::make_shared<Ram>(bytes, kThreadsGuestBase));
  } catch (const std::system_error& error) {
    throw SystemError(
        info.Env(), error.code().value(), "mmap",
        std::to_string(bytes) + " bytes of guest RAM at the one address where a guest of threads can run");
  }
}

std::shared_ptr<Ram> GuestMemory::FromArg(const Napi::CallbackInfo& info, size_t index) {
  Napi::Env env = info.Env();
  if (index >= info.Length() || !info[index].IsObject() ||
      !info[index].As<Napi::Object>().InstanceOf(EnvData::Of(env).guest_memory.Value())) {
    throw Napi::TypeError::New(env, "memory must be a GuestMemory");
  }
  std::shared_ptr<Ram> ram = Unwrap(info[index].As<Napi::Object>())->Shared();
  if (!ram) throw Napi::Error::New(env, "guest memory used after close()");
  return ram;
}

Napi::Value GuestMemory::Handle(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), ref_.Handle()); }

Napi::Value GuestMemory::Bytes(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(ref_.Get(info.Env()).Bytes()));
}

Napi::Value GuestMemory::BackingName(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), ref_.Get(info.Env()).Kind() == Backing::kMemfd ? "memfd" : "anonymous");
}

// read(offset, into): copies RAM into the array. Waits like a vCPU when a page is missing: never from a page worker.
Napi::Value GuestMemory::Read(const Napi::CallbackInfo& info) {
  Ram& ram = ref_.Get(info.Env());
  uint64_t offset = UintArg(info, 0, "offset");
  Napi::Uint8Array into = BytesArg(info, 1, "into");
  if (!ram.HasBytes(offset, into.ByteLength())) throw Napi::RangeError::New(info.Env(), "read outside of guest RAM");
  const size_t bytes = into.ByteLength();
  uint8_t* to = into.Data();
  const uint8_t* from = ram.Base() + offset;
  if (!LostPages::Survive([=] { memcpy(to, from, bytes); })) throw LostError(info.Env(), "read", offset, bytes);
  return info.Env().Undefined();
}

Napi::Value GuestMemory::Write(const Napi::CallbackInfo& info) {
  Ram& ram = ref_.Get(info.Env());
  uint64_t offset = UintArg(info, 0, "offset");
  Napi::Uint8Array from = BytesArg(info, 1, "from");
  if (!ram.HasBytes(offset, from.ByteLength())) throw Napi::RangeError::New(info.Env(), "write outside of guest RAM");
  const size_t bytes = from.ByteLength();
  uint8_t* to = ram.Base() + offset;
  const uint8_t* source = from.Data();
  const bool survived = LostPages::Survive([=] { memcpy(to, source, bytes); });
  ram.Written(to, bytes);
  if (!survived) throw LostError(info.Env(), "write", offset, bytes);
  return info.Env().Undefined();
}

// dataExtents(first, count): Uint32Array of [first page, pages] pairs, in order.
Napi::Value GuestMemory::DataExtents(const Napi::CallbackInfo& info) {
  Ram& ram = ref_.Get(info.Env());
  uint64_t first = UintArg(info, 0, "first");
  uint64_t count = UintArg(info, 1, "count");
  if (!ram.HasPages(first, count)) throw Napi::RangeError::New(info.Env(), "pages outside of guest RAM");
  try {
    return ExtentPairs(info.Env(), ram.DataExtents(first, count));
  } catch (const std::system_error& error) {
    throw ExtentError(info.Env(), error);
  }
}

// dataExtentsOutside(known: Uint32Array): the same of all pages outside of these [first page, pages] pairs.
Napi::Value GuestMemory::DataExtentsOutside(const Napi::CallbackInfo& info) {
  Ram& ram = ref_.Get(info.Env());
  Napi::Uint32Array pairs = Uint32sArg(info, 0, "known");
  if (pairs.ElementLength() % 2 != 0) throw Napi::RangeError::New(info.Env(), "known must be pairs");
  std::vector<Ram::Extent> known(pairs.ElementLength() / 2);
  uint64_t end = 0;
  for (size_t i = 0; i < known.size(); i++) {
    known[i] = {pairs[i * 2], pairs[i * 2 + 1]};
    if (known[i].first < end || !ram.HasPages(known[i].first, known[i].count)) {
      throw Napi::RangeError::New(info.Env(), "known extents must be ascending and within guest RAM");
    }
    end = uint64_t{known[i].first} + known[i].count;
  }
  try {
    return ExtentPairs(info.Env(), ram.DataExtentsOutside(known));
  } catch (const std::system_error& error) {
    throw ExtentError(info.Env(), error);
  }
}

// findDataExtents(): a promise of dataExtents() of all pages, found on another thread.
Napi::Value GuestMemory::FindDataExtents(const Napi::CallbackInfo& info) {
  ref_.Get(info.Env());
  std::shared_ptr<Ram> ram = ref_.Shared();
  return ExtentSearch::Start(info.Env(), [ram] { return ram->DataExtents(0, ram->Pages()); }, ExtentError);
}

Napi::Value GuestMemory::Release(const Napi::CallbackInfo& info) {
  Ram& ram = ref_.Get(info.Env());
  uint64_t first = UintArg(info, 0, "first");
  uint64_t count = UintArg(info, 1, "count");
  if (!ram.HasPages(first, count)) throw Napi::RangeError::New(info.Env(), "release outside of guest RAM");
  int error = ram.Release(first, count);
  if (error != 0) throw SystemError(info.Env(), error, "madvise", "release guest pages");
  return info.Env().Undefined();
}

// zeroRun(first, count): how many pages from `first` on are alike in being all zero, or not: positive if they are zero,
// negative if not; 0 if the first is lost to a memory error. Reads them.
Napi::Value GuestMemory::ZeroRun(const Napi::CallbackInfo& info) {
  Ram& ram = ref_.Get(info.Env());
  uint64_t first = UintArg(info, 0, "first");
  uint64_t count = UintArg(info, 1, "count", INT32_MAX);
  if (count == 0 || !ram.HasPages(first, count)) throw Napi::RangeError::New(info.Env(), "pages outside of guest RAM");
  return Napi::Number::New(info.Env(), Alike(ram, first, count));
}

// collapse(first, count): MADV_COLLAPSE; false if the kernel has no huge page to give, or cannot now.
Napi::Value GuestMemory::Collapse(const Napi::CallbackInfo& info) {
  Ram& ram = ref_.Get(info.Env());
  uint64_t first = UintArg(info, 0, "first");
  uint64_t count = UintArg(info, 1, "count");
  if (!ram.HasPages(first, count)) throw Napi::RangeError::New(info.Env(), "collapse outside of guest RAM");
  return Napi::Boolean::New(info.Env(), ram.Collapse(first, count) == 0);
}

Napi::Value GuestMemory::Close(const Napi::CallbackInfo& info) {
  ref_.Close();
  return info.Env().Undefined();
}

void GuestMemory::Init(Napi::Env env, Napi::Object exports) {
  Napi::Function constructor = DefineClass(
      env, "GuestMemory",
      {InstanceAccessor<&GuestMemory::Handle>("handle"), InstanceAccessor<&GuestMemory::Bytes>("bytes"),
       InstanceAccessor<&GuestMemory::BackingName>("backing"), InstanceMethod<&GuestMemory::Read>("read"),
       InstanceMethod<&GuestMemory::Write>("write"), InstanceMethod<&GuestMemory::DataExtents>("dataExtents"),
       InstanceMethod<&GuestMemory::DataExtentsOutside>("dataExtentsOutside"),
       InstanceMethod<&GuestMemory::FindDataExtents>("findDataExtents"),
       InstanceMethod<&GuestMemory::Release>("release"), InstanceMethod<&GuestMemory::ZeroRun>("zeroRun"),
       InstanceMethod<&GuestMemory::Collapse>("collapse"), InstanceMethod<&GuestMemory::Close>("close")});
  EnvData::Of(env).guest_memory = Napi::Persistent(constructor);
  exports.Set("GuestMemory", constructor);
}

}  // namespace postcopy
