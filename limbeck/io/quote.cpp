#include "limbeck/io/quote.h"

#include <algorithm>

namespace limbeck {
namespace {

constexpr size_t kShownBytes = 80;

unsigned char byte_at(std::string_view text, size_t i) {
  return static_cast<unsigned char>(text[i]);
}

/// Length of the printable character that starts `text`; 0 for control codes and broken UTF-8.

size_t printable(std::string_view text) {
  const unsigned char first = byte_at(text, 0);
  if (first < 0x80) return first >= 0x20 && first != 0x7F && first != '"' ? 1 : 0;
  const size_t length = first >= 0xC2 && first <= 0xDF   ? 2
                        : first >= 0xE0 && first <= 0xEF ? 3
                        : first >= 0xF0 && first <= 0xF4 ? 4
                                                         : 0;
  if (length == 0 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte_at(text, i) & 0xC0) != 0x80) return 0;
  }
  const unsigned char second = byte_at(text, 1);
  const bool bad = (first == 0xC2 && second < 0xA0) ||   // C1 control codes
                   (first == 0xE0 && second < 0xA0) ||   // overlong
                   (first == 0xED && second >= 0xA0) ||  // surrogates
                   (first == 0xF0 && second < 0x90) ||   // overlong
                   (first == 0xF4 && second >= 0x90);    // beyond Unicode
  return bad ? 0 : length;
}

}  // namespace

std::string quote(std::string_view name) {
  std::string shown = "\"";
  size_t at = 0;
  while (at < name.size() && at < kShownBytes) {
    const size_t length = printable(name.substr(at));
    if (length == 0) {
      shown += '?';
    } else {
      shown += name.substr(at, length);
    }
    at += std::max<size_t>(length, 1);
  }
  shown += at < name.size() ? "...\"" : "\"";
  return shown;
}

}  // namespace limbeck
