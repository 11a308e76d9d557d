#pragma once
#include <csignal>

namespace postcopy {

// Signals of vCPU threads. The kick takes a vCPU out of the guest; those of exceptions may be a guest's own on the
// machine of threads (threads/guest_context.h).
int KickSignal();

// For every signal that a vCPU thread takes, once for the process; what the process had for them before is called for
// whatever is no guest's.
void InstallVcpuSignals();

// vCPU threads take no signal but these; the process's own are the main thread's.
const sigset_t& VcpuSignalMask();

}  // namespace postcopy
