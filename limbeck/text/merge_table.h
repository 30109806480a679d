/// Which pairs of tokens merge, how early, and into what.
#pragma once

#include "limbeck/text/vocabulary.h"

#include <cstdint>
#include <vector>

namespace limbeck {

struct MergeRule {
  TokenId left = 0, right = 0, result = 0;
};

class MergeTable {
 public:
  struct Merge {
    uint32_t rank = kNone;
    TokenId result = 0;
  };
  static constexpr uint32_t kNone = UINT32_MAX;

  MergeTable() = default;
  /// Rank is the place in the list; of equal pairs the last one counts.
  explicit MergeTable(const std::vector<MergeRule>& rules);
  /// rank == kNone when the pair does not merge.
  Merge find(TokenId left, TokenId right) const {
    for (size_t slot = slot_of(left, right);; slot = (slot + 1) & mask_) {
      const Entry& entry = entries_[slot];
      if (entry.merge.rank == kNone) return {};
      if (entry.left == left && entry.right == right) return entry.merge;
    }
  }

 private:
  struct Entry {
    TokenId left = 0, right = 0;
    Merge merge;
  };
  size_t slot_of(TokenId left, TokenId right) const {
    const uint64_t key = uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
    // Fibonacci hashing: the high bits of the product depend on all bits of the pair.
    return static_cast<size_t>((key ^ key >> 29) * 0x9E3779B97F4A7C15u >> 24) & mask_;
  }

  std::vector<Entry> entries_ = std::vector<Entry>(2);
  size_t mask_ = 1;
};

}  // namespace limbeck
