#include "limbeck/eval/metrics/multiple_choice.h"

#include <algorithm>
#include <string>

namespace limbeck {
namespace {

constexpr size_t kNone = std::string_view::npos;

bool is_option(char c) { return c >= 'A' && c <= 'D'; }
bool is_small_option(char c) { return c >= 'a' && c <= 'd'; }
char upper(char c) { return static_cast<char>(c - 'a' + 'A'); }

/// Bytes above 127 belong to letters of other scripts, or at least not to an option.
bool continues_word(std::string_view text, size_t at) {
  if (at >= text.size()) return false;
  const auto c = static_cast<unsigned char>(text[at]);
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         c >= 0x80;
}

bool is_closed(std::string_view text, size_t at) {
  return at >= text.size() || std::string_view("\n).,:;").find(text[at]) != kNone;
}

std::string ascii_lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

/// The letter behind a phrase that ends at `at`, past brackets and blanks.
std::optional<char> letter_behind(std::string_view text, size_t at) {
  at = text.find_first_not_of(" \t\r\n()[]{}<>*\"'`", at);
  if (at == kNone) return std::nullopt;
  const char c = text[at];
  if (is_option(c) && !continues_word(text, at + 1)) return c;
  if (is_small_option(c) && is_closed(text, at + 1)) return upper(c);
  return std::nullopt;
}

std::optional<char> stated_letter(std::string_view text) {
  const std::string low = ascii_lower(text);
  std::optional<char> out;
  for (size_t at = low.find("answer"); at != kNone; at = low.find("answer", at + 1)) {
    size_t behind = at + 6;
    if (low.compare(behind, 3, " is") == 0) {
      behind += 3;
      if (behind < low.size() && low[behind] == ':') ++behind;
    } else if (low.compare(behind, 1, ":") == 0) {
      ++behind;
    } else {
      continue;
    }
    if (const auto letter = letter_behind(text, behind)) out = letter;
  }
  return out;
}

}  // namespace

std::optional<char> longbench_v2_letter(std::string_view response) {
  std::string text(response);
  std::erase(text, '*');
  constexpr std::string_view kPhrase = "The correct answer is ";
  std::optional<char> bare;
  for (size_t at = text.find(kPhrase); at != kNone; at = text.find(kPhrase, at + 1)) {
    const size_t begin = at + kPhrase.size();
    if (begin + 2 < text.size() && text[begin] == '(' && is_option(text[begin + 1]) &&
        text[begin + 2] == ')')
      return text[begin + 1];
    if (!bare && begin < text.size() && is_option(text[begin]) && !continues_word(text, begin + 1))
      bare = text[begin];
  }
  return bare;
}

std::optional<char> multiple_choice_letter(std::string_view response) {
  constexpr std::string_view kEndOfThought = "</think>";
  if (const size_t at = response.rfind(kEndOfThought); at != kNone)
    response.remove_prefix(at + kEndOfThought.size());
  response.remove_prefix(std::min(response.find_first_not_of(" \t\r\n"), response.size()));
  if (const auto letter = stated_letter(response)) return letter;
  if (!response.empty() && is_option(response[0]) && is_closed(response, 1)) return response[0];
  for (size_t at = response.size(); at-- > 2;)
    if (response[at] == ')' && is_option(response[at - 1]) && response[at - 2] == '(')
      return response[at - 1];
  return std::nullopt;
}

}  // namespace limbeck
