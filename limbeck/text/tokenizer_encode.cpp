#include "limbeck/base/error.h"
#include "limbeck/text/piece_cache.h"
#include "limbeck/text/tokenizer_impl.h"

#include <algorithm>
#include <optional>

namespace limbeck {
namespace {

// Bytes of text; for less it is not worth clearing half a megabyte of cache.
constexpr size_t kCacheFrom = 4096;
constexpr size_t kMaxPiece = 1u << 30;  // bytes; the models count with 32 bits

class Encoder : public PieceSink {
 public:
  Encoder(const PieceModel& model, size_t text_bytes)
      : model_(model), words_(model.words_are_independent()) {
    if (text_bytes >= kCacheFrom) cache_.emplace();
    ids_.reserve(text_bytes / 4 + 8);
  }
  void take(std::string_view piece) override {
    if (piece.size() > kMaxPiece) {
      throw ResourceError("[tokenize] a piece must have at most {} bytes; found {}", kMaxPiece,
                          piece.size());
    }
    if (!words_) return take_word(piece);
    for_each_marked_word(piece, [this](std::string_view word) { take_word(word); });
  }
  void token(TokenId id) { ids_.push_back(id); }
  std::vector<TokenId> finish() { return std::move(ids_); }

 private:
  void take_word(std::string_view word) {
    if (cache_) {
      cache_->encode(model_, word, scratch_, ids_);
    } else {
      model_.encode(word, scratch_, ids_);
    }
  }

  const PieceModel& model_;
  const bool words_;
  std::optional<PieceCache> cache_;
  MergeScratch scratch_;
  std::vector<TokenId> ids_;
};

// A stretch of text between added tokens that are looked for in raw text.
struct Gap {
  size_t begin = 0, end = 0;
  std::span<const TextRegion> regions;  // the first one holds `begin`
};

bool holds_special(const AddedTokens& added, std::span<const Segment> segments) {
  return std::any_of(segments.begin(), segments.end(), [&](const Segment& segment) {
    if (segment.id < 0) return false;
    const auto& tokens = added.tokens();
    return std::any_of(tokens.begin(), tokens.end(), [&](const AddedToken& token) {
      return token.id == segment.id && token.special;
    });
  });
}

// Encodes [begin, end) with one answer to the question whether special texts count. Returns false,
// having done nothing, when `only_plain` and there are special texts.
bool encode_stretch(const Tokenizer::Impl& tokenizer, std::string_view text, size_t begin,
                    size_t end, bool parse_special, bool only_plain, Encoder& encoder) {
  std::string storage;
  const std::string_view normal =
      tokenizer.normalizer.apply(text.substr(begin, end - begin), storage);
  const bool at_start = begin == 0;
  if (tokenizer.added.normalized().empty()) {
    tokenizer.pre_tokenizer.split({normal, at_start}, encoder);
    return true;
  }
  const TextRegion region{normal.size(), parse_special || only_plain};
  std::vector<Segment> segments;
  tokenizer.added.normalized().cut(normal, {&region, 1}, segments);
  if (only_plain && holds_special(tokenizer.added, segments)) return false;
  for (const Segment& segment : segments) {
    if (segment.id >= 0) {
      encoder.token(segment.id);
      continue;
    }
    tokenizer.pre_tokenizer.split(
        {normal.substr(segment.begin, segment.end - segment.begin), at_start && segment.begin == 0},
        encoder);
  }
  return true;
}

// Words span regions as they would in one text. Only where special tokens occur in the normalised
// text, whose bytes no longer tell the regions, are the regions normalised and encoded apart.
void encode_gap(const Tokenizer::Impl& tokenizer, std::string_view text, const Gap& gap,
                Encoder& encoder) {
  const bool uniform = gap.regions.front().end >= gap.end;
  if (encode_stretch(tokenizer, text, gap.begin, gap.end, gap.regions.front().parse_special,
                     !uniform, encoder)) {
    return;
  }
  size_t begin = gap.begin;
  for (size_t i = 0; begin < gap.end; ++i) {
    const size_t end = std::min(gap.end, gap.regions[i].end);
    encode_stretch(tokenizer, text, begin, end, gap.regions[i].parse_special, false, encoder);
    begin = end;
  }
}

}  // namespace

std::vector<TokenId> Tokenizer::Impl::encode(std::string_view text,
                                             std::span<const TextRegion> regions) const {
  Encoder encoder(*model, text.size());
  std::vector<Segment> segments;
  added.raw().cut(text, regions, segments);
  for (const Segment& segment : segments) {
    if (segment.id >= 0) {
      encoder.token(segment.id);
      continue;
    }
    while (regions.front().end <= segment.begin) regions = regions.subspan(1);
    encode_gap(*this, text, {segment.begin, segment.end, regions}, encoder);
  }
  return encoder.finish();
}

}  // namespace limbeck
