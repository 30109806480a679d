#include "limbeck/text/byte_level.h"

#include "limbeck/text/utf8.h"

namespace limbeck {
namespace {

constexpr int kAlphabetEnd = 0x144;  // the last stand-in is U+0143

bool stands_for_itself(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

struct Alphabet {
  std::array<std::string, 256> chars;
  std::array<int16_t, kAlphabetEnd> bytes;  // -1: not of the alphabet
  Alphabet() {
    bytes.fill(-1);
    char32_t next = 0x100;
    for (int byte = 0; byte < 256; ++byte) {
      const char32_t code = stands_for_itself(byte) ? static_cast<char32_t>(byte) : next++;
      append_utf8(chars[static_cast<size_t>(byte)], code);
      bytes[code] = static_cast<int16_t>(byte);
    }
  }
};

const Alphabet& alphabet() {
  static const Alphabet instance;
  return instance;
}

}  // namespace

const std::array<std::string, 256>& byte_level_chars() { return alphabet().chars; }

void append_byte_level(std::string& out, std::string_view bytes) {
  const auto& chars = alphabet().chars;
  for (char byte : bytes) out += chars[static_cast<uint8_t>(byte)];
}

std::optional<std::string> byte_level_bytes(std::string_view text) {
  const auto& bytes = alphabet().bytes;
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = read_utf8(text, at);
    if (c.code >= kAlphabetEnd || bytes[c.code] < 0) return std::nullopt;
    out.push_back(static_cast<char>(bytes[c.code]));
    at += c.length;
  }
  return out;
}

}  // namespace limbeck
