/// Remembers the tokens of short pieces during one call of encode: words repeat.
///
/// Direct-mapped and of fixed size, so that a hostile text can neither fill memory nor slow it
/// down.
#pragma once

#include "limbeck/text/piece_model.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <string_view>
#include <vector>

namespace limbeck {

class PieceCache {
 public:
  /// Appends the tokens of `piece`, from memory or from the model.
  void encode(const PieceModel& model, std::string_view piece, MergeScratch& scratch,
              std::vector<TokenId>& out) {
    if (piece.size() > kKeyBytes) return model.encode(piece, scratch, out);
    Entry& entry = entries_[std::hash<std::string_view>{}(piece) % kEntries];
    if (entry.length == piece.size() && std::memcmp(entry.key, piece.data(), piece.size()) == 0) {
      out.insert(out.end(), entry.ids.begin(), entry.ids.begin() + entry.count);
      return;
    }
    const size_t before = out.size();
    model.encode(piece, scratch, out);
    const size_t count = out.size() - before;
    if (count > entry.ids.size()) return;
    entry.length = static_cast<uint8_t>(piece.size());
    entry.count = static_cast<uint8_t>(count);
    std::memcpy(entry.key, piece.data(), piece.size());
    std::copy_n(out.begin() + static_cast<ptrdiff_t>(before), count, entry.ids.begin());
  }

 private:
  static constexpr size_t kKeyBytes = 30;
  static constexpr size_t kEntries = 8192;  // of 64 bytes: 512 KiB stay in the second-level cache
  struct Entry {
    uint8_t length = 0;  // 0: free; pieces are not empty
    uint8_t count = 0;
    char key[kKeyBytes];
    std::array<TokenId, 8> ids;
  };
  std::vector<Entry> entries_ = std::vector<Entry>(kEntries);
};

}  // namespace limbeck
