/// What Split and Replace look for: a literal text, or a regular expression run by PCRE2's
/// compiler.
///
/// Cheap to copy and safe to share between threads: the compiled code is immutable and the working
/// memory of a match belongs to the thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace limbeck {

struct TextRange {
  size_t begin = 0, end = 0;
};

class TextPattern {
 public:
  /// Throws FormatError when empty; `name` is the file.
  static TextPattern literal(std::string text, std::string_view name);
  /// `pattern` as tokenizer files write it. Throws FormatError naming the construct.
  static TextPattern regex(std::string pattern, std::string_view name);

  /// First match at or after byte `from` of valid UTF-8. Throws ResourceError when the expression
  /// needs more backtracking than the limit.
  bool find(std::string_view text, size_t from, TextRange& match) const;
  /// `text` with every match replaced by `content`, taken literally.
  std::string replace_all(std::string_view text, std::string_view content) const;

  const std::string& source() const { return source_; }
  bool is_regex() const { return code_ != nullptr; }

 private:
  std::string source_;
  std::shared_ptr<const void> code_;  // pcre2_code; its header stays out of ours
  bool jit_ = false;
};

/// Calls visit(range, is_match) for all of `text` in order: matches and the gaps between them.
template <class Visit>
void for_each_span(const TextPattern& pattern, std::string_view text, Visit&& visit);

}  // namespace limbeck

#include "limbeck/text/utf8.h"  // the template's body steps over characters

template <class Visit>
void limbeck::for_each_span(const TextPattern& pattern, std::string_view text, Visit&& visit) {
  size_t done = 0, from = 0;
  TextRange match;
  while (from <= text.size() && pattern.find(text, from, match)) {
    if (match.begin == match.end) {
      // An empty match cuts the text, except right behind the previous match.
      from = match.end < text.size() ? match.end + utf8_length(text[match.end]) : match.end + 1;
      if (match.begin == done) continue;
    } else {
      from = match.end;
    }
    if (done < match.begin) visit(TextRange{done, match.begin}, false);
    if (match.begin < match.end) visit(match, true);
    done = match.end;
  }
  if (done < text.size()) visit(TextRange{done, text.size()}, false);
}
