#include "confine/call_filter.h"

#include <asm/ioctls.h>
#include <asm/unistd.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <initializer_list>

namespace postcopy {
namespace {

#define REFUSED(name, error) {#name, __NR_##name, error}

constexpr RefusedCall kRefused[] = {
    // Other programs.
    REFUSED(execve, EPERM),
    REFUSED(execveat, EPERM),
    REFUSED(fork, EPERM),
    REFUSED(vfork, EPERM),
    // Other processes.
    REFUSED(ptrace, EPERM),
    REFUSED(process_vm_readv, EPERM),
    REFUSED(process_vm_writev, EPERM),
    REFUSED(process_madvise, EPERM),
    REFUSED(process_mrelease, EPERM),
    REFUSED(kcmp, EPERM),
    REFUSED(pidfd_getfd, EPERM),
    REFUSED(pidfd_send_signal, EPERM),
    REFUSED(tkill, EPERM),
    // Another user. Capabilities are only ever dropped, for which capset stays.
    REFUSED(setuid, EPERM),
    REFUSED(setgid, EPERM),
    REFUSED(setreuid, EPERM),
    REFUSED(setregid, EPERM),
    REFUSED(setresuid, EPERM),
    REFUSED(setresgid, EPERM),
    REFUSED(setfsuid, EPERM),
    REFUSED(setfsgid, EPERM),
    REFUSED(setgroups, EPERM),
    // Another view of the host.
    REFUSED(unshare, EPERM),
    REFUSED(setns, EPERM),
    REFUSED(chroot, EPERM),
    REFUSED(pivot_root, EPERM),
    REFUSED(mount, EPERM),
    REFUSED(umount2, EPERM),
    REFUSED(move_mount, EPERM),
    REFUSED(open_tree, EPERM),
    REFUSED(fsopen, EPERM),
    REFUSED(fsconfig, EPERM),
    REFUSED(fsmount, EPERM),
    REFUSED(fspick, EPERM),
    REFUSED(mount_setattr, EPERM),
    REFUSED(open_by_handle_at, EPERM),
    REFUSED(fanotify_init, EPERM),
    REFUSED(mknod, EPERM),
    REFUSED(mknodat, EPERM),
    REFUSED(quotactl, EPERM),
    REFUSED(quotactl_fd, EPERM),
    // The kernel.
    REFUSED(init_module, EPERM),
    REFUSED(finit_module, EPERM),
    REFUSED(delete_module, EPERM),
    REFUSED(kexec_load, EPERM),
    REFUSED(kexec_file_load, EPERM),
    REFUSED(reboot, EPERM),
    REFUSED(swapon, EPERM),
    REFUSED(swapoff, EPERM),
    REFUSED(acct, EPERM),
    REFUSED(syslog, EPERM),
    REFUSED(sethostname, EPERM),
    REFUSED(setdomainname, EPERM),
    REFUSED(settimeofday, EPERM),
    REFUSED(clock_settime, EPERM),
    REFUSED(adjtimex, EPERM),
    REFUSED(clock_adjtime, EPERM),
    REFUSED(iopl, EPERM),
    REFUSED(ioperm, EPERM),
    REFUSED(modify_ldt, EPERM),
    REFUSED(vhangup, EPERM),
    // Large parts of the kernel that nobody needs here. Libraries try some of them, and go on without.
    REFUSED(bpf, EPERM),
    REFUSED(perf_event_open, EPERM),
    REFUSED(add_key, EPERM),
    REFUSED(request_key, EPERM),
    REFUSED(keyctl, EPERM),
    // Not io_uring_enter: libuv of Node 22 has made a ring by now, and ends the process that it may not use it in.
    REFUSED(io_uring_setup, ENOSYS),
    REFUSED(io_uring_register, ENOSYS),
};

#undef REFUSED

// The first of the numbers of x32 calls, which have the architecture of x86-64.
constexpr uint32_t kX32Calls = 0x40000000;
constexpr uint32_t kNewNamespaces =
    CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

// What seccomp_data has at that offset; of an argument the lower half, which is all that the kernel looks at in these.
sock_filter Load(size_t offset) { return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset)); }
sock_filter LoadArgument(int index) { return Load(offsetof(seccomp_data, args) + index * sizeof(uint64_t)); }
sock_filter LoadNumber() { return Load(offsetof(seccomp_data, nr)); }
sock_filter Answer(uint32_t action) { return BPF_STMT(BPF_RET | BPF_K, action); }
sock_filter Allow() { return Answer(SECCOMP_RET_ALLOW); }
sock_filter Refuse(int error) { return Answer(SECCOMP_RET_ERRNO | static_cast<uint32_t>(error)); }
// Whether what was loaded is so decides which of the next instructions are passed over.
sock_filter IfEqual(uint32_t value, uint8_t skip, uint8_t skip_else) {
  return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, skip, skip_else);
}
sock_filter IfAtLeast(uint32_t value, uint8_t skip, uint8_t skip_else) {
  return BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, value, skip, skip_else);
}
sock_filter IfAnyBit(uint32_t bits, uint8_t skip, uint8_t skip_else) {
  return BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, skip, skip_else);
}

using Program = std::vector<sock_filter>;

void Add(Program& program, std::initializer_list<sock_filter> instructions) {
  for (const sock_filter& instruction : instructions) program.push_back(instruction);
}

// `body`, which ends with an answer on each way, for this call. The number is loaded, before and behind.
void ForCall(Program& program, long number, std::initializer_list<sock_filter> body) {
  Add(program, {IfEqual(static_cast<uint32_t>(number), 0, static_cast<uint8_t>(body.size()))});
  Add(program, body);
}

}  // namespace

std::span<const RefusedCall> RefusedCalls() { return kRefused; }

std::vector<sock_filter> CallFilter(int pid) {
  Program program;
  Add(program, {Load(offsetof(seccomp_data, arch)), IfEqual(AUDIT_ARCH_X86_64, 1, 0), Refuse(ENOSYS)});
  Add(program, {LoadNumber(), IfAtLeast(kX32Calls, 0, 1), Refuse(ENOSYS)});
  // First those with arguments, of which vCPUs and page workers make many.
  ForCall(program, __NR_ioctl,
          {LoadArgument(1), IfEqual(TIOCSTI, 1, 0), IfEqual(TIOCLINUX, 0, 1), Refuse(EPERM), Allow()});
  ForCall(program, __NR_clone,
          {LoadArgument(0), IfAnyBit(CLONE_THREAD, 0, 1), IfAnyBit(kNewNamespaces, 0, 1), Refuse(EPERM), Allow()});
  ForCall(program, __NR_clone3, {Refuse(ENOSYS)});
  ForCall(program, __NR_socket,
          {LoadArgument(0), IfEqual(AF_UNIX, 4, 0), IfEqual(AF_INET, 3, 0), IfEqual(AF_INET6, 2, 0),
           IfEqual(AF_NETLINK, 1, 0), Refuse(EAFNOSUPPORT), Allow()});
  for (long signalling : {__NR_kill, __NR_tgkill, __NR_rt_sigqueueinfo, __NR_rt_tgsigqueueinfo}) {
    ForCall(program, signalling, {LoadArgument(0), IfEqual(static_cast<uint32_t>(pid), 1, 0), Refuse(EPERM), Allow()});
  }
  for (const RefusedCall& call : kRefused) ForCall(program, call.number, {Refuse(call.error)});
  program.push_back(Allow());
  return program;
}

int InstallCallFilter() {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return errno;
  Program program = CallFilter(getpid());
  sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
  // Without SPEC_ALLOW older kernels slow down the processor for a process with a filter (Speculative Store Bypass).
  constexpr unsigned kFlags = SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_SPEC_ALLOW;
  const long result = syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, kFlags, &filter);
  // Positive: a thread that has a filter of its own.
  return result == 0 ? 0 : result > 0 ? EBUSY : errno;
}

}  // namespace postcopy
