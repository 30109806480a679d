/// The tokens <0x00> to <0xFF> that stand for single bytes in vocabularies with byte fallback.
#pragma once

#include "limbeck/text/vocabulary.h"

#include <array>
#include <optional>
#include <string_view>
#include <vector>

namespace limbeck {

/// The byte that a text of the form <0xNN> names.
std::optional<uint8_t> byte_token_value(std::string_view text);

class ByteTokens {
 public:
  ByteTokens() { ids_.fill(-1); }
  explicit ByteTokens(const Vocabulary& vocabulary);
  /// Appends one token for each byte; does nothing and returns false when one of them is missing.
  bool append(std::string_view bytes, std::vector<TokenId>& out) const;

 private:
  std::array<TokenId, 256> ids_;
};

}  // namespace limbeck
