#include "limbeck/text/byte_tokens.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace limbeck {

std::optional<uint8_t> byte_token_value(std::string_view text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return std::nullopt;
  uint8_t value = 0;
  const auto [end, error] = std::from_chars(text.data() + 3, text.data() + 5, value, 16);
  if (error != std::errc() || end != text.data() + 5) return std::nullopt;
  return value;
}

ByteTokens::ByteTokens(const Vocabulary& vocabulary) {
  for (size_t byte = 0; byte < 256; ++byte) {
    ids_[byte] = vocabulary.find(fmt::format("<0x{:02X}>", byte)).value_or(-1);
  }
}

bool ByteTokens::append(std::string_view bytes, std::vector<TokenId>& out) const {
  const auto id = [&](char byte) { return ids_[static_cast<uint8_t>(byte)]; };
  if (!std::all_of(bytes.begin(), bytes.end(), [&](char b) { return id(b) >= 0; })) return false;
  for (char byte : bytes) out.push_back(id(byte));
  return true;
}

}  // namespace limbeck
