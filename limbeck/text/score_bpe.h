/// SentencePiece BPE: of all neighbouring symbols whose joined text is a token, the pair with the
/// highest score merges first. There is no list of merges; the vocabulary and its scores decide.
#pragma once

#include "limbeck/text/byte_tokens.h"
#include "limbeck/text/piece_model.h"

#include <optional>
#include <vector>

namespace limbeck {

class ScoreBpeModel : public PieceModel {
 public:
  /// `scores` and `mergeable` are by id; control and byte tokens are not mergeable, so that text
  /// which looks like them stays text.
  ScoreBpeModel(Vocabulary vocabulary, std::vector<float> scores, std::vector<bool> mergeable,
                std::optional<TokenId> unk);

  void encode(std::string_view piece, MergeScratch& scratch,
              std::vector<TokenId>& out) const override;
  bool words_are_independent() const override { return words_are_independent_; }
  const Vocabulary& vocabulary() const override { return vocabulary_; }
  void fingerprint(FingerprintWriter& writer) const override;

 private:
  std::optional<TokenId> find(std::string_view text) const;
  void offer(std::string_view piece, MergeScratch& scratch, int32_t left, int32_t right) const;
  void merge(std::string_view piece, MergeScratch& scratch) const;

  Vocabulary vocabulary_;
  std::vector<float> scores_;
  std::vector<bool> mergeable_;
  std::optional<TokenId> unk_;
  ByteTokens byte_tokens_;
  bool words_are_independent_ = false;
};

}  // namespace limbeck
