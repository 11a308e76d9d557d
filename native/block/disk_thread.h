#pragma once
#include <thread>

namespace postcopy {

// Called by a thread that does a disk's system calls, first of all: its name, and no signals, which are the main
// thread's.
void SetUpDiskThread(const char* name);

// `ended`: its work is over. A thread that still waits for storage is left behind. One that was never started is
// neither.
void EndDiskThread(std::thread& thread, bool ended);

}  // namespace postcopy
