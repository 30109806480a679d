#include "limbeck/eval/report/escape.h"

namespace limbeck {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
constexpr std::string_view kEllipsis = "\xE2\x80\xA6";

/// Bytes of the sequence at the text's front; 0 when it is not valid.
size_t sequence_length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  const size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  // 0xC0, 0xC1 and all above 0xF4 begin nothing.
  if (first < 0xC2 || first > 0xF4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xC0) != 0x80) return 0;
  const unsigned second = byte(1);
  const bool bad = (first == 0xE0 && second < 0xA0) ||  // overlong
                   (first == 0xED && second > 0x9F) ||  // surrogates
                   (first == 0xF0 && second < 0x90) ||  // overlong
                   (first == 0xF4 && second > 0x8F);    // beyond U+10FFFF
  return bad ? 0 : length;
}

/// Calls `add` with every valid character and with the replacement for every other byte.
template <class Add>
void for_each_character(std::string_view text, Add&& add) {
  while (!text.empty()) {
    const size_t n = sequence_length(text);
    add(n == 0 ? kReplacement : text.substr(0, n));
    text.remove_prefix(n == 0 ? 1 : n);
  }
}

bool is_control(std::string_view character) {
  if (character.size() == 2)
    return character[0] == '\xC2' && static_cast<unsigned char>(character[1]) < 0xA0;
  return character.size() == 1 &&
         (static_cast<unsigned char>(character[0]) < 0x20 || character[0] == '\x7F');
}

}  // namespace

std::string valid_utf8(std::string_view text) {
  std::string out;
  for_each_character(text, [&](std::string_view c) { out += c; });
  return out;
}

std::string escape_html(std::string_view text) {
  std::string out;
  for_each_character(text, [&](std::string_view c) {
    if (c == "&")
      out += "&amp;";
    else if (c == "<")
      out += "&lt;";
    else if (c == ">")
      out += "&gt;";
    else if (c == "\"")
      out += "&quot;";
    else if (c == "'")
      out += "&#39;";
    else if (is_control(c) && c != "\n" && c != "\t")
      out += kReplacement;
    else
      out += c;
  });
  return out;
}

std::string escape_markdown(std::string_view text) {
  constexpr std::string_view special = "\\`*_{}[]<>|#~&";
  std::string out;
  for_each_character(text, [&](std::string_view c) {
    if (is_control(c))
      out += ' ';
    else if (c.size() == 1 && special.find(c[0]) != std::string_view::npos)
      // References do for every reader what a backslash does for some.
      out += c == "<" ? "&lt;" : c == ">" ? "&gt;" : c == "&" ? "&amp;" : "\\" + std::string(c);
    else
      out += c;
  });
  return out;
}

std::string clip_text(std::string_view text, int64_t characters) {
  std::string out;
  int64_t count = 0;
  for_each_character(text, [&](std::string_view c) {
    if (count++ < characters) out += c;
  });
  if (count > characters) out += kEllipsis;
  return out;
}

int64_t count_characters(std::string_view text) {
  int64_t count = 0;
  for_each_character(text, [&](std::string_view) { ++count; });
  return count;
}

}  // namespace limbeck
