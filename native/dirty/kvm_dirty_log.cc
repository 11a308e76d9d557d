#include "dirty/kvm_dirty_log.h"

#include <linux/kvm.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "util/page_bits.h"

namespace postcopy {
namespace {

// So much at a time is protected: vCPUs that miss a page wait meanwhile. 16 MiB.
constexpr size_t kWordsAtOnce = 64;

[[noreturn]] void Fail(int error, const char* what) { throw std::system_error(error, std::generic_category(), what); }

size_t PagesOf(const Memslot& slot) { return slot.bytes / kPageSize; }

// Adds the pages of a slot to those of all RAM.
void AddTo(std::vector<uint64_t>& all, const Memslot& slot, const std::vector<uint64_t>& words) {
  const uint64_t first = slot.offset / kPageSize;
  const uint64_t shift = first % kWordBits;
  for (size_t i = 0; i < words.size(); i++) {
    if (words[i] == 0) continue;
    all[first / kWordBits + i] |= words[i] << shift;
    const uint64_t rest = shift == 0 ? 0 : words[i] >> (kWordBits - shift);
    if (rest != 0) all[first / kWordBits + i + 1] |= rest;
  }
}

}  // namespace

KvmDirtyLog::KvmDirtyLog(std::shared_ptr<Ram> ram, std::shared_ptr<VmResource> vm)
    : ram_(std::move(ram)), vm_(std::move(vm)) {
  if (!vm_->IsKvm()) Fail(EOPNOTSUPP, "KVM_GET_DIRTY_LOG");
  kvm_enable_cap manual{};
  manual.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2;
  const int can = ioctl(vm_->fd.Get(), KVM_CHECK_EXTENSION, manual.cap);
  if (can <= 0) Fail(EOPNOTSUPP, "KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2");
  // All bits are set at first, where KVM can do that: else it protects all of RAM at once, and vCPUs wait for it.
  manual.args[0] = can & (KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET);
  if (Call(KVM_ENABLE_CAP, &manual) < 0) Fail(errno, "KVM_ENABLE_CAP");
}

int KvmDirtyLog::Call(unsigned long request, void* argument) const { return ioctl(vm_->fd.Get(), request, argument); }

int KvmDirtyLog::KeepLog(const Memslot& slot, bool keep) const {
  kvm_userspace_memory_region region{};
  region.slot = slot.slot;
  region.flags = keep ? KVM_MEM_LOG_DIRTY_PAGES : 0;
  region.guest_phys_addr = slot.guest_address;
  region.memory_size = slot.bytes;
  region.userspace_addr = reinterpret_cast<uint64_t>(slot.ram->Base() + slot.offset);
  return Call(KVM_SET_USER_MEMORY_REGION, &region);
}

void KvmDirtyLog::Start() {
  if (!ram_->Marks().Begin()) Fail(EBUSY, "dirty log");
  begun_ = true;
  for (const Memslot& slot : vm_->memslots) {
    if (KeepLog(slot, true) < 0) Fail(errno, "KVM_MEM_LOG_DIRTY_PAGES");
    Words all(WordsFor(PagesOf(slot)), ~uint64_t{0});
    Clear(slot, all);
  }
}

std::vector<Ram::Extent> KvmDirtyLog::Take() {
  Words written(WordsFor(ram_->Pages()));
  for (const Memslot& slot : vm_->memslots) {
    Words words = Get(slot);
    Clear(slot, words);
    AddTo(written, slot, words);
  }
  ram_->Marks().TakeInto(written);
  std::vector<Ram::Extent> extents;
  for (size_t i = 0; i < written.size(); i++) {
    ForRuns(written[i], [&](uint64_t at, uint64_t count) { Ram::Append(extents, i * kWordBits + at, count); });
  }
  return extents;
}

KvmDirtyLog::Words KvmDirtyLog::Get(const Memslot& slot) const {
  Words words(WordsFor(PagesOf(slot)));
  kvm_dirty_log log{};
  log.slot = slot.slot;
  log.dirty_bitmap = words.data();
  if (Call(KVM_GET_DIRTY_LOG, &log) < 0) Fail(errno, "KVM_GET_DIRTY_LOG");
  return words;
}

void KvmDirtyLog::Clear(const Memslot& slot, Words& words) const {
  for (size_t at = 0; at < words.size(); at += kWordsAtOnce) {
    const size_t end = std::min(words.size(), at + kWordsAtOnce);
    if (std::all_of(words.begin() + at, words.begin() + end, [](uint64_t word) { return word == 0; })) continue;
    kvm_clear_dirty_log clear{};
    clear.slot = slot.slot;
    clear.first_page = at * kWordBits;
    clear.num_pages = static_cast<uint32_t>(std::min(PagesOf(slot), end * kWordBits) - clear.first_page);
    clear.dirty_bitmap = &words[at];
    if (Call(KVM_CLEAR_DIRTY_LOG, &clear) < 0) Fail(errno, "KVM_CLEAR_DIRTY_LOG");
  }
}

void KvmDirtyLog::Stop() {
  if (begun_) {
    ram_->Marks().End();
    for (const Memslot& slot : vm_->memslots) KeepLog(slot, false);
    begun_ = false;
  }
  // Whoever still has the log must not keep them.
  ram_.reset();
  vm_.reset();
}

}  // namespace postcopy
