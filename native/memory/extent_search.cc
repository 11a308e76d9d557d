#include "memory/extent_search.h"

#include <cstring>
#include <utility>

#include "util/errors.h"

namespace postcopy {

Napi::Value ExtentPairs(Napi::Env env, const std::vector<Ram::Extent>& extents) {
  Napi::Uint32Array pairs = Napi::Uint32Array::New(env, extents.size() * 2);
  if (!extents.empty()) memcpy(pairs.Data(), extents.data(), extents.size() * sizeof(Ram::Extent));
  return pairs;
}

Napi::Error ExtentError(Napi::Env env, const std::system_error& error) {
  return SystemError(env, error.code().value(), "pagemap", "which pages hold data");
}

ExtentSearch::ExtentSearch(Napi::Env env, Find find, ToError to_error)
    : Napi::AsyncWorker(env, "postcopy-extents"), deferred_(env), find_(std::move(find)), to_error_(to_error) {}

Napi::Value ExtentSearch::Start(Napi::Env env, Find find, ToError to_error) {
  auto* search = new ExtentSearch(env, std::move(find), to_error);  // deletes itself when it is done
  Napi::Promise promise = search->deferred_.Promise();
  search->Queue();
  return promise;
}

void ExtentSearch::Execute() {
  try {
    extents_ = find_();
  } catch (const std::system_error& error) {
    failure_ = error;
  }
}

void ExtentSearch::OnOK() {
  if (failure_.code()) {
    deferred_.Reject(to_error_(Env(), failure_).Value());
  } else {
    deferred_.Resolve(ExtentPairs(Env(), extents_));
  }
}

}  // namespace postcopy
