#include <napi.h>

#include "block/disk.h"
#include "confine/confine.h"
#include "dirty/dirty_log_object.h"
#include "kvm/kvm.h"
#include "kvm/vcpu.h"
#include "kvm/vm.h"
#include "memory/guest_memory.h"
#include "net/tap.h"
#include "socket/kernel_tls.h"
#include "socket/socket.h"
#include "userfaultfd/userfaultfd.h"
#include "util/env_data.h"
#include "util/process.h"

// The addon holds system calls, mappings and vCPU threads. What to do with them is decided in TypeScript
// (src/native.ts).
static Napi::Object Init(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(new postcopy::EnvData());
  postcopy::InitProcess(env, exports);
  postcopy::InitConfine(env, exports);
  postcopy::GuestMemory::Init(env, exports);
  postcopy::Userfaultfd::Init(env, exports);
  postcopy::Socket::Init(env, exports);
  postcopy::InitKernelTls(env, exports);
  postcopy::Disk::Init(env, exports);
  postcopy::Tap::Init(env, exports);
  postcopy::InitKvm(env, exports);
  postcopy::Vm::Init(env, exports);
  postcopy::ExitQueueObject::Init(env, exports);
  postcopy::Vcpu::Init(env, exports);
  postcopy::DirtyLogObject::Init(env, exports);
  return exports;
}

NODE_API_MODULE(postcopy, Init)
