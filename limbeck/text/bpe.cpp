#include "limbeck/text/bpe.h"

#include "limbeck/text/byte_level.h"
#include "limbeck/text/fingerprint_writer.h"
#include "limbeck/text/utf8.h"

#include <algorithm>
#include <bit>

namespace limbeck {
namespace {

// Symbols up to which the quadratic scan serves; nearly all pieces of a splitter are shorter.
constexpr size_t kScanLimit = 48;

}  // namespace

MergeTable::MergeTable(const std::vector<MergeRule>& rules)
    : entries_(std::bit_ceil(2 * rules.size() + 2)), mask_(entries_.size() - 1) {
  for (size_t rank = 0; rank < rules.size(); ++rank) {
    const MergeRule& rule = rules[rank];
    size_t slot = slot_of(rule.left, rule.right);
    while (entries_[slot].merge.rank != kNone &&
           (entries_[slot].left != rule.left || entries_[slot].right != rule.right)) {
      slot = (slot + 1) & mask_;
    }
    entries_[slot] = {rule.left, rule.right, {static_cast<uint32_t>(rank), rule.result}};
  }
}

BpeModel::BpeModel(Vocabulary vocabulary, std::vector<MergeRule> rules, const BpeOptions& options)
    : vocabulary_(std::move(vocabulary)),
      rules_(std::move(rules)),
      merges_(rules_),
      options_(options) {
  if (options_.byte_fallback) byte_tokens_ = ByteTokens(vocabulary_);
  single_bytes_.fill(-1);
  for (size_t byte = 0; byte < (options_.byte_level ? 256 : 128); ++byte) {
    const std::string text =
        options_.byte_level ? byte_level_chars()[byte] : std::string(1, static_cast<char>(byte));
    single_bytes_[byte] = vocabulary_.find(text).value_or(-1);
  }
  words_are_independent_ = no_merge_across_words();
}

// The mark itself must be a token: unknown characters could fuse across it.
bool BpeModel::no_merge_across_words() const {
  if (options_.byte_level || options_.ignore_merges || !vocabulary_.find(kSpaceMark)) return false;
  return std::all_of(rules_.begin(), rules_.end(), [&](const MergeRule& rule) {
    return is_one_marked_word(vocabulary_.text(rule.result));
  });
}

void BpeModel::append_symbols(std::string_view piece, std::vector<TokenId>& ids) const {
  bool after_unknown = false;
  for (size_t at = 0; at < piece.size();) {
    const size_t length = options_.byte_level ? 1 : utf8_length(piece[at]);
    const std::string_view c = piece.substr(at, length);
    at += length;
    TokenId id = single_bytes_[static_cast<uint8_t>(c[0])];
    if (length > 1) id = vocabulary_.find(c).value_or(-1);
    if (id >= 0) {
      ids.push_back(id);
      after_unknown = false;
      continue;
    }
    const std::string_view stored =
        options_.byte_level ? byte_level_chars()[static_cast<uint8_t>(c[0])] : c;
    if (options_.byte_fallback && byte_tokens_.append(stored, ids)) {
      after_unknown = false;
    } else if (options_.unk) {
      if (!after_unknown || !options_.fuse_unk) ids.push_back(*options_.unk);
      after_unknown = true;
    }
  }
}

void BpeModel::encode(std::string_view piece, MergeScratch& scratch,
                      std::vector<TokenId>& out) const {
  if (options_.ignore_merges) {
    std::string_view stored = piece;
    if (options_.byte_level) {
      scratch.text.clear();
      append_byte_level(scratch.text, piece);
      stored = scratch.text;
    }
    if (const auto id = vocabulary_.find(stored)) {
      out.push_back(*id);
      return;
    }
  }
  scratch.ids.clear();
  append_symbols(piece, scratch.ids);
  if (scratch.ids.size() <= kScanLimit) {
    merge_by_scan(scratch);
  } else {
    merge_by_heap(scratch);
  }
  out.insert(out.end(), scratch.ids.begin(), scratch.ids.end());
}

void BpeModel::merge_by_scan(MergeScratch& scratch) const {
  auto& ids = scratch.ids;
  auto& ranks = scratch.ranks;  // ranks[i]: of the pair (i, i + 1)
  if (ids.size() < 2) return;
  ranks.resize(ids.size() - 1);
  for (size_t i = 0; i < ranks.size(); ++i) ranks[i] = merges_.find(ids[i], ids[i + 1]).rank;
  while (!ranks.empty()) {
    const auto best = std::min_element(ranks.begin(), ranks.end());
    if (*best == MergeTable::kNone) return;
    const auto i = static_cast<size_t>(best - ranks.begin());
    ids[i] = merges_.find(ids[i], ids[i + 1]).result;
    ids.erase(ids.begin() + static_cast<ptrdiff_t>(i) + 1);
    ranks.erase(best);
    if (i < ranks.size()) ranks[i] = merges_.find(ids[i], ids[i + 1]).rank;
    if (i > 0) ranks[i - 1] = merges_.find(ids[i - 1], ids[i]).rank;
  }
}

void BpeModel::merge_by_heap(MergeScratch& scratch) const {
  auto& symbols = scratch.symbols;
  auto& heap = scratch.heap;
  symbols.clear();
  heap.clear();
  const auto count = static_cast<int32_t>(scratch.ids.size());
  for (int32_t i = 0; i < count; ++i) {
    symbols.push_back({scratch.ids[static_cast<size_t>(i)], i - 1, i + 1 < count ? i + 1 : -1});
  }
  const auto at = [&](int32_t i) -> MergeScratch::Symbol& {
    return symbols[static_cast<size_t>(i)];
  };
  const auto offer = [&](int32_t left, int32_t right) {
    if (left < 0 || right < 0) return false;
    const auto merge = merges_.find(at(left).id, at(right).id);
    if (merge.rank == MergeTable::kNone) return false;
    heap.push_back({static_cast<double>(merge.rank), left, right, merge.result, 0});
    return true;
  };
  for (int32_t i = 0; i + 1 < count; ++i) offer(i, i + 1);
  std::make_heap(heap.begin(), heap.end());
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end());
    const MergeScratch::Candidate top = heap.back();
    heap.pop_back();
    MergeScratch::Symbol& left = at(top.left);
    // Stale when either side has merged since: then the pair's rank or its neighbour differs.
    if (!left.alive || left.next != top.right) continue;
    const auto merge = merges_.find(left.id, at(top.right).id);
    if (merge.rank != static_cast<uint32_t>(top.cost)) continue;
    left.id = top.result;
    at(top.right).alive = false;
    left.next = at(top.right).next;
    if (left.next >= 0) at(left.next).previous = top.left;
    if (offer(left.previous, top.left)) std::push_heap(heap.begin(), heap.end());
    if (offer(top.left, left.next)) std::push_heap(heap.begin(), heap.end());
  }
  scratch.ids.clear();
  for (int32_t i = 0; i >= 0 && count > 0; i = at(i).next) scratch.ids.push_back(at(i).id);
}

void BpeModel::fingerprint(FingerprintWriter& writer) const {
  writer.text("bpe");
  vocabulary_.fingerprint(writer);
  writer.number(rules_.size());
  for (const MergeRule& rule : rules_) {
    writer.number(static_cast<uint64_t>(rule.left));
    writer.number(static_cast<uint64_t>(rule.right));
    writer.number(static_cast<uint64_t>(rule.result));
  }
  for (bool flag : {options_.byte_level, options_.ignore_merges, options_.byte_fallback,
                    options_.fuse_unk, options_.unk.has_value()}) {
    writer.number(flag);
  }
  writer.number(static_cast<uint64_t>(options_.unk.value_or(0)));
}

}  // namespace limbeck
