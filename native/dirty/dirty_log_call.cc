#include "dirty/dirty_log_call.h"

#include <utility>

#include "memory/extent_search.h"
#include "util/errors.h"

namespace postcopy {

Napi::Error DirtyLogError(Napi::Env env, const std::system_error& error) {
  return SystemError(env, error.code().value(), "dirty log", error.what());
}

DirtyLogCall::DirtyLogCall(Napi::Env env, std::shared_ptr<DirtyLog> log, Which which)
    : Napi::AsyncWorker(env, "postcopy-dirty-log"), deferred_(env), log_(std::move(log)), which_(which) {}

Napi::Value DirtyLogCall::Start(Napi::Env env, std::shared_ptr<DirtyLog> log, Which which) {
  auto* call = new DirtyLogCall(env, std::move(log), which);  // deletes itself when it is done
  Napi::Promise promise = call->deferred_.Promise();
  call->Queue();
  return promise;
}

void DirtyLogCall::Execute() {
  try {
    if (which_ == Which::kBegin) {
      log_->Begin();
    } else {
      written_ = log_->Collect();
    }
  } catch (const std::system_error& error) {
    failure_ = error;
  }
}

void DirtyLogCall::OnOK() {
  if (failure_.code()) {
    deferred_.Reject(DirtyLogError(Env(), failure_).Value());
  } else if (which_ == Which::kBegin) {
    deferred_.Resolve(Env().Undefined());
  } else {
    deferred_.Resolve(ExtentPairs(Env(), written_));
  }
}

}  // namespace postcopy
