#include "limbeck/eval/metrics/text_norm.h"

#include "limbeck/text/utf8.h"

#include <utf8proc.h>

#include <utility>

namespace limbeck {
namespace {

bool is_blank(char32_t c) { return is_unicode_space(c) || (c >= 0x1c && c <= 0x1f); }

bool is_ascii_punctuation(char32_t c) {
  return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
         (c >= '{' && c <= '~');
}

/// What a whole word is made of: letters, numbers and the underscore.
bool is_word_character(char32_t c) {
  if (c == '_') return true;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO: return true;
    default: return false;
  }
}

std::u32string lower_points(const std::u32string& text) {
  std::u32string out;
  out.reserve(text.size());
  for (const char32_t c : text) {
    // The one character whose lower case is two: i and a dot above.
    if (c == 0x130)
      out += U"i\u0307";
    else
      out += static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)));
  }
  return out;
}

std::string to_utf8(std::u32string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char32_t c : text) append_utf8(out, c);
  return out;
}

std::vector<std::u32string_view> words_of(std::u32string_view text) {
  std::vector<std::u32string_view> out;
  for (size_t at = 0; at < text.size();) {
    if (is_blank(text[at])) {
      ++at;
      continue;
    }
    const size_t begin = at;
    while (at < text.size() && !is_blank(text[at])) ++at;
    out.push_back(text.substr(begin, at - begin));
  }
  return out;
}

}  // namespace

std::u32string text_code_points(std::string_view text) {
  const std::string valid = replace_invalid_utf8(text);
  std::u32string out;
  out.reserve(valid.size());
  for (size_t at = 0; at < valid.size();) {
    const Utf8Char c = read_utf8(valid, at);
    out += c.code;
    at += c.length;
  }
  return out;
}

std::string text_lower(std::string_view text) {
  return to_utf8(lower_points(text_code_points(text)));
}

std::string text_strip(std::string_view text) {
  const std::u32string points = text_code_points(text);
  size_t begin = 0, end = points.size();
  while (begin < end && is_blank(points[begin])) ++begin;
  while (end > begin && is_blank(points[end - 1])) --end;
  return to_utf8(std::u32string_view(points).substr(begin, end - begin));
}

std::vector<std::string> text_words(std::string_view text) {
  const std::u32string points = text_code_points(text);
  std::vector<std::string> out;
  for (const std::u32string_view word : words_of(points)) out.push_back(to_utf8(word));
  return out;
}

std::vector<std::string> text_lines(std::string_view text) {
  std::vector<std::string> out;
  for (size_t begin = 0;;) {
    const size_t end = text.find('\n', begin);
    out.emplace_back(text.substr(begin, end == std::string_view::npos ? end : end - begin));
    if (end == std::string_view::npos) return out;
    begin = end + 1;
  }
}

std::string text_norm(std::string_view text) {
  std::u32string kept;
  for (const char32_t c : lower_points(text_code_points(text)))
    if (!is_ascii_punctuation(c)) kept += c;
  std::u32string without;
  for (size_t at = 0; at < kept.size();) {
    if (!is_word_character(kept[at])) {
      without += kept[at++];
      continue;
    }
    const size_t begin = at;
    while (at < kept.size() && is_word_character(kept[at])) ++at;
    const auto word = std::u32string_view(kept).substr(begin, at - begin);
    without += word == U"a" || word == U"an" || word == U"the" ? std::u32string_view(U" ") : word;
  }
  std::string out;
  for (const std::u32string_view word : words_of(without)) {
    if (!out.empty()) out += ' ';
    out += to_utf8(word);
  }
  return out;
}

}  // namespace limbeck
