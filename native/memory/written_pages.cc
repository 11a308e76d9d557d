#include "memory/written_pages.h"

#include "util/page_bits.h"

namespace postcopy {

bool WrittenPages::Begin() {
  if (on_.load()) return false;
  if (words_.empty()) words_ = std::vector<std::atomic<uint64_t>>(WordsFor(pages_));
  for (std::atomic<uint64_t>& word : words_) word.store(0, std::memory_order_relaxed);
  on_.store(true);
  return true;
}

void WrittenPages::Set(uint64_t first, uint64_t count) {
  ForWords(first, count, [this](size_t word, uint64_t bits) { words_[word].fetch_or(bits); });
}

void WrittenPages::TakeInto(std::vector<uint64_t>& words) {
  for (size_t i = 0; i < words.size(); i++) {
    // Most are empty, and an exchange would take the word from who writes.
    if (words_[i].load(std::memory_order_relaxed) != 0) words[i] |= words_[i].exchange(0);
  }
}

}  // namespace postcopy
