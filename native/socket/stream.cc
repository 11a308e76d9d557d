#include "socket/stream.h"

#include <limits.h>
#include <linux/tls.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace postcopy {
namespace {

// Moves past `sent` bytes of the parts; returns the parts that are left.
size_t Advance(iovec*& parts, size_t count, size_t sent) {
  while (count > 0 && sent >= parts->iov_len) {
    sent -= parts->iov_len;
    parts++;
    count--;
  }
  if (count > 0) {
    parts->iov_base = static_cast<uint8_t*>(parts->iov_base) + sent;
    parts->iov_len -= sent;
  }
  return count;
}

// Content types of TLS records (RFC 8446, 5.1).
constexpr uint8_t kTlsAlert = 21;
constexpr uint8_t kTlsHandshake = 22;
constexpr uint8_t kTlsData = 23;

// recv(2), never waiting, with the type of the record where the kernel does the connection's TLS: it gives one that is
// no data to those only who ask for the type.
ssize_t ReceiveRecord(int fd, uint8_t* into, size_t maximum, uint8_t& type) {
  iovec part{into, maximum};
  alignas(cmsghdr) uint8_t control[CMSG_SPACE(sizeof type)];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t got = recvmsg(fd, &message, MSG_DONTWAIT);
  const cmsghdr* told = got > 0 ? CMSG_FIRSTHDR(&message) : nullptr;
  if (told != nullptr && told->cmsg_level == SOL_TLS && told->cmsg_type == TLS_GET_RECORD_TYPE) {
    type = *CMSG_DATA(told);
  }
  return got;
}

}  // namespace

int WaitFor(int fd, short events, int timeout_ms) {
  pollfd waiting{fd, events, 0};
  for (;;) {
    int ready = poll(&waiting, 1, timeout_ms);
    if (ready > 0) return 0;
    if (ready == 0) return ETIMEDOUT;
    if (errno != EINTR) return errno;
  }
}

int SendAll(int fd, iovec* parts, size_t count) {
  while (count > 0) {
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = std::min<size_t>(count, IOV_MAX);
    ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      count = Advance(parts, count, static_cast<size_t>(sent));
    } else if (errno == EAGAIN) {
      int error = WaitFor(fd, POLLOUT, -1);
      if (error != 0) return error;
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

int SendWhatFits(int fd, iovec* parts, size_t count, size_t skip, size_t& sent) {
  sent = 0;
  count = Advance(parts, count, skip);
  while (count > 0) {
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = std::min<size_t>(count, IOV_MAX);
    ssize_t put = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (put >= 0) {
      sent += static_cast<size_t>(put);
      count = Advance(parts, count, static_cast<size_t>(put));
    } else if (errno == EAGAIN) {
      return 0;
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

int ReceiveSome(int fd, uint8_t* into, size_t minimum, size_t maximum, int timeout_ms, size_t& received) {
  received = 0;
  for (;;) {
    uint8_t type = kTlsData;
    ssize_t got = ReceiveRecord(fd, into + received, maximum - received, type);
    if (got > 0 && type != kTlsData) {
      // What ends a TLS connection ends it as a TCP connection would; tickets of sessions that nobody resumes say
      // nothing.
      if (type == kTlsAlert) return 0;
      if (type != kTlsHandshake) return EPROTO;
    } else if (got > 0) {
      received += static_cast<size_t>(got);
      if (received >= minimum) return 0;
    } else if (got == 0) {
      return 0;
    } else if (errno == EAGAIN) {
      if (minimum == 0) return EAGAIN;
      int error = WaitFor(fd, POLLIN, timeout_ms);
      if (error != 0) return error;
    } else if (errno != EINTR) {
      return errno;
    }
  }
}

}  // namespace postcopy
