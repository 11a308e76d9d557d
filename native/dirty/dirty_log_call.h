#pragma once
#include <napi.h>

#include <memory>
#include <system_error>
#include <vector>

#include "dirty/dirty_log.h"

namespace postcopy {

// A call of a dirty log on a thread of Node's pool: with much RAM it takes long, and the thread that asks has a guest
// to look after. Keeps the log until it is done.
class DirtyLogCall : public Napi::AsyncWorker {
 public:
  enum class Which { kBegin, kCollect };

  // Returns a promise: of the pairs that were collected, or of nothing.
  static Napi::Value Start(Napi::Env env, std::shared_ptr<DirtyLog> log, Which which);

 private:
  DirtyLogCall(Napi::Env env, std::shared_ptr<DirtyLog> log, Which which);

  void Execute() override;
  void OnOK() override;

  Napi::Promise::Deferred deferred_;
  std::shared_ptr<DirtyLog> log_;
  Which which_;
  std::vector<Ram::Extent> written_;
  std::system_error failure_{std::error_code()};
};

Napi::Error DirtyLogError(Napi::Env env, const std::system_error& error);

}  // namespace postcopy
