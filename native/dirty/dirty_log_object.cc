#include "dirty/dirty_log_object.h"

#include <system_error>
#include <utility>
#include <vector>

#include "dirty/kvm_dirty_log.h"
#include "dirty/write_watch.h"
#include "kvm/vm.h"
#include "memory/extent_search.h"
#include "memory/guest_memory.h"
#include "util/args.h"
#include "util/errors.h"

namespace postcopy {
namespace {

Napi::Error DirtyLogError(Napi::Env env, const std::system_error& error) {
  return SystemError(env, error.code().value(), "dirty log", error.what());
}

}  // namespace

// new DirtyLog('userfaultfd', memory), or new DirtyLog('kvm', memory, vm)
DirtyLogObject::DirtyLogObject(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<DirtyLogObject>(info), kind_(StringArg(info, 0, "kind")) {
  std::shared_ptr<Ram> ram = GuestMemory::FromArg(info, 1);
  try {
    if (kind_ == "userfaultfd") {
      log_ = std::make_shared<WriteWatch>(std::move(ram));
    } else if (kind_ == "kvm") {
      log_ = std::make_shared<KvmDirtyLog>(std::move(ram), Vm::FromArg(info, 2));
    } else {
      throw Napi::RangeError::New(info.Env(), "kind must be 'userfaultfd' or 'kvm'");
    }
  } catch (const std::system_error& error) {
    throw DirtyLogError(info.Env(), error);
  }
}

Napi::Value DirtyLogObject::Kind(const Napi::CallbackInfo& info) { return Napi::String::New(info.Env(), kind_); }

Napi::Value DirtyLogObject::Begin(const Napi::CallbackInfo& info) {
  const auto begin = [log = log_] {
    log->Begin();
    return std::vector<Ram::Extent>();
  };
  return ExtentSearch::Start(info.Env(), begin, DirtyLogError);
}

Napi::Value DirtyLogObject::Collect(const Napi::CallbackInfo& info) {
  return ExtentSearch::Start(info.Env(), [log = log_] { return log->Collect(); }, DirtyLogError);
}

Napi::Value DirtyLogObject::CollectNow(const Napi::CallbackInfo& info) {
  try {
    return ExtentPairs(info.Env(), log_->Collect());
  } catch (const std::system_error& error) {
    throw DirtyLogError(info.Env(), error);
  }
}

Napi::Value DirtyLogObject::End(const Napi::CallbackInfo& info) {
  log_->End();
  return info.Env().Undefined();
}

void DirtyLogObject::Init(Napi::Env env, Napi::Object exports) {
  exports.Set("DirtyLog", DefineClass(env, "DirtyLog",
                                      {InstanceAccessor<&DirtyLogObject::Kind>("kind"),
                                       InstanceMethod<&DirtyLogObject::Begin>("begin"),
                                       InstanceMethod<&DirtyLogObject::Collect>("collect"),
                                       InstanceMethod<&DirtyLogObject::CollectNow>("collectNow"),
                                       InstanceMethod<&DirtyLogObject::End>("end")}));
}

}  // namespace postcopy
