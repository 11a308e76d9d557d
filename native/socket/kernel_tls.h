#pragma once
#include <napi.h>

namespace postcopy {

// TLS of a TCP connection in the kernel (kTLS, Documentation/networking/tls.rst). See src/native.ts.
void InitKernelTls(Napi::Env env, Napi::Object exports);

}  // namespace postcopy
