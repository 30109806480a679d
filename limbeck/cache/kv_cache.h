/// KvCache: what a model remembers of one sequence.
///
/// A layer holds an ordered list of immutable, shared segments and one growing tail; attention runs
/// over each part and merges by log-sum-exp, so nothing is ever copied to be attended to.
/// `logical_length` is the position of the next token, which compaction never changes. Memory that
/// compaction frees is freed. Non-goals: several sequences in one object (hold several caches;
/// segments are shared), paging to disk.
#pragma once

#include "limbeck/cache/layer_stream.h"
#include "limbeck/cache/segment.h"
#include "limbeck/footprint/meter.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace limbeck {

/// The newest slots of a layer, dense. Full layers: keys [H, capacity, D], rows [0, length) in use,
/// row i at logical position first_position + i; H are the heads that do not stream. Ring layers:
/// capacity window - 1 (what the next token may see besides itself), the slot of position p at row
/// p % (window - 1), the last `length` positions present.
struct LayerTail {
  at::Tensor keys, values;
  int64_t length = 0;
  int64_t first_position = 0;  ///< position of the oldest slot
  int64_t capacity() const { return keys.defined() ? keys.size(1) : 0; }
};

struct LayerCache {
  LayerKind kind;
  std::vector<LayerSegmentPtr> segments;  ///< full layers only, parallel to KvCache::segments()
  LayerTail tail;
  LayerStream stream = {};  ///< full layers with streaming heads; these hold nothing elsewhere
};

/// Bytes that a cache's tensors hold, each allocation counted once.
struct CacheBytes {
  int64_t keys_values = 0;  ///< in use
  int64_t bias = 0;
  int64_t positions = 0;  ///< positions and offsets
  int64_t extras = 0;
  int64_t slack = 0;  ///< allocated but not in use (room for growth)
  int64_t total() const { return keys_values + bias + positions + extras + slack; }
};

class KvCache {
 public:
  explicit KvCache(CacheShape shape);
  KvCache(KvCache&&) noexcept = default;
  KvCache& operator=(KvCache&&) noexcept = default;
  KvCache(const KvCache&) = delete;
  KvCache& operator=(const KvCache&) = delete;
  /// An independent cache: segments are shared, tails are copied.
  KvCache clone() const;
  void clear();

  const CacheShape& shape() const { return shape_; }
  int64_t logical_length() const { return logical_length_; }
  const std::vector<int32_t>& tokens() const { return tokens_; }  ///< of the whole logical sequence
  const std::vector<SegmentInfo>& segments() const { return infos_; }
  const LayerCache& layer(int64_t l) const { return layers_[l]; }
  /// First position of the tail; [tail_begin, logical_length) is verbatim in every full layer.
  int64_t tail_begin() const { return tail_begin_; }
  const std::vector<PositionRange>& protected_ranges() const { return protected_; }
  /// Ranges that compaction keeps as they are. Throws InvalidArgument beyond the logical length.
  void set_protected_ranges(std::vector<PositionRange> ranges);

  /// Makes heads of full layers stream; ring layers take no part, their window is their own. Only
  /// for a cache that holds nothing; Mismatch for a pattern of another shape.
  void set_head_pattern(const HeadPattern& pattern);
  /// Null when no pattern was set.
  const HeadPattern* head_pattern() const { return pattern_.get(); }
  /// Takes over another cache's streaming heads of one layer, for a cache that holds nothing.
  void adopt_stream(int64_t layer, const LayerStream& stream);

  /// What was held, and for how long (footprint/meter.h). Copies of a cache go on measuring from
  /// here; rollback() goes back in it as well, truncate() does not: those rows have been run. A
  /// segment that is appended whole makes the measurement begin anew behind it.
  const FootprintMeter& meter() const { return meter_; }
  /// For a cache that takes the place of `other`: goes on with its measurement.
  void adopt_meter(const KvCache& other);
  /// Notes what is held over time for meter().report().timeline; copies of the cache go on with it.
  void keep_timeline() { meter_.keep_timeline(); }
  /// Rows that the model reads behind the cache without becoming part of it.
  void note_auxiliary(int64_t rows);

  /// Slots held by (layer, head), tail included; ring layers: the ring's.
  int64_t slots(int64_t layer, int64_t head) const;
  /// Mean slots over all heads of full layers.
  double mean_slots() const;
  /// Stored slots of full layers / slots of the full cache of this length.
  double kept_ratio() const;
  CacheBytes bytes() const;
  /// What an uncompacted cache of the same logical length holds, without slack.
  int64_t full_bytes() const;

  /// Turns the tail into a verbatim segment, so that clones share it. Does nothing to an empty
  /// tail.
  void seal();
  /// The inverse of seal(): the last segment, verbatim with equally long heads and without bias,
  /// becomes the tail again (copied). InvalidArgument when it is not of that kind (its positions
  /// out of order, or with side values) or the tail is not empty.
  void unseal();
  /// Removes the newest tokens down to `length`, which must lie in the tail; protected ranges are
  /// cut to what remains (by rollback() too). Ring layers can only give back what they still hold;
  /// otherwise InvalidArgument (use mark and rollback).
  void truncate(int64_t length);

  /// A point to come back to: lengths, copies of the rings and of streaming heads.
  struct Mark {
    int64_t logical_length = 0, segment_count = 0;
    std::vector<LayerTail> rings;
    std::vector<LayerStream> streams = {};
    FootprintMeter meter = {};
  };
  Mark mark() const;
  /// Back to the mark; segments sealed since are not undone (InvalidArgument).
  void rollback(const Mark& mark);

  /// A segment for all layers; entries of ring layers are ignored.
  struct NewSegment {
    SegmentInfo info;
    std::vector<LayerSegmentPtr> layers;  ///< [layers]
  };
  /// Replaces segments [first, last) (and, when last is past the end, the tail) by others that
  /// cover the same positions. Strong guarantee: on an error nothing has changed.
  void replace_segments(int64_t first, int64_t last, std::vector<NewSegment> segments);
  /// Appends a segment after everything else; its span must start at logical_length. The tail is
  /// sealed first. `rings` [layers] gives the rings' new contents (undefined = leave empty).
  void append_segment(SegmentInfo info, std::vector<LayerSegmentPtr> layers,
                      std::span<const int32_t> tokens, std::vector<LayerTail> rings);

  // ---- for the model's forward pass
  // ---------------------------------------------------------------
  /// Makes room for `rows` more tokens in every full layer's tail; contents and lengths stay.
  void reserve(int64_t rows);
  LayerCache& layer_for_append(int64_t l) { return layers_[l]; }
  /// A call whose layers are compacted one by one, each as soon as its rows have attended: then no
  /// more than one layer's new rows are held. Between begin_fold() and commit_folded() the cache is
  /// of no use for anything else; on an error the caller throws it away.
  struct Fold {
    int64_t first = 0;          ///< segments from this number on, and the tail, are replaced
    std::vector<int64_t> held;  ///< [layers * H] entries before the call
  };
  Fold begin_fold(int64_t first_segment) const { return {first_segment, held()}; }
  /// What full layer l holds of the replaced part and the new rows; streaming heads take theirs of
  /// `keys` and `values` [H, rows, D]. `working_bytes` are held beside the cache meanwhile.
  void fold_layer(const Fold& fold, int64_t l, LayerSegmentPtr segment, const at::Tensor& keys,
                  const at::Tensor& values, int64_t working_bytes);
  /// Makes the rows part of the cache; every full layer must have been folded. `info` is of the new
  /// segment, `ring_rows` as for commit(), ring layers only.
  void commit_folded(const Fold& fold, std::span<const int32_t> tokens, SegmentInfo info,
                     const std::vector<std::pair<at::Tensor, at::Tensor>>& ring_rows);
  /// Makes the rows written behind the tails part of the cache. `ring_rows` [layers] holds for each
  /// ring layer, and each layer with streaming heads, the new keys and values [H, rows, D].
  void commit(std::span<const int32_t> tokens,
              const std::vector<std::pair<at::Tensor, at::Tensor>>& ring_rows);

 private:
  void append_ring(LayerCache& layer, const at::Tensor& keys, const at::Tensor& values);
  void append_streaming(LayerCache& layer, const at::Tensor& keys, const at::Tensor& values);
  void drop_tokens(int64_t length);
  std::vector<int64_t> held() const;
  int64_t allocated() const;
  void recount_segments();

  CacheShape shape_;
  int64_t logical_length_ = 0;
  int64_t tail_begin_ = 0;
  std::vector<int32_t> tokens_;
  std::vector<SegmentInfo> infos_;
  std::vector<PositionRange> protected_;
  std::vector<LayerCache> layers_;
  std::shared_ptr<const HeadPattern> pattern_;
  FootprintMeter meter_;
  int64_t segment_bytes_ = 0;  ///< that the segments hold, each allocation counted once
};

/// True when both hold bit-equal contents (tail capacities may differ).
bool cache_equal(const KvCache& a, const KvCache& b);

/// All slots of one full layer with position in [range.begin, range.end), packed by head in order
/// of storage; streaming heads have none. Copies, except that a segment taken whole shares its
/// (immutable) tensors.
LayerSegment cache_gather(const KvCache& cache, int64_t layer, PositionRange range);

/// Keys and values of a ring layer in order of position: [H, length, D] each.
std::pair<at::Tensor, at::Tensor> ring_linear(const LayerTail& ring);

}  // namespace limbeck
