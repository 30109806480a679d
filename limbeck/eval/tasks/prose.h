/// Running text for haystacks: words and sentences of books, blanks made single spaces.
///
/// The text is a ring: an excerpt that reaches its end goes on at its beginning, so that every
/// sentence is as likely to begin an excerpt as any other. Non-goals: paragraphs, languages that do
/// not put blanks between words.
#pragma once

#include "limbeck/base/random.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace limbeck {

class Prose {
 public:
  /// Throws InvalidArgument when the text has no words or is not valid UTF-8.
  explicit Prose(std::string_view text);

  int64_t words() const { return static_cast<int64_t>(begins_.size()); }
  /// Word that begins a sentence, all sentences being equally likely.
  int64_t draw_sentence(Random& random) const;
  /// The `count` words from word `first` on, by sentences; the first and the last may be parts.
  /// 0 <= first < words(), 0 <= count <= words().
  std::vector<std::string> excerpt(int64_t first, int64_t count) const;
  /// XXH3-128 of the normalised text, in hex.
  const std::string& hash() const { return hash_; }

 private:
  std::string_view word(size_t index) const;

  std::string text_;
  std::vector<size_t> begins_;      ///< byte of every word
  std::vector<bool> ends_;          ///< a sentence ends behind this word
  std::vector<int64_t> sentences_;  ///< words that begin one
  std::string hash_;
};

/// True when a sentence ends between two neighbouring words: . ! or ? (closing quotes may follow),
/// then a capital (opening quotes may precede). Initials and common abbreviations do not end one.
bool ends_sentence(std::string_view word, std::string_view next);

/// Sentences joined by single spaces.
std::string join_sentences(const std::vector<std::string>& sentences);

}  // namespace limbeck
