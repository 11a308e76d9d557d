#pragma once
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>

namespace postcopy {

// Transfers over a TCP descriptor in either blocking mode. Each returns 0 or an errno value; EINTR is handled.
// Another thread's shutdown(2) ends a wait.

// Sends all of `parts`, which are used up in the process.
int SendAll(int fd, iovec* parts, size_t count);

// Sends what fits now of `parts` (used up in the process) but for their first `skip` bytes; never waits.
int SendWhatFits(int fd, iovec* parts, size_t count, size_t skip, size_t& sent);

// Receives at least `minimum` and at most `maximum` bytes; `received` < `minimum` with result 0 means the peer closed.
// Waits `timeout_ms` at most for each part that comes, -1 for ever; ETIMEDOUT then. Minimum 0 never waits: EAGAIN when
// nothing is there.
int ReceiveSome(int fd, uint8_t* into, size_t minimum, size_t maximum, int timeout_ms, size_t& received);

// Waits for `events`. 0, ETIMEDOUT or an errno value.
int WaitFor(int fd, short events, int timeout_ms);

}  // namespace postcopy
