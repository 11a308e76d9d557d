#pragma once
#include <csignal>
#include <cstdint>

namespace postcopy {

// Signals of vCPU threads. The kick takes a vCPU out of the guest; those of exceptions may be a guest's own on the
// machine of threads (threads/guest_context.h).
int KickSignal();

// For every signal that a vCPU thread takes, once for the process; what the process had for them before is called for
// whatever is no guest's.
void InstallVcpuSignals();

// Of a thread that is in KVM: from now on, a page of guest RAM that KVM finds lost to a memory error of this host is
// noted, and ends nothing.
void NoteLostPages();
// The address of the page that was noted since the last call; 0 without one.
uintptr_t TakeLostPage();

// vCPU threads take no signal but these; the process's own are the main thread's.
const sigset_t& VcpuSignalMask();

}  // namespace postcopy
