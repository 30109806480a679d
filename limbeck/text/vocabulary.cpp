#include "limbeck/text/vocabulary.h"

#include "limbeck/base/error.h"
#include "limbeck/io/quote.h"
#include "limbeck/text/fingerprint_writer.h"

#include <algorithm>
#include <bit>
#include <functional>

namespace limbeck {

void check_token_id(int64_t id, size_t count, std::string_view text, std::string_view name) {
  if (id < 0 || id >= kMaxVocabulary) {
    throw FormatError("[tokenizer] {}: token ids must be in [0, {}); found {} for {}", name,
                      kMaxVocabulary, id, quote(text));
  }
  if (id >= 2 * static_cast<int64_t>(count) + kMaxUnusedIds) {
    throw FormatError("[tokenizer] {}: too many unused ids; found id {} for {} among {} tokens",
                      name, id, quote(text), count);
  }
}

Vocabulary::Vocabulary(std::vector<Entry> entries, std::string_view name) : count_(entries.size()) {
  int64_t size = 0;
  for (const auto& [text, id] : entries) {
    check_token_id(id, count_, text, name);
    size = std::max(size, id + 1);
  }
  texts_.resize(static_cast<size_t>(size));
  used_.resize(static_cast<size_t>(size));
  slots_.assign(std::bit_ceil(2 * count_ + 2), -1);
  for (auto& [text, id] : entries) {
    const auto index = static_cast<size_t>(id);
    if (used_[index]) {
      throw FormatError("[tokenizer] {}: token ids must be unique; found {} for {} and {}", name,
                        id, quote(texts_[index]), quote(text));
    }
    const size_t slot = slot_of(text);
    if (slots_[slot] >= 0) {
      throw FormatError("[tokenizer] {}: token texts must be unique; found {} as {} and {}", name,
                        quote(text), slots_[slot], id);
    }
    slots_[slot] = static_cast<TokenId>(id);
    texts_[index] = std::move(text);
    used_[index] = true;
  }
}

size_t Vocabulary::slot_of(std::string_view text) const {
  const size_t mask = slots_.size() - 1;
  size_t slot = std::hash<std::string_view>{}(text)&mask;
  while (slots_[slot] >= 0 && texts_[static_cast<size_t>(slots_[slot])] != text) {
    slot = (slot + 1) & mask;
  }
  return slot;
}

std::optional<TokenId> Vocabulary::find(std::string_view text) const {
  if (slots_.empty()) return std::nullopt;
  const TokenId id = slots_[slot_of(text)];
  return id < 0 ? std::nullopt : std::optional(id);
}

void Vocabulary::fingerprint(FingerprintWriter& writer) const {
  writer.number(count_);
  for (int64_t id = 0; id < size(); ++id) {
    if (!contains(id)) continue;
    writer.number(static_cast<uint64_t>(id));
    writer.text(texts_[static_cast<size_t>(id)]);
  }
}

}  // namespace limbeck
