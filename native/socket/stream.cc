#include "socket/stream.h"

#include <limits.h>
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
    ssize_t got = recv(fd, into + received, maximum - received, MSG_DONTWAIT);
    if (got > 0) {
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
