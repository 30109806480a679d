#include "limbeck/text/utf8.h"

#include <cstring>

namespace limbeck {
namespace {

enum class Sequence { valid, invalid, unfinished };

struct Scan {
  Sequence kind;
  size_t
      length;  // valid: of the character; otherwise: of the maximal part that one U+FFFD replaces
};

// The second byte carries all the special cases of well-formed UTF-8 (Unicode, table 3-7).
Scan scan_sequence(std::string_view bytes, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(bytes[i]); };
  const uint8_t lead = byte(at);
  if (lead < 0x80) return {Sequence::valid, 1};
  if (lead < 0xC2 || lead > 0xF4) return {Sequence::invalid, 1};
  const size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  uint8_t low = 0x80, high = 0xBF;
  if (lead == 0xE0) low = 0xA0;
  if (lead == 0xED) high = 0x9F;
  if (lead == 0xF0) low = 0x90;
  if (lead == 0xF4) high = 0x8F;
  for (size_t i = 1; i < length; ++i) {
    if (at + i == bytes.size()) return {Sequence::unfinished, i};
    if (byte(at + i) < low || byte(at + i) > high) return {Sequence::invalid, i};
    low = 0x80;
    high = 0xBF;
  }
  return {Sequence::valid, length};
}

}  // namespace

std::optional<size_t> find_invalid_utf8(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    if (at + 8 <= text.size()) {
      uint64_t word;
      std::memcpy(&word, text.data() + at, 8);
      if ((word & 0x8080808080808080u) == 0) {
        at += 8;
        continue;
      }
    }
    const Scan scan = scan_sequence(text, at);
    if (scan.kind != Sequence::valid) return at;
    at += scan.length;
  }
  return std::nullopt;
}

size_t utf8_length(char lead) {
  const auto byte = static_cast<uint8_t>(lead);
  return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

Utf8Char read_utf8(std::string_view text, size_t at) {
  const auto bits = [&](size_t i) { return static_cast<char32_t>(text[at + i]) & 0x3F; };
  const auto lead = static_cast<uint8_t>(text[at]);
  switch (utf8_length(text[at])) {
    case 1: return {lead, 1};
    case 2: return {(char32_t{lead} & 0x1F) << 6 | bits(1), 2};
    case 3: return {(char32_t{lead} & 0x0F) << 12 | bits(1) << 6 | bits(2), 3};
    default: return {(char32_t{lead} & 0x07) << 18 | bits(1) << 12 | bits(2) << 6 | bits(3), 4};
  }
}

void append_utf8(std::string& out, char32_t code) {
  const auto put = [&](char32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | code >> 6);
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3F));
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

std::string replace_invalid_utf8(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  size_t at = 0;
  while (at < bytes.size()) {
    const Scan scan = scan_sequence(bytes, at);
    if (scan.kind == Sequence::valid) {
      out.append(bytes.substr(at, scan.length));
    } else {
      out.append("\xEF\xBF\xBD");
    }
    at += scan.length;
  }
  return out;
}

size_t unfinished_utf8_tail(std::string_view bytes) {
  // Only a lead byte among the last three can be unfinished; the first one found decides.
  for (size_t back = 1; back <= 3 && back <= bytes.size(); ++back) {
    const size_t at = bytes.size() - back;
    if ((static_cast<uint8_t>(bytes[at]) & 0xC0) == 0x80) continue;
    const Scan scan = scan_sequence(bytes, at);
    return scan.kind == Sequence::unfinished ? back : 0;
  }
  return 0;
}

bool is_unicode_space(char32_t code) {
  if (code < 0x80) return code == 0x20 || (code >= 0x09 && code <= 0x0D);
  return code == 0x85 || code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) ||
         code == 0x2028 || code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

}  // namespace limbeck
