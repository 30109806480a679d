#include "limbeck/base/error.h"
#include "limbeck/text/piece_cache.h"
#include "limbeck/text/tokenizer_impl.h"

#include <optional>

namespace limbeck {
namespace {

constexpr size_t kCacheFrom = 4'096;     // bytes of text; below, clearing the cache costs more than it saves
constexpr size_t kMaxPiece = 1u << 30;   // bytes; the models count with 32 bits

class Encoder : public PieceSink {
 public:
  Encoder(const PieceModel& model, size_t text_bytes) : model_(model) {
    if (text_bytes >= kCacheFrom) cache_.emplace();
    ids_.reserve(text_bytes / 4 + 8);
  }
  void take(std::string_view piece) override {
    if (piece.size() > kMaxPiece) {
      throw ResourceError("[tokenize] a piece must have at most {} bytes; found {}", kMaxPiece,
                          piece.size());
    }
    if (cache_) {
      cache_->encode(model_, piece, scratch_, ids_);
    } else {
      model_.encode(piece, scratch_, ids_);
    }
  }
  void token(TokenId id) { ids_.push_back(id); }
  std::vector<TokenId> finish() { return std::move(ids_); }

 private:
  const PieceModel& model_;
  std::optional<PieceCache> cache_;
  MergeScratch scratch_;
  std::vector<TokenId> ids_;
};

// One stretch between added tokens, whose regions (if they matter) are all of one kind.
void encode_gap(const Tokenizer::Impl& tokenizer, const Piece& gap, bool parse_special,
                Encoder& encoder) {
  std::string storage;
  const std::string_view text = tokenizer.normalizer.apply(gap.text, storage);
  if (tokenizer.added.normalized().empty()) {
    return tokenizer.pre_tokenizer.split({text, gap.at_start}, encoder);
  }
  const TextRegion region{text.size(), parse_special};
  std::vector<Segment> segments;
  tokenizer.added.normalized().cut(text, {&region, 1}, segments);
  for (const Segment& segment : segments) {
    if (segment.id >= 0) {
      encoder.token(segment.id);
      continue;
    }
    tokenizer.pre_tokenizer.split({text.substr(segment.begin, segment.end - segment.begin),
                                   gap.at_start && segment.begin == 0},
                                  encoder);
  }
}

}  // namespace

std::vector<TokenId> Tokenizer::Impl::encode(std::string_view text,
                                             std::span<const TextRegion> regions) const {
  Encoder encoder(*model, text.size());
  std::vector<Segment> segments;
  added.raw().cut(text, regions, segments);
  size_t region = 0;
  for (const Segment& segment : segments) {
    if (segment.id >= 0) {
      encoder.token(segment.id);
      continue;
    }
    for (size_t begin = segment.begin; begin < segment.end;) {
      while (regions[region].end <= begin) ++region;
      // Only special tokens within normalised text force the regions apart; otherwise words may span
      // them, as they would in the joined text.
      const size_t end =
          added.has_normalized_special() ? std::min(segment.end, regions[region].end) : segment.end;
      encode_gap(*this, {text.substr(begin, end - begin), begin == 0}, regions[region].parse_special,
                 encoder);
      begin = end;
    }
  }
  return encoder.finish();
}

}  // namespace limbeck
