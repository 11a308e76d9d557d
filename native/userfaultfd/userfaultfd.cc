#include "userfaultfd/userfaultfd.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>

#include "memory/guest_memory.h"
#include "util/args.h"
#include "util/errors.h"

namespace postcopy {
namespace {

// Linux 6.6; headers may be older.
#ifdef UFFDIO_POISON
using PoisonRequest = uffdio_poison;
constexpr unsigned long kPoison = UFFDIO_POISON;
#else
struct PoisonRequest {
  uffdio_range range;
  __u64 mode;
  __s64 updated;
};
constexpr unsigned long kPoison = _IOWR(UFFDIO, 0x08, PoisonRequest);
#endif

struct Opened {
  Descriptor fd;
  const char* path;  // "device" or "syscall"
  int error;
};

// /dev/userfaultfd (Linux 6.1) first: its file mode decides who may, also for faults taken in the kernel, as KVM's are.
Opened Open() {
  Descriptor device(open("/dev/userfaultfd", O_RDWR | O_CLOEXEC));
  if (device.Valid()) {
    int fd = ioctl(device.Get(), USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0) return {Descriptor(fd), "device", 0};
  }
  int fd = static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK));
  return {Descriptor(fd), "syscall", fd >= 0 ? 0 : errno};
}

Opened OpenOrThrow(Napi::Env env) {
  Opened opened = Open();
  if (!opened.fd.Valid()) throw SystemError(env, opened.error, "userfaultfd");
  return opened;
}

// What one ioctl that installs pages did: pages done, or an errno value.
struct Installed {
  int64_t bytes;
  int error;
};

// The host has no memory for the page at `at` now: it is no failure of what is being done, which goes on later. The
// error says how many pages from the first one on are there, and how many of them were newly installed.
Napi::Error OutOfMemory(Napi::Env env, const char* name, uint64_t first, uint64_t at, uint64_t installed) {
  Napi::Error error = SystemError(env, ENOMEM, name, "page " + std::to_string(at));
  error.Value().Set("pages", static_cast<double>(at - first));
  error.Value().Set("installed", static_cast<double>(installed));
  return error;
}

// Runs `install` over the range until all of it is there. EAGAIN (the kernel gave up half way, or the mappings change)
// is tried again; a page that is there already (EEXIST) is left as it is and its waiters are woken: it was installed by
// another thread after the fault was reported. Returns pages newly installed; throws on anything else.
uint64_t InstallAll(Napi::Env env, FaultSource& source, uint64_t first, uint64_t count, const char* name,
                    const std::function<Installed(uint64_t page, uint64_t pages)>& install) {
  uint64_t installed = 0;
  uint64_t at = first;
  const uint64_t end = first + count;
  while (at < end) {
    Installed result = install(at, end - at);
    if (result.error == 0) {
      installed += end - at;
      return installed;
    }
    if (result.error == EAGAIN) {
      uint64_t pages = result.bytes > 0 ? static_cast<uint64_t>(result.bytes) / kPageSize : 0;
      installed += pages;
      at += pages;
    } else if (result.error == EEXIST) {
      uffdio_range range{reinterpret_cast<uint64_t>(source.ram->Page(at)), kPageSize};
      ioctl(source.fd.Get(), UFFDIO_WAKE, &range);
      at++;
    } else if (result.error == ENOMEM) {
      throw OutOfMemory(env, name, first, at, installed);
    } else {
      throw SystemError(env, result.error, name, "page " + std::to_string(at));
    }
  }
  return installed;
}

}  // namespace

// new Userfaultfd(memory)
Userfaultfd::Userfaultfd(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Userfaultfd>(info) {
  if (IsAttach(info)) {
    ref_.Attach(info.Env(), UintArg(info, 1, "handle", UINT32_MAX));
    return;
  }
  auto source = std::make_shared<FaultSource>();
  source->ram = GuestMemory::FromArg(info, 0);
  source->fd = OpenOrThrow(info.Env()).fd;
  uffdio_api api{};
  api.api = UFFD_API;
  if (source->ram->Kind() == Backing::kMemfd) api.features = UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_MINOR_SHMEM;
  if (ioctl(source->fd.Get(), UFFDIO_API, &api) < 0) throw SystemError(info.Env(), errno, "UFFDIO_API");
  ref_.Own(std::move(source));
}

Napi::Value Userfaultfd::Handle(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), ref_.Handle()); }

Napi::Value Userfaultfd::Fd(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), ref_.Get(info.Env()).fd.Get());
}

Userfaultfd::PageRange Userfaultfd::RangeArgs(const Napi::CallbackInfo& info) {
  PageRange range{UintArg(info, 0, "first"), UintArg(info, 1, "count")};
  if (range.count == 0 || !ref_.Get(info.Env()).ram->HasPages(range.first, range.count)) {
    throw Napi::RangeError::New(info.Env(), "pages outside of guest RAM");
  }
  return range;
}

// register(first, count, minor): missing faults, with `minor` (memfd only) also those on pages the file has but not we.
Napi::Value Userfaultfd::Register(const Napi::CallbackInfo& info) {
  FaultSource& source = ref_.Get(info.Env());
  PageRange pages = RangeArgs(info);
  uffdio_register request{};
  request.range = {reinterpret_cast<uint64_t>(source.ram->Page(pages.first)), pages.count * kPageSize};
  request.mode = UFFDIO_REGISTER_MODE_MISSING;
  if (BoolArg(info, 2, "minor")) request.mode |= UFFDIO_REGISTER_MODE_MINOR;
  if (ioctl(source.fd.Get(), UFFDIO_REGISTER, &request) < 0) throw SystemError(info.Env(), errno, "UFFDIO_REGISTER");
  return info.Env().Undefined();
}

Napi::Value Userfaultfd::Unregister(const Napi::CallbackInfo& info) {
  FaultSource& source = ref_.Get(info.Env());
  PageRange pages = RangeArgs(info);
  uffdio_range range{reinterpret_cast<uint64_t>(source.ram->Page(pages.first)), pages.count * kPageSize};
  if (ioctl(source.fd.Get(), UFFDIO_UNREGISTER, &range) < 0) throw SystemError(info.Env(), errno, "UFFDIO_UNREGISTER");
  return info.Env().Undefined();
}

// readFaults(into: Uint32Array): page numbers of the faults that wait now, as many as fit; 0 if there are none.
Napi::Value Userfaultfd::ReadFaults(const Napi::CallbackInfo& info) {
  constexpr size_t kMaxBatch = 64;
  FaultSource& source = ref_.Get(info.Env());
  Napi::Uint32Array into = Uint32sArg(info, 0, "into");
  uffd_msg messages[kMaxBatch];
  size_t wanted = std::min(kMaxBatch, into.ElementLength());
  ssize_t got = read(source.fd.Get(), messages, wanted * sizeof(uffd_msg));
  if (got < 0) {
    if (errno == EAGAIN || errno == EINTR) return Napi::Number::New(info.Env(), 0);
    throw SystemError(info.Env(), errno, "read", "userfaultfd");
  }
  size_t count = 0;
  uint64_t base = reinterpret_cast<uint64_t>(source.ram->Base());
  for (size_t i = 0; i < static_cast<size_t>(got) / sizeof(uffd_msg); i++) {
    if (messages[i].event != UFFD_EVENT_PAGEFAULT) continue;  // no other event was asked for
    uint64_t offset = messages[i].arg.pagefault.address - base;
    if (!source.ram->HasBytes(offset, 1)) continue;
    into.Data()[count++] = static_cast<uint32_t>(offset / kPageSize);
  }
  return Napi::Number::New(info.Env(), count);
}

// copy(first, count, from: Uint8Array, offset): UFFDIO_COPY, returns pages newly installed.
Napi::Value Userfaultfd::Copy(const Napi::CallbackInfo& info) {
  FaultSource& source = ref_.Get(info.Env());
  PageRange pages = RangeArgs(info);
  Napi::Uint8Array from = BytesArg(info, 2, "from");
  uint64_t offset = UintArg(info, 3, "offset");
  if (offset > from.ByteLength() || pages.count * kPageSize > from.ByteLength() - offset) {
    throw Napi::RangeError::New(info.Env(), "source bytes outside of the buffer");
  }
  const uint8_t* bytes = from.Data() + offset;
  uint64_t installed = InstallAll(info.Env(), source, pages.first, pages.count, "UFFDIO_COPY",
                                  [&](uint64_t page, uint64_t count) -> Installed {
                                    uffdio_copy request{};
                                    request.dst = reinterpret_cast<uint64_t>(source.ram->Page(page));
                                    request.src = reinterpret_cast<uint64_t>(bytes + (page - pages.first) * kPageSize);
                                    request.len = count * kPageSize;
                                    if (ioctl(source.fd.Get(), UFFDIO_COPY, &request) == 0) return {request.copy, 0};
                                    return {request.copy, errno};
                                  });
  return Napi::Number::New(info.Env(), static_cast<double>(installed));
}

// zero(first, count): UFFDIO_ZEROPAGE, returns pages newly installed.
Napi::Value Userfaultfd::Zero(const Napi::CallbackInfo& info) {
  FaultSource& source = ref_.Get(info.Env());
  PageRange pages = RangeArgs(info);
  uint64_t installed = InstallAll(
      info.Env(), source, pages.first, pages.count, "UFFDIO_ZEROPAGE", [&](uint64_t page, uint64_t count) -> Installed {
        uffdio_zeropage request{};
        request.range = {reinterpret_cast<uint64_t>(source.ram->Page(page)), count * kPageSize};
        if (ioctl(source.fd.Get(), UFFDIO_ZEROPAGE, &request) == 0) return {request.zeropage, 0};
        return {request.zeropage, errno};
      });
  return Napi::Number::New(info.Env(), static_cast<double>(installed));
}

// continue(first, count): UFFDIO_CONTINUE, maps pages that are in the memfd already; returns pages newly mapped.
Napi::Value Userfaultfd::Continue(const Napi::CallbackInfo& info) {
  FaultSource& source = ref_.Get(info.Env());
  PageRange pages = RangeArgs(info);
  uint64_t installed = InstallAll(
      info.Env(), source, pages.first, pages.count, "UFFDIO_CONTINUE", [&](uint64_t page, uint64_t count) -> Installed {
        uffdio_continue request{};
        request.range = {reinterpret_cast<uint64_t>(source.ram->Page(page)), count * kPageSize};
        if (ioctl(source.fd.Get(), UFFDIO_CONTINUE, &request) == 0) return {request.mapped, 0};
        return {request.mapped, errno};
      });
  return Napi::Number::New(info.Env(), static_cast<double>(installed));
}

// poison(first, count): UFFDIO_POISON; returns pages newly marked as lost. EINVAL before Linux 6.6.
Napi::Value Userfaultfd::Poison(const Napi::CallbackInfo& info) {
  FaultSource& source = ref_.Get(info.Env());
  PageRange pages = RangeArgs(info);
  uint64_t poisoned = InstallAll(
      info.Env(), source, pages.first, pages.count, "UFFDIO_POISON", [&](uint64_t page, uint64_t count) -> Installed {
        PoisonRequest request{};
        request.range = {reinterpret_cast<uint64_t>(source.ram->Page(page)), count * kPageSize};
        if (ioctl(source.fd.Get(), kPoison, &request) == 0) return {request.updated, 0};
        return {request.updated, errno};
      });
  return Napi::Number::New(info.Env(), static_cast<double>(poisoned));
}

Napi::Value Userfaultfd::Wake(const Napi::CallbackInfo& info) {
  FaultSource& source = ref_.Get(info.Env());
  PageRange pages = RangeArgs(info);
  uffdio_range range{reinterpret_cast<uint64_t>(source.ram->Page(pages.first)), pages.count * kPageSize};
  if (ioctl(source.fd.Get(), UFFDIO_WAKE, &range) < 0) throw SystemError(info.Env(), errno, "UFFDIO_WAKE");
  return info.Env().Undefined();
}

Napi::Value Userfaultfd::Close(const Napi::CallbackInfo& info) {
  ref_.Close();
  return info.Env().Undefined();
}

// userfaultfdProbe(): {path, features}; throws with errno when this process cannot have one.
static Napi::Value Probe(const Napi::CallbackInfo& info) {
  Opened opened = OpenOrThrow(info.Env());
  uffdio_api api{};
  api.api = UFFD_API;
  if (ioctl(opened.fd.Get(), UFFDIO_API, &api) < 0) throw SystemError(info.Env(), errno, "UFFDIO_API");
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("path", opened.path);
  result.Set("features", static_cast<double>(api.features));
  return result;
}

void Userfaultfd::Init(Napi::Env env, Napi::Object exports) {
  exports.Set(
      "Userfaultfd",
      DefineClass(
          env, "Userfaultfd",
          {InstanceAccessor<&Userfaultfd::Handle>("handle"), InstanceAccessor<&Userfaultfd::Fd>("fd"),
           InstanceMethod<&Userfaultfd::Register>("register"), InstanceMethod<&Userfaultfd::Unregister>("unregister"),
           InstanceMethod<&Userfaultfd::ReadFaults>("readFaults"), InstanceMethod<&Userfaultfd::Copy>("copy"),
           InstanceMethod<&Userfaultfd::Zero>("zero"), InstanceMethod<&Userfaultfd::Continue>("continue"),
           InstanceMethod<&Userfaultfd::Poison>("poison"), InstanceMethod<&Userfaultfd::Wake>("wake"),
           InstanceMethod<&Userfaultfd::Close>("close")}));
  exports.Set("userfaultfdProbe", Napi::Function::New(env, Probe));
}

}  // namespace postcopy
