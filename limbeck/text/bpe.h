/// Byte-pair encoding by ranked merges, over characters or over the byte-level alphabet.
#pragma once

#include "limbeck/text/byte_tokens.h"
#include "limbeck/text/merge_table.h"
#include "limbeck/text/piece_model.h"

#include <array>
#include <optional>
#include <vector>

namespace limbeck {

struct BpeOptions {
  bool byte_level = false;     ///< pieces are mapped to the byte-level alphabet first
  bool ignore_merges = false;  ///< a piece that is a token is that token, whatever the merges say
  bool byte_fallback = false;  ///< characters without a token become byte tokens, when all exist
  bool fuse_unk = false;       ///< neighbouring unknown characters become one unknown token
  std::optional<TokenId> unk;  ///< without one, unknown characters vanish
};

class BpeModel : public PieceModel {
 public:
  BpeModel(Vocabulary vocabulary, std::vector<MergeRule> rules, const BpeOptions& options);

  void encode(std::string_view piece, MergeScratch& scratch,
              std::vector<TokenId>& out) const override;
  bool words_are_independent() const override { return words_are_independent_; }
  const Vocabulary& vocabulary() const override { return vocabulary_; }
  void fingerprint(FingerprintWriter& writer) const override;

  /// Merges `ids` in place: the cheapest pair first, leftmost on ties. Two ways with one result:
  /// scanning is quadratic and the faster one for the short pieces of a splitter, the heap is O(n
  /// log n).
  void merge_by_scan(MergeScratch& scratch) const;
  void merge_by_heap(MergeScratch& scratch) const;

 private:
  bool no_merge_across_words() const;
  void append_symbols(std::string_view piece, std::vector<TokenId>& ids) const;

  Vocabulary vocabulary_;
  std::vector<MergeRule> rules_;
  MergeTable merges_;
  BpeOptions options_;
  ByteTokens byte_tokens_;
  bool words_are_independent_ = false;
  std::array<TokenId, 256> single_bytes_;  // token of a byte's character (byte level) or of ASCII
};

}  // namespace limbeck
