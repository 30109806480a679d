/// A vocabulary: ids to texts and texts to ids.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace limbeck {

class FingerprintWriter;
using TokenId = int32_t;

/// Ids stay below this, whatever a file says.
inline constexpr int64_t kMaxVocabulary = 4'194'304;
/// Unused ids that a vocabulary may have beyond one for each token: a single huge id in a small
/// file must not cost memory.
inline constexpr int64_t kMaxUnusedIds = 65'536;

/// Checks one id of `count` in all. Throws FormatError `[tokenizer] NAME: ...`.
void check_token_id(int64_t id, size_t count, std::string_view text, std::string_view name);

class Vocabulary {
 public:
  using Entry = std::pair<std::string, int64_t>;

  Vocabulary() = default;
  /// Throws FormatError when an id is out of range or taken, or a text appears twice.
  Vocabulary(std::vector<Entry> entries, std::string_view name);

  std::optional<TokenId> find(std::string_view text) const;
  int64_t size() const { return static_cast<int64_t>(texts_.size()); }  ///< highest id + 1
  size_t count() const { return count_; }                               ///< ids in use
  bool contains(int64_t id) const {
    return id >= 0 && id < size() && used_[static_cast<size_t>(id)];
  }
  /// Empty for an unused id; id must be in [0, size()).
  std::string_view text(TokenId id) const { return texts_[static_cast<size_t>(id)]; }
  void fingerprint(FingerprintWriter& writer) const;

 private:
  size_t slot_of(std::string_view text) const;

  std::vector<std::string> texts_;
  std::vector<bool> used_;
  std::vector<TokenId> slots_;  // open addressing over texts_; -1 is free
  size_t count_ = 0;
};

}  // namespace limbeck
