#include "socket/kernel_tls.h"

#include <arpa/inet.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <span>

#include "socket/stream.h"
#include "util/args.h"
#include "util/descriptor.h"
#include "util/errors.h"

namespace postcopy {
namespace {

constexpr size_t kSecretBytes = TLS_CIPHER_AES_GCM_128_KEY_SIZE + 12;
constexpr int kTryTimeoutMs = 1000;

// One direction: the key, then the 12 bytes from which each record's nonce is made (RFC 8446, 5.3), of which the kernel
// calls the first 4 the salt. 0 or an errno value.
int Encrypt(int fd, int direction, std::span<const uint8_t> secret, uint64_t sequence) {
  tls12_crypto_info_aes_gcm_128 crypto{};
  crypto.info.version = TLS_1_3_VERSION;
  crypto.info.cipher_type = TLS_CIPHER_AES_GCM_128;
  const uint8_t* nonce = secret.data() + sizeof crypto.key;
  memcpy(crypto.key, secret.data(), sizeof crypto.key);
  memcpy(crypto.salt, nonce, sizeof crypto.salt);
  memcpy(crypto.iv, nonce + sizeof crypto.salt, sizeof crypto.iv);
  for (size_t i = 0; i < sizeof crypto.rec_seq; i++) crypto.rec_seq[i] = static_cast<uint8_t>(sequence >> (56 - 8 * i));
  const int error = setsockopt(fd, SOL_TLS, direction, &crypto, sizeof crypto) < 0 ? errno : 0;
  explicit_bzero(&crypto, sizeof crypto);
  return error;
}

int TakeOver(int fd) { return setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof "tls" - 1) < 0 ? errno : 0; }

std::span<const uint8_t> SecretArg(const Napi::CallbackInfo& info, size_t index, const char* name) {
  Napi::Uint8Array bytes = BytesArg(info, index, name);
  if (bytes.ByteLength() != kSecretBytes) throw Napi::RangeError::New(info.Env(), "a secret is a key and a nonce");
  return {bytes.Data(), bytes.ByteLength()};
}

// encryptInKernel(fd, sendSecret, sendSequence, receiveSecret, receiveSequence)
Napi::Value EncryptInKernel(const Napi::CallbackInfo& info) {
  const int fd = FdArg(info, 0, "fd");
  const std::span send = SecretArg(info, 1, "sendSecret");
  const uint64_t send_sequence = UintArg(info, 2, "sendSequence");
  const std::span receive = SecretArg(info, 3, "receiveSecret");
  const uint64_t receive_sequence = UintArg(info, 4, "receiveSequence");
  int error = TakeOver(fd);
  if (error == 0) error = Encrypt(fd, TLS_TX, send, send_sequence);
  if (error == 0) error = Encrypt(fd, TLS_RX, receive, receive_sequence);
  if (error != 0) throw SystemError(info.Env(), error, "setsockopt", "TLS");
  return info.Env().Undefined();
}

// A connection of this host with itself; both ends closed if there is none.
bool Connect(Descriptor& one, Descriptor& other) {
  Descriptor listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (bind(listener.Get(), generic, size) < 0 || listen(listener.Get(), 1) < 0) return false;
  if (getsockname(listener.Get(), generic, &size) < 0) return false;
  one = Descriptor(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (connect(one.Get(), generic, size) < 0) return false;
  other = Descriptor(accept4(listener.Get(), nullptr, nullptr, SOCK_CLOEXEC));
  return other.Valid();
}

// tryKernelTls(): whether a byte gets through a connection that the kernel encrypts. Asking loads the module, for which
// a process needs CAP_NET_ADMIN.
Napi::Value TryKernelTls(const Napi::CallbackInfo& info) {
  const std::array<uint8_t, kSecretBytes> secret{};
  Descriptor one;
  Descriptor other;
  bool works = Connect(one, other) && TakeOver(one.Get()) == 0 && TakeOver(other.Get()) == 0;
  works = works && Encrypt(one.Get(), TLS_TX, secret, 1) == 0 && Encrypt(other.Get(), TLS_RX, secret, 1) == 0;
  uint8_t byte = 1;
  iovec part{&byte, 1};
  uint8_t heard = 0;
  size_t received = 0;
  works = works && SendAll(one.Get(), &part, 1) == 0 &&
          ReceiveSome(other.Get(), &heard, 1, 1, kTryTimeoutMs, received) == 0 && received == 1 && heard == 1;
  return Napi::Boolean::New(info.Env(), works);
}

}  // namespace

void InitKernelTls(Napi::Env env, Napi::Object exports) {
  exports.Set("encryptInKernel", Napi::Function::New(env, EncryptInKernel));
  exports.Set("tryKernelTls", Napi::Function::New(env, TryKernelTls));
}

}  // namespace postcopy
