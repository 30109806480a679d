/// Added tokens: texts such as <|im_end|> that are cut out of the input before it is split and
/// merged.
///
/// Matches are leftmost-longest. `single_word` discards a match next to a word character; `lstrip`
/// and `rstrip` let a match take the white space around it. Special tokens match only inside
/// regions whose special texts count. In the other regions a match of a special text is passed over
/// as a whole (nothing inside it matches either), and one that would straddle two regions does not
/// exist.
#pragma once

#include "limbeck/text/vocabulary.h"

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace limbeck {

class FingerprintWriter;
class Normalizer;

struct AddedToken {
  TokenId id = 0;
  std::string content;
  bool single_word = false, lstrip = false, rstrip = false;
  bool normalized = false;  ///< looked for in normalised text, its content normalised too
  bool special = false;     ///< skipped by decode when asked
};

/// Stretches of the input in order, the last one ending where the text ends.
struct TextRegion {
  size_t end = 0;
  bool parse_special = false;
};

/// A token, or a stretch of text between tokens.
struct Segment {
  size_t begin = 0, end = 0;
  TokenId id = -1;  ///< -1: text
};

/// Finds one set of tokens.
class AddedTokenMatcher {
 public:
  /// `tokens` must outlive the matcher; of equal patterns the first one counts.
  void add(const AddedToken& token, std::string_view pattern);
  bool empty() const { return nodes_.empty(); }
  void cut(std::string_view text, std::span<const TextRegion> regions,
           std::vector<Segment>& out) const;

 private:
  struct Node {
    std::vector<std::pair<uint8_t, uint32_t>> next;
    const AddedToken* token = nullptr;
  };
  struct Match {
    const AddedToken* token = nullptr;
    size_t begin = 0, end = 0;
    bool counts = false;
  };
  bool find(std::string_view text, size_t from, std::span<const TextRegion> regions,
            Match& match) const;
  Match longest_at(std::string_view text, size_t begin, const TextRegion& region) const;
  uint32_t child(uint32_t node, uint8_t byte) const;

  std::vector<Node> nodes_;
  std::array<uint32_t, 256> roots_{};  // children of the root, 0: none
};

/// All added tokens of a tokenizer.
class AddedTokens {
 public:
  AddedTokens() = default;
  /// Special tokens take part before the others. Throws FormatError for contents that are empty,
  /// too long, or appear twice.
  AddedTokens(std::vector<AddedToken> tokens, const Normalizer& normalizer, std::string_view name);
  AddedTokens(const AddedTokens&) = delete;
  AddedTokens& operator=(const AddedTokens&) = delete;

  const std::vector<AddedToken>& tokens() const { return tokens_; }
  const AddedTokenMatcher& raw() const { return raw_; }
  const AddedTokenMatcher& normalized() const { return normalized_; }
  void fingerprint(FingerprintWriter& writer) const;

 private:
  std::vector<AddedToken> tokens_;
  AddedTokenMatcher raw_, normalized_;
};

}  // namespace limbeck
