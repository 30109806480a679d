/// What turns one piece of text into tokens.
#pragma once

#include "limbeck/text/vocabulary.h"

#include <string>
#include <string_view>
#include <vector>

namespace limbeck {

/// Working memory of the models, reused from piece to piece; one for each call of encode.
struct MergeScratch {
  struct Symbol {
    TokenId id = 0;
    int32_t previous = -1, next = -1;  // -1: none
    uint32_t begin = 0, length = 0;    // bytes of the piece, for models that merge texts
    bool alive = true;
  };
  struct Candidate {
    double cost = 0;  // smallest first: a merge's rank, or a score negated
    int32_t left = 0, right = 0;
    TokenId result = 0;
    uint32_t length = 0;
    /// The order of a heap whose top is the cheapest candidate, leftmost on ties.
    bool operator<(const Candidate& other) const {
      return cost != other.cost ? cost > other.cost : left > other.left;
    }
  };
  std::vector<TokenId> ids;
  std::vector<uint32_t> ranks;
  std::vector<Symbol> symbols;
  std::vector<Candidate> heap;
  std::string text;
};

/// U+2581, which stands for a space in vocabularies of characters.
inline constexpr std::string_view kSpaceMark = "\xE2\x96\x81";

/// Calls visit(word) for the parts of a piece, cut before each space mark that follows another
/// character.
template <class Visit>
void for_each_marked_word(std::string_view piece, Visit&& visit) {
  size_t begin = 0, from = 0;
  for (;;) {
    const size_t mark = piece.find(kSpaceMark, from);
    if (mark == std::string_view::npos) break;
    if (mark > begin && !piece.substr(begin, mark - begin).ends_with(kSpaceMark)) {
      visit(piece.substr(begin, mark - begin));
      begin = mark;
    }
    from = mark + kSpaceMark.size();
  }
  visit(piece.substr(begin));
}

/// Whether for_each_marked_word leaves the text whole.
inline bool is_one_marked_word(std::string_view text) {
  size_t words = 0;
  for_each_marked_word(text, [&](std::string_view) { ++words; });
  return words == 1;
}

class PieceModel {
 public:
  virtual ~PieceModel() = default;
  /// Appends the tokens of a piece: valid UTF-8, not empty, below 2 GiB.
  virtual void encode(std::string_view piece, MergeScratch& scratch,
                      std::vector<TokenId>& out) const = 0;
  /// Whether for_each_marked_word may cut pieces without changing the tokens, because no merge
  /// joins a mark to a character before it. Such pieces are whole texts; words are far cheaper and
  /// repeat.
  virtual bool words_are_independent() const = 0;
  virtual const Vocabulary& vocabulary() const = 0;
  virtual void fingerprint(FingerprintWriter& writer) const = 0;
};

}  // namespace limbeck
