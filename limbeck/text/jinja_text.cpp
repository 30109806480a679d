#include "limbeck/text/jinja_text.h"

#include <utf8proc.h>

#include <algorithm>
#include <utility>

namespace limbeck::jinja {
namespace {

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x80; });
}

bool is_cased(char32_t code) {
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(code));
  return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL ||
         category == UTF8PROC_CATEGORY_LT;
}

}  // namespace

Text::Text(std::string bytes, Origin origin) : bytes_(std::move(bytes)) {
  if (!bytes_.empty()) runs_.push_back({bytes_.size(), origin});
}

Origin Text::common_origin() const {
  return runs_.size() == 1 ? runs_.front().origin : Origin::input;
}

Text Text::slice(size_t begin, size_t end) const {
  Text result;
  result.append_slice(*this, begin, end);
  return result;
}

void Text::append_slice(const Text& other, size_t begin, size_t end) {
  if (&other == this) {
    append_slice(Text(other), begin, end);
    return;
  }
  auto run = std::upper_bound(other.runs_.begin(), other.runs_.end(), begin,
                              [](size_t at, const Run& r) { return at < r.end; });
  while (begin < end) {
    const size_t stop = std::min(end, run->end);
    append(std::string_view(other.bytes_).substr(begin, stop - begin), run->origin);
    begin = stop;
    ++run;
  }
}

void Text::append(std::string_view bytes, Origin origin) {
  if (bytes.empty()) return;
  bytes_.append(bytes);
  if (!runs_.empty() && runs_.back().origin == origin) {
    runs_.back().end = bytes_.size();
  } else {
    runs_.push_back({bytes_.size(), origin});
  }
}

Char char_at(std::string_view text, size_t at) {
  const auto first = static_cast<unsigned char>(text[at]);
  if (first < 0x80) return {first, 1};
  utf8proc_int32_t code = 0;
  const auto left = static_cast<utf8proc_ssize_t>(std::min<size_t>(text.size() - at, 4));
  const auto size =
      utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data() + at), left, &code);
  if (size <= 0) return {0xFFFD, 1};
  return {static_cast<char32_t>(code), static_cast<size_t>(size)};
}

size_t count_chars(std::string_view text) {
  size_t count = 0;
  for (size_t at = 0; at < text.size(); at += char_at(text, at).size) ++count;
  return count;
}

bool is_space(char32_t code) {
  if (code < 0x80)
    return code == ' ' || (code >= 0x09 && code <= 0x0D) || (code >= 0x1C && code <= 0x1F);
  return code == 0x85 || code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) ||
         code == 0x2028 || code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

void append_utf8(std::string& text, char32_t code) {
  utf8proc_uint8_t bytes[4];
  const auto size = utf8proc_encode_char(static_cast<utf8proc_int32_t>(code), bytes);
  text.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
}

CharIndex::CharIndex(std::string_view text) : count_(text.size()) {
  if (is_ascii(text)) return;
  offsets_.reserve(text.size() + 1);
  for (size_t at = 0; at < text.size(); at += char_at(text, at).size) offsets_.push_back(at);
  count_ = offsets_.size();
  offsets_.push_back(text.size());
}

Text strip(const Text& text, std::optional<std::string_view> chars, StripEnds ends) {
  std::u32string set;
  if (chars) {
    for (size_t at = 0; at < chars->size(); at += char_at(*chars, at).size) {
      set.push_back(char_at(*chars, at).code);
    }
  }
  const auto goes = [&](char32_t code) {
    return chars ? set.find(code) != std::u32string::npos : is_space(code);
  };
  const std::string_view bytes = text.bytes();
  size_t begin = 0, end = bytes.size();
  while (ends.left && begin < end && goes(char_at(bytes, begin).code)) {
    begin += char_at(bytes, begin).size;
  }
  while (ends.right && begin < end) {
    size_t last = end - 1;
    while (last > begin && (static_cast<unsigned char>(bytes[last]) & 0xC0) == 0x80) --last;
    // A bad sequence is one character per byte; only its last byte is looked at.
    if (last + char_at(bytes, last).size != end) last = end - 1;
    if (!goes(char_at(bytes, last).code)) break;
    end = last;
  }
  return text.slice(begin, end);
}

std::vector<Text> split(const Text& text, std::string_view separator, int64_t most) {
  std::vector<Text> parts;
  size_t begin = 0;
  for (int64_t cuts = 0; most < 0 || cuts < most; ++cuts) {
    const size_t at = text.bytes().find(separator, begin);
    if (at == std::string::npos) break;
    parts.push_back(text.slice(begin, at));
    begin = at + separator.size();
  }
  parts.push_back(text.slice(begin, text.size()));
  return parts;
}

std::vector<Text> split_words(const Text& text, int64_t most) {
  std::vector<Text> words;
  const std::string_view bytes = text.bytes();
  size_t at = 0;
  const auto skip = [&](bool space) {
    while (at < bytes.size() && is_space(char_at(bytes, at).code) == space) {
      at += char_at(bytes, at).size;
    }
  };
  for (int64_t cuts = 0;; ++cuts) {
    skip(true);
    if (at == bytes.size()) return words;
    const size_t begin = at;
    if (most >= 0 && cuts >= most) {
      words.push_back(text.slice(begin, bytes.size()));
      return words;
    }
    skip(false);
    words.push_back(text.slice(begin, at));
  }
}

std::vector<Text> split_lines(const Text& text, bool keep_ends) {
  const auto breaks = [](char32_t c) {
    return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
           c == 0x2029;
  };
  std::vector<Text> lines;
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    const Char c = char_at(text.bytes(), at);
    const size_t end = at;
    at += c.size;
    if (!breaks(c.code)) continue;
    if (c.code == '\r' && at < text.size() && text.bytes()[at] == '\n') ++at;
    lines.push_back(text.slice(begin, keep_ends ? at : end));
    begin = at;
  }
  if (begin < text.size()) lines.push_back(text.slice(begin, text.size()));
  return lines;
}

namespace {

/// Calls visit(position) for each place that a replacement applies to; an empty `from` matches
/// before every character and at the end, as in Python.
template <class Visit>
void each_match(std::string_view bytes, std::string_view from, int64_t most, Visit&& visit) {
  size_t at = 0;
  for (int64_t done = 0; most < 0 || done < most; ++done) {
    if (from.empty()) {
      visit(at);
      if (at >= bytes.size()) return;
      at += char_at(bytes, at).size;
      continue;
    }
    at = bytes.find(from, at);
    if (at == std::string_view::npos) return;
    visit(at);
    at += from.size();
  }
}

}  // namespace

Text replace(const Text& text, std::string_view from, const Text& to, int64_t most) {
  Text result;
  size_t done = 0;
  each_match(text.bytes(), from, most, [&](size_t at) {
    result.append_slice(text, done, at);
    result.append(to);
    done = at + from.size();
  });
  result.append_slice(text, done, text.size());
  return result;
}

size_t replaced_size(const Text& text, std::string_view from, const Text& to, int64_t most) {
  size_t matches = 0;
  each_match(text.bytes(), from, most, [&](size_t) { ++matches; });
  return text.size() + matches * to.size() - matches * from.size();
}

Text change_case(const Text& text, LetterCase to) {
  std::string result;
  result.reserve(text.size());
  bool first = true, in_word = false;
  const std::string_view bytes = text.bytes();
  for (size_t at = 0; at < bytes.size();) {
    const Char c = char_at(bytes, at);
    const bool raise = to == LetterCase::upper || (to == LetterCase::capitalize && first) ||
                       (to == LetterCase::title && !in_word);
    const auto code = static_cast<utf8proc_int32_t>(c.code);
    const auto mapped = raise ? utf8proc_toupper(code) : utf8proc_tolower(code);
    if (mapped == code) {
      result.append(bytes.substr(at, c.size));
    } else {
      append_utf8(result, static_cast<char32_t>(mapped));
    }
    in_word = is_cased(c.code);
    first = false;
    at += c.size;
  }
  return Text(std::move(result), text.common_origin());
}

}  // namespace limbeck::jinja
