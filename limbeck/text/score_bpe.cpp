#include "limbeck/text/score_bpe.h"

#include "limbeck/text/fingerprint_writer.h"
#include "limbeck/text/utf8.h"

#include <algorithm>
#include <bit>

namespace limbeck {

ScoreBpeModel::ScoreBpeModel(Vocabulary vocabulary, std::vector<float> scores,
                             std::vector<bool> mergeable, std::optional<TokenId> unk)
    : vocabulary_(std::move(vocabulary)),
      scores_(std::move(scores)),
      mergeable_(std::move(mergeable)),
      unk_(unk),
      byte_tokens_(vocabulary_),
      words_are_independent_(true) {
  for (int64_t id = 0; id < vocabulary_.size(); ++id) {
    if (!mergeable_[static_cast<size_t>(id)]) continue;
    words_are_independent_ &= is_one_marked_word(vocabulary_.text(static_cast<TokenId>(id)));
  }
}

std::optional<TokenId> ScoreBpeModel::find(std::string_view text) const {
  const auto id = vocabulary_.find(text);
  return id && mergeable_[static_cast<size_t>(*id)] ? id : std::nullopt;
}

void ScoreBpeModel::offer(std::string_view piece, MergeScratch& scratch, int32_t left,
                          int32_t right) const {
  if (left < 0 || right < 0) return;
  const auto& a = scratch.symbols[static_cast<size_t>(left)];
  const auto& b = scratch.symbols[static_cast<size_t>(right)];
  const uint32_t length = a.length + b.length;
  const auto id = find(piece.substr(a.begin, length));
  if (!id) return;
  scratch.heap.push_back(
      {-static_cast<double>(scores_[static_cast<size_t>(*id)]), left, right, *id, length});
  std::push_heap(scratch.heap.begin(), scratch.heap.end());
}

void ScoreBpeModel::merge(std::string_view piece, MergeScratch& scratch) const {
  const auto at = [&](int32_t i) -> MergeScratch::Symbol& {
    return scratch.symbols[static_cast<size_t>(i)];
  };
  while (!scratch.heap.empty()) {
    std::pop_heap(scratch.heap.begin(), scratch.heap.end());
    const MergeScratch::Candidate top = scratch.heap.back();
    scratch.heap.pop_back();
    MergeScratch::Symbol& left = at(top.left);
    // A merge of either side since then shows in the joined length.
    if (!left.alive || left.next != top.right || left.length + at(top.right).length != top.length) {
      continue;
    }
    left.id = top.result;
    left.length = top.length;
    at(top.right).alive = false;
    left.next = at(top.right).next;
    if (left.next >= 0) at(left.next).previous = top.left;
    offer(piece, scratch, left.previous, top.left);
    offer(piece, scratch, top.left, left.next);
  }
}

void ScoreBpeModel::encode(std::string_view piece, MergeScratch& scratch,
                           std::vector<TokenId>& out) const {
  scratch.symbols.clear();
  scratch.heap.clear();
  for (size_t begin = 0; begin < piece.size();) {
    const auto index = static_cast<int32_t>(scratch.symbols.size());
    const auto length = static_cast<uint32_t>(utf8_length(piece[begin]));
    const TokenId id = find(piece.substr(begin, length)).value_or(-1);
    if (index > 0) scratch.symbols.back().next = index;
    scratch.symbols.push_back({id, index - 1, -1, static_cast<uint32_t>(begin), length});
    offer(piece, scratch, index - 1, index);
    begin += length;
  }
  merge(piece, scratch);
  for (int32_t i = scratch.symbols.empty() ? -1 : 0; i >= 0;) {
    const MergeScratch::Symbol& symbol = scratch.symbols[static_cast<size_t>(i)];
    i = symbol.next;
    if (symbol.id >= 0) {
      out.push_back(symbol.id);
    } else if (!byte_tokens_.append(piece.substr(symbol.begin, symbol.length), out) && unk_) {
      out.push_back(*unk_);
    }
  }
}

void ScoreBpeModel::fingerprint(FingerprintWriter& writer) const {
  writer.text("score_bpe");
  vocabulary_.fingerprint(writer);
  for (float score : scores_) writer.number(std::bit_cast<uint32_t>(score));
  for (bool flag : mergeable_) writer.number(flag);
  writer.number(static_cast<uint64_t>(unk_.value_or(-1)));
}

}  // namespace limbeck
