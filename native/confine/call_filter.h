#pragma once
#include <linux/filter.h>

#include <span>
#include <vector>

namespace postcopy {

// A system call that the process of a VM never makes, and what who tries it is told.
struct RefusedCall {
  const char* name;
  long number;
  int error;
};

std::span<const RefusedCall> RefusedCalls();

// The program that the kernel runs at each system call of the process `pid` (seccomp(2)). Besides RefusedCalls() it
// refuses what depends on arguments:
//
//   clone             but for a thread of this process       EPERM
//   clone3            ENOSYS: its arguments cannot be read here, and the C library takes clone then
//   socket            but Unix, IPv4, IPv6 and netlink       EAFNOSUPPORT
//   kill and its kin  to another process                     EPERM
//   ioctl             that types into a terminal             EPERM
//   any call          of another ABI (i386, x32)             ENOSYS
//
// All else is allowed: a list of what is allowed would end a VM, or have it fail, with the next version of Node or of
// the C library. Nothing kills the process, because that is the worst that can happen to a VM; the kernel's log tells
// of each refusal, where audit is on.
std::vector<sock_filter> CallFilter(int pid);

// For every thread of this process, and all that they make; for good. It also forgoes what set-user-ID programs would
// give (PR_SET_NO_NEW_PRIVS). 0 or an errno value.
int InstallCallFilter();

}  // namespace postcopy
