/// The vocabulary that generated samples draw from.
///
/// Either a file of words, one a line (assets/words/english.txt holds 23,899 English ones), or
/// made-up words of two or three syllables for places without the file. Scores under different
/// lists do not compare, which is why a list has a hash. Non-goals: frequencies, other scripts.
#pragma once

#include "limbeck/base/random.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace limbeck {

class WordList {
 public:
  /// Fewest words that a file must have: long word lists (cwe) draw thousands of distinct ones.
  static constexpr int64_t kLeast = 8000;

  /// Throws ResourceError when the file cannot be opened, FormatError naming file and line for what
  /// is no list of at least kLeast distinct words of 2 to 32 letters a-z.
  static WordList load(const std::filesystem::path& path);
  /// 24,000 made-up words of consonant-vowel syllables, the same on every machine.
  static WordList syllables();

  int64_t size() const { return static_cast<int64_t>(words_.size()); }
  const std::string& word(int64_t index) const { return words_[static_cast<size_t>(index)]; }

  /// A word, uniformly.
  const std::string& draw(Random& random) const;
  /// Two draws joined by a hyphen: "obey-djinn".
  std::string draw_key(Random& random) const;

  /// XXH3-128 over the words, each ended by a line feed, in hex.
  const std::string& hash() const { return hash_; }

 private:
  explicit WordList(std::vector<std::string> words);
  std::vector<std::string> words_;
  std::string hash_;
};

/// A made-up word: consonant-vowel syllables, each with or without one of n r s l t behind it.
std::string syllable_word(Random& random, int64_t syllables);

}  // namespace limbeck
