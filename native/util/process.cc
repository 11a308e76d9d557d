#include "util/process.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <ctime>
#include <string>

#include "util/args.h"
#include "util/descriptor.h"
#include "util/errors.h"

namespace postcopy {
namespace {

// monotonicMicros(): CLOCK_MONOTONIC in microseconds, the same for all threads and processes of the host.
Napi::Value MonotonicMicros(const Napi::CallbackInfo& info) {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return Napi::Number::New(info.Env(), now.tv_sec * 1e6 + now.tv_nsec / 1e3);
}

// hostTscKhz(): ticks of this processor's time stamp counter in a millisecond, which user mode reads as it is. The
// clock beside it is the one that nobody steers.
Napi::Value HostTscKhz(const Napi::CallbackInfo& info) {
  static const uint64_t khz = [] {
    constexpr timespec kSpan{0, 100'000'000};
    timespec began{};
    timespec ended{};
    clock_gettime(CLOCK_MONOTONIC_RAW, &began);
    const uint64_t first = __builtin_ia32_rdtsc();
    nanosleep(&kSpan, nullptr);
    clock_gettime(CLOCK_MONOTONIC_RAW, &ended);
    const uint64_t last = __builtin_ia32_rdtsc();
    const double ms = (ended.tv_sec - began.tv_sec) * 1e3 + (ended.tv_nsec - began.tv_nsec) / 1e6;
    return static_cast<uint64_t>((last - first) / ms + 0.5);
  }();
  return Napi::Number::New(info.Env(), static_cast<double>(khz));
}

// poll(set: Int32Array of [fd, events, revents] triples, count, timeoutMs, -1 for ever): number of ready descriptors.
// EINTR counts as a timeout: the caller's loop looks at its own state and comes back.
Napi::Value Poll(const Napi::CallbackInfo& info) {
  constexpr size_t kMaxDescriptors = 64;
  Napi::Int32Array set = Int32sArg(info, 0, "set");
  size_t count = UintArg(info, 1, "count", kMaxDescriptors);
  double timeout_ms = TimeoutArg(info, 2, "timeoutMs");
  if (set.ElementLength() < count * 3) throw Napi::RangeError::New(info.Env(), "set is shorter than count triples");

  pollfd descriptors[kMaxDescriptors];
  int32_t* triples = set.Data();
  for (size_t i = 0; i < count; i++) {
    descriptors[i] = {triples[i * 3], static_cast<short>(triples[i * 3 + 1]), 0};
  }
  timespec timeout{static_cast<time_t>(timeout_ms / 1e3),
                   static_cast<long>((timeout_ms - static_cast<long>(timeout_ms / 1e3) * 1e3) * 1e6)};
  int ready = ppoll(descriptors, count, timeout_ms < 0 ? nullptr : &timeout, nullptr);
  if (ready < 0 && errno != EINTR) throw SystemError(info.Env(), errno, "ppoll");
  for (size_t i = 0; i < count; i++) triples[i * 3 + 2] = ready > 0 ? descriptors[i].revents : 0;
  return Napi::Number::New(info.Env(), ready < 0 ? 0 : ready);
}

Napi::Value CreateEventFd(const Napi::CallbackInfo& info) {
  int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd < 0) throw SystemError(info.Env(), errno, "eventfd");
  return Napi::Number::New(info.Env(), fd);
}

Napi::Value SignalEventFd(const Napi::CallbackInfo& info) {
  uint64_t one = 1;
  // EAGAIN: the counter is full, so the event is signalled already.
  if (write(FdArg(info, 0, "fd"), &one, sizeof one) < 0 && errno != EAGAIN) {
    throw SystemError(info.Env(), errno, "write", "eventfd");
  }
  return info.Env().Undefined();
}

Napi::Value DrainEventFd(const Napi::CallbackInfo& info) {
  uint64_t value = 0;
  if (read(FdArg(info, 0, "fd"), &value, sizeof value) < 0 && errno != EAGAIN) {
    throw SystemError(info.Env(), errno, "read", "eventfd");
  }
  return Napi::Boolean::New(info.Env(), value != 0);
}

Napi::Value CloseFd(const Napi::CallbackInfo& info) {
  close(FdArg(info, 0, "fd"));
  return info.Env().Undefined();
}

// duplicateFd(fd): another descriptor for the same open file.
Napi::Value DuplicateFd(const Napi::CallbackInfo& info) {
  const int fd = fcntl(FdArg(info, 0, "fd"), F_DUPFD_CLOEXEC, 3);
  if (fd < 0) throw SystemError(info.Env(), errno, "fcntl", "F_DUPFD_CLOEXEC");
  return Napi::Number::New(info.Env(), fd);
}

// socketPair(): [fd, fd], a connected pair of non-blocking Unix stream sockets.
Napi::Value SocketPair(const Napi::CallbackInfo& info) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
    throw SystemError(info.Env(), errno, "socketpair");
  }
  Napi::Array result = Napi::Array::New(info.Env(), 2);
  result.Set(0u, pair[0]);
  result.Set(1u, pair[1]);
  return result;
}

// connectDatagrams(path): a socket whose writes go there; '@' begins an abstract address (unix(7)).
Napi::Value ConnectDatagrams(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const std::string path = StringArg(info, 0, "path");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) throw SystemError(env, ENAMETOOLONG, "connect", path);
  path.copy(address.sun_path, path.size());
  if (path[0] == '@') address.sun_path[0] = '\0';
  Descriptor socket_fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket_fd.Valid()) throw SystemError(env, errno, "socket", path);
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  if (connect(socket_fd.Get(), reinterpret_cast<sockaddr*>(&address), length) < 0) {
    throw SystemError(env, errno, "connect", path);
  }
  return Napi::Number::New(env, socket_fd.Release());
}

// readFd(fd, into): bytes read; 0 at the end of the stream, -1 when nothing is there now. For non-blocking descriptors.
Napi::Value ReadFd(const Napi::CallbackInfo& info) {
  Napi::Uint8Array into = BytesArg(info, 1, "into");
  ssize_t got = read(FdArg(info, 0, "fd"), into.Data(), into.ByteLength());
  if (got < 0 && errno != EAGAIN && errno != EINTR) throw SystemError(info.Env(), errno, "read");
  return Napi::Number::New(info.Env(), got);
}

// writeFd(fd, bytes): bytes written; 0 when nothing fits now. For non-blocking descriptors.
Napi::Value WriteFd(const Napi::CallbackInfo& info) {
  Napi::Uint8Array bytes = BytesArg(info, 1, "bytes");
  ssize_t put = send(FdArg(info, 0, "fd"), bytes.Data(), bytes.ByteLength(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (put < 0 && errno != EAGAIN && errno != EINTR) throw SystemError(info.Env(), errno, "send");
  return Napi::Number::New(info.Env(), put < 0 ? 0 : put);
}

// lockFile(path): a descriptor that holds an exclusive flock(2) on the file, made if need be; EWOULDBLOCK if taken.
Napi::Value LockFile(const Napi::CallbackInfo& info) {
  std::string path = StringArg(info, 0, "path");
  Descriptor file(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file.Valid()) throw SystemError(info.Env(), errno, "open", path);
  if (flock(file.Get(), LOCK_EX | LOCK_NB) < 0) {
    if (errno == EWOULDBLOCK) {
      Napi::Error taken = SystemError(info.Env(), errno, "flock", path);
      taken.Value().Set("code", "EWOULDBLOCK");  // the same number as EAGAIN, which strerrorname_np prefers
      throw taken;
    }
    throw SystemError(info.Env(), errno, "flock", path);
  }
  return Napi::Number::New(info.Env(), file.Release());
}

// exitNow(code): _exit(2). Ends threads that wait in the kernel, which process.exit() would wait for.
Napi::Value ExitNow(const Napi::CallbackInfo& info) { _exit(static_cast<int>(UintArg(info, 0, "code", 255))); }

// setThread(name, nice): name and priority of the calling thread (Linux keeps nice values per thread). False if the
// priority is not permitted.
Napi::Value SetThread(const Napi::CallbackInfo& info) {
  constexpr size_t kNameBytes = 15;
  std::string name = StringArg(info, 0, "name");
  int nice = NiceArg(info, 1, "nice");
  if (name.size() > kNameBytes) throw Napi::RangeError::New(info.Env(), "name must be at most 15 bytes");
  pthread_setname_np(pthread_self(), name.c_str());
  bool done = setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), nice) == 0;
  return Napi::Boolean::New(info.Env(), done);
}

}  // namespace

void InitProcess(Napi::Env env, Napi::Object exports) {
  exports.Set("monotonicMicros", Napi::Function::New(env, MonotonicMicros));
  exports.Set("hostTscKhz", Napi::Function::New(env, HostTscKhz));
  exports.Set("poll", Napi::Function::New(env, Poll));
  exports.Set("createEventFd", Napi::Function::New(env, CreateEventFd));
  exports.Set("signalEventFd", Napi::Function::New(env, SignalEventFd));
  exports.Set("drainEventFd", Napi::Function::New(env, DrainEventFd));
  exports.Set("closeFd", Napi::Function::New(env, CloseFd));
  exports.Set("duplicateFd", Napi::Function::New(env, DuplicateFd));
  exports.Set("socketPair", Napi::Function::New(env, SocketPair));
  exports.Set("connectDatagrams", Napi::Function::New(env, ConnectDatagrams));
  exports.Set("readFd", Napi::Function::New(env, ReadFd));
  exports.Set("writeFd", Napi::Function::New(env, WriteFd));
  exports.Set("lockFile", Napi::Function::New(env, LockFile));
  exports.Set("exitNow", Napi::Function::New(env, ExitNow));
  exports.Set("setThread", Napi::Function::New(env, SetThread));
}

}  // namespace postcopy
