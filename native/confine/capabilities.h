#pragma once
#include <cstdint>

namespace postcopy {

// Takes all capabilities but these (bit n: capability n) from every thread of this process, for good: threads keep them
// one by one, and those that are made have their maker's. The other threads drop theirs in a signal handler; returns
// how many have not yet, and can be called again until that is none. Throws std::system_error.
int LimitCapabilities(uint64_t keep);

}  // namespace postcopy
