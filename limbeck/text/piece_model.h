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

class PieceModel {
 public:
  virtual ~PieceModel() = default;
  /// Appends the tokens of a piece: valid UTF-8, not empty, below 2 GiB.
  virtual void encode(std::string_view piece, MergeScratch& scratch,
                      std::vector<TokenId>& out) const = 0;
  virtual const Vocabulary& vocabulary() const = 0;
  virtual void fingerprint(FingerprintWriter& writer) const = 0;
};

}  // namespace limbeck
