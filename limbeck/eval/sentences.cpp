#include "limbeck/eval/needle_context.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace limbeck {
namespace {

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }
bool is_letter(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; }

/// Length of the closing quote or bracket at `at`, 0 when there is none.
size_t closing(std::string_view text, size_t at) {
  static constexpr std::array<std::string_view, 7> marks = {
      "\"", "'", ")", "]", "_", "\xE2\x80\x9D", "\xE2\x80\x99"};
  for (const std::string_view mark : marks)
    if (text.substr(at).starts_with(mark)) return mark.size();
  return 0;
}

/// True when the full stop at `dot` belongs to an initial or an abbreviation.
bool abbreviates(std::string_view text, size_t dot) {
  static constexpr std::array<std::string_view, 14> known = {"Mr",  "Mrs",  "Ms",  "Dr",    "St",
                                                             "Sir", "Capt", "Col", "Gen",   "Prof",
                                                             "Rev", "Esq",  "vol", "Messrs"};
  size_t begin = dot;
  while (begin > 0 && is_letter(text[begin - 1])) --begin;
  const std::string_view word = text.substr(begin, dot - begin);
  // "I." ends sentences as often as it is an initial; one border less does no harm.
  return word.size() == 1 || std::find(known.begin(), known.end(), word) != known.end();
}

}  // namespace

std::vector<size_t> sentence_ends(std::string_view text) {
  std::vector<size_t> out;
  for (size_t i = 1; i < text.size(); ++i) {
    if (text[i] != '.' && text[i] != '!' && text[i] != '?') continue;
    if (text[i] == '.' && (text[i - 1] == '.' || abbreviates(text, i))) continue;
    size_t end = i + 1;
    while (end < text.size()) {
      const size_t more = closing(text, end);
      if (more == 0) break;
      end += more;
    }
    size_t next = end;
    while (next < text.size() && is_space(text[next])) ++next;
    // A small letter goes on: `"Who?" he asked.`
    if (next == end || next == text.size() ||
        std::islower(static_cast<unsigned char>(text[next])) != 0)
      continue;
    out.push_back(end);
    i = end - 1;
  }
  return out;
}

}  // namespace limbeck
