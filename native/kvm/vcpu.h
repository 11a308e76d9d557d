#pragma once
#include <napi.h>

#include <memory>

#include "kvm/kvm_vcpu.h"
#include "threads/thread_vcpu.h"

namespace postcopy {

// JavaScript class Vcpu: a vCPU and its thread, owned by the main thread. See src/native.ts.
class Vcpu : public Napi::ObjectWrap<Vcpu> {
 public:
  static void Init(Napi::Env env, Napi::Object exports);
  explicit Vcpu(const Napi::CallbackInfo& info);
  ~Vcpu() override;

 private:
  Napi::Value Resume(const Napi::CallbackInfo& info);
  Napi::Value RequestPause(const Napi::CallbackInfo& info);
  Napi::Value WaitParked(const Napi::CallbackInfo& info);
  Napi::Value SetNice(const Napi::CallbackInfo& info);
  Napi::Value ParkedAt(const Napi::CallbackInfo& info);
  Napi::Value GetState(const Napi::CallbackInfo& info);
  Napi::Value SetState(const Napi::CallbackInfo& info);
  Napi::Value GetMsrs(const Napi::CallbackInfo& info);
  Napi::Value SetMsrs(const Napi::CallbackInfo& info);
  Napi::Value SetCpuid(const Napi::CallbackInfo& info);
  Napi::Value GetTscKhz(const Napi::CallbackInfo& info);
  Napi::Value SetTscKhz(const Napi::CallbackInfo& info);
  Napi::Value GetTscOffset(const Napi::CallbackInfo& info);
  Napi::Value SetTscOffset(const Napi::CallbackInfo& info);
  Napi::Value NotePaused(const Napi::CallbackInfo& info);
  Napi::Value SetUpMachineChecks(const Napi::CallbackInfo& info);
  Napi::Value MachineCheck(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);

  VcpuThread& Open(Napi::Env env);
  VcpuThread& Parked(Napi::Env env);
  KvmVcpu& ParkedKvm(Napi::Env env);

  std::unique_ptr<VcpuThread> thread_;
};

}  // namespace postcopy
