#include "limbeck/eval/tasks/prose.h"

#include "limbeck/base/error.h"
#include "limbeck/io/checksum.h"
#include "limbeck/text/utf8.h"

#include <algorithm>
#include <array>

namespace limbeck {
namespace {

bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_capital(char c) { return c >= 'A' && c <= 'Z'; }
bool is_letter(char c) { return is_capital(c) || (c >= 'a' && c <= 'z'); }

/// Quotes and brackets that may stand around a sentence, ASCII and typographic.
constexpr std::array<std::string_view, 10> kMarks = {
    "\"", "'", "(", ")", "[", "]", "\xE2\x80\x9C", "\xE2\x80\x9D", "\xE2\x80\x98", "\xE2\x80\x99"};

std::string_view without_marks(std::string_view word, bool front) {
  for (bool found = true; found;) {
    found = false;
    for (const std::string_view mark : kMarks) {
      if (!(front ? word.starts_with(mark) : word.ends_with(mark))) continue;
      front ? word.remove_prefix(mark.size()) : word.remove_suffix(mark.size());
      found = true;
    }
  }
  return word;
}

/// True when the full stop behind `stem` belongs to an initial or an abbreviation.
bool abbreviates(std::string_view stem) {
  static constexpr std::array<std::string_view, 16> known = {
      "Mr", "Mrs", "Ms",   "Dr",  "St",  "Capt",   "Col", "Gen",
      "Lt", "Sgt", "Prof", "Rev", "Esq", "Messrs", "vol", "No"};
  stem = without_marks(stem, true);
  const bool initial = stem.size() == 1 && is_letter(stem[0]);
  return initial || std::find(known.begin(), known.end(), stem) != known.end();
}

}  // namespace

bool ends_sentence(std::string_view word, std::string_view next) {
  word = without_marks(word, false);
  next = without_marks(next, true);
  if (word.empty() || next.empty() || !is_capital(next[0])) return false;
  const char last = word.back();
  if (last == '!' || last == '?') return true;
  return last == '.' && !abbreviates(word.substr(0, word.size() - 1));
}

Prose::Prose(std::string_view text) {
  if (const auto at = find_invalid_utf8(text))
    throw InvalidArgument("[prose] text must be valid UTF-8; found a bad byte at {}", *at);
  text_.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (is_blank(text[i])) continue;
    if (i == 0 || is_blank(text[i - 1])) {
      if (!text_.empty()) text_ += ' ';
      begins_.push_back(text_.size());
    }
    text_ += text[i];
  }
  if (begins_.empty()) throw InvalidArgument("[prose] text must have words; found none");
  ends_.resize(begins_.size());
  for (size_t i = 0; i < begins_.size(); ++i) {
    if (i == 0 || ends_[i - 1]) sentences_.push_back(static_cast<int64_t>(i));
    // The last word of the ring meets the first.
    ends_[i] = i + 1 == begins_.size() || ends_sentence(word(i), word(i + 1));
  }
  Hasher128 hasher;
  hasher.update(text_);
  hash_ = hash_hex(hasher.digest());
}

std::string_view Prose::word(size_t index) const {
  const size_t end = index + 1 < begins_.size() ? begins_[index + 1] - 1 : text_.size();
  return std::string_view(text_).substr(begins_[index], end - begins_[index]);
}

int64_t Prose::draw_sentence(Random& random) const {
  return sentences_[random.below(sentences_.size())];
}

std::vector<std::string> Prose::excerpt(int64_t first, int64_t count) const {
  LIMBECK_CHECK(first >= 0 && first < words() && count >= 0 && count <= words(),
                "excerpt of {} words from {} out of {}", count, first, words());
  std::vector<std::string> out;
  bool begin = true;
  for (int64_t i = 0; i < count; ++i) {
    const auto at = static_cast<size_t>((first + i) % words());
    if (begin)
      out.emplace_back(word(at));
    else
      out.back().append(" ").append(word(at));
    begin = ends_[at];
  }
  return out;
}

std::string join_sentences(const std::vector<std::string>& sentences) {
  std::string out;
  for (const std::string& sentence : sentences) {
    if (!out.empty()) out += ' ';
    out += sentence;
  }
  return out;
}

}  // namespace limbeck
