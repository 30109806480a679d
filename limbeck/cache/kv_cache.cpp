#include "limbeck/cache/kv_cache.h"

#include "limbeck/base/error.h"

#include <algorithm>
#include <set>
#include <utility>

namespace limbeck {
namespace {

at::Tensor new_rows(const CacheShape& shape, int64_t rows, int64_t heads = -1) {
  return at::empty({heads < 0 ? shape.kv_heads : heads, rows, shape.head_dim},
                   at::TensorOptions().dtype(to_scalar_type(shape.dtype)));
}

/// KV heads that a layer's tail holds.
int64_t tail_heads(const CacheShape& shape, const LayerCache& layer) {
  return shape.kv_heads - static_cast<int64_t>(layer.stream.heads.size());
}

int64_t nbytes(const at::Tensor& t) {
  return t.defined() ? static_cast<int64_t>(t.storage().nbytes()) : 0;
}

LayerTail copy_tail(const LayerTail& tail) {
  LayerTail out = tail;
  if (tail.keys.defined()) {
    out.keys = tail.keys.clone();
    out.values = tail.values.clone();
  }
  return out;
}

/// Rows [0, length) of a full layer's tail as a packed segment that owns exactly its rows.
LayerSegmentPtr pack_tail(const CacheShape& shape, const LayerCache& layer, int64_t rows) {
  const LayerTail& tail = layer.tail;
  auto out = std::make_shared<LayerSegment>(segment_empty(shape));
  const int64_t h = tail_heads(shape, layer);
  if (rows == 0 || h == 0) return out;
  // Not contiguous(): with one head it would keep the tail's whole allocation alive.
  const auto pack = [&](const at::Tensor& t) {
    return t.narrow(1, 0, rows)
        .clone(at::MemoryFormat::Contiguous)
        .view({h * rows, shape.head_dim});
  };
  out->keys = pack(tail.keys);
  out->values = pack(tail.values);
  out->positions = at::arange(tail.first_position, tail.first_position + rows,
                              at::TensorOptions().dtype(at::kInt))
                       .repeat({h});
  for (int64_t i = 0; i < shape.kv_heads; ++i)
    out->offsets[i + 1] = out->offsets[i] + (stream_has(layer.stream, i) ? 0 : rows);
  return out;
}

}  // namespace

KvCache::KvCache(CacheShape shape) : shape_(std::move(shape)) {
  if (shape_.kv_heads < 1 || shape_.head_dim < 1 || shape_.layers.empty())
    throw InvalidArgument(
        "[cache] a cache needs layers, KV heads and a head dimension; found {}, {}, {}",
        shape_.layers.size(), shape_.kv_heads, shape_.head_dim);
  if (shape_.dtype != DType::bf16 && shape_.dtype != DType::f32)
    throw InvalidArgument("[cache] keys and values are BF16 or F32; found {}",
                          dtype_name(shape_.dtype));
  for (const LayerKind& kind : shape_.layers) {
    if (kind.type == LayerKind::Type::ring && kind.window < 1)
      throw InvalidArgument("[cache] a ring layer needs a window of at least 1; found {}",
                            kind.window);
    layers_.push_back({kind, {}, {}});
  }
  std::vector<int64_t> windows;
  for (const LayerKind& kind : shape_.layers)
    windows.push_back(kind.type == LayerKind::Type::ring ? kind.window : 0);
  meter_ = FootprintMeter(std::move(windows), shape_.kv_heads, shape_.slot_bytes());
}

KvCache KvCache::clone() const {
  KvCache out(shape_);
  out.logical_length_ = logical_length_;
  out.tail_begin_ = tail_begin_;
  out.tokens_ = tokens_;
  out.infos_ = infos_;
  out.protected_ = protected_;
  for (size_t l = 0; l < layers_.size(); ++l)
    out.layers_[l] = {layers_[l].kind, layers_[l].segments, copy_tail(layers_[l].tail),
                      stream_copy(layers_[l].stream)};
  out.pattern_ = pattern_;
  out.meter_ = meter_;
  out.segment_bytes_ = segment_bytes_;
  return out;
}

void KvCache::clear() {
  const std::shared_ptr<const HeadPattern> pattern = pattern_;
  *this = KvCache(shape_);
  if (pattern) set_head_pattern(*pattern);
}

void KvCache::set_head_pattern(const HeadPattern& pattern) {
  head_pattern_check(pattern);
  if (pattern.layers != shape_.layer_count() || pattern.kv_heads != shape_.kv_heads)
    throw Mismatch("[cache] a head pattern of {} layers of {} for a cache of {} of {}",
                   pattern.layers, pattern.kv_heads, shape_.layer_count(), shape_.kv_heads);
  if (logical_length_ != 0)
    throw InvalidArgument("[cache] a head pattern needs an empty cache; found {} tokens",
                          logical_length_);
  for (int64_t l = 0; l < shape_.layer_count(); ++l) {
    LayerStream stream;
    stream.sinks = pattern.sinks;
    stream.window = pattern.window;
    stream.mask = pattern.mask;
    for (int64_t h = 0; h < shape_.kv_heads; ++h)
      (pattern.at(l, h) ? stream.heads : stream.others).push_back(h);
    const bool streams = layers_[l].kind.type == LayerKind::Type::full && !stream.heads.empty();
    layers_[l].stream = streams ? std::move(stream) : LayerStream{};
    layers_[l].tail = LayerTail{};
  }
  pattern_ = std::make_shared<HeadPattern>(pattern);
}

void KvCache::adopt_stream(int64_t layer, const LayerStream& stream) {
  LIMBECK_CHECK(logical_length_ == 0, "{} tokens held", logical_length_);
  layers_[layer].stream = stream_copy(stream);
}

std::vector<int64_t> KvCache::held() const {
  std::vector<int64_t> out;
  out.reserve(layers_.size() * static_cast<size_t>(shape_.kv_heads));
  for (int64_t l = 0; l < shape_.layer_count(); ++l)
    for (int64_t h = 0; h < shape_.kv_heads; ++h) out.push_back(slots(l, h));
  return out;
}

void KvCache::note_auxiliary(int64_t rows) { meter_.on_forward(0, rows, held()); }

void KvCache::adopt_meter(const KvCache& other) {
  int64_t before = 0, now = 0;
  for (const int64_t n : other.held()) before += n;
  for (const int64_t n : held()) now += n;
  meter_ = other.meter_;
  meter_.on_transient_bytes(allocated() + other.allocated());
  if (now < before) meter_.on_compaction(allocated(), held());
}

int64_t KvCache::allocated() const {
  int64_t total = segment_bytes_;
  for (const LayerCache& layer : layers_)
    total += nbytes(layer.tail.keys) + nbytes(layer.tail.values) + nbytes(layer.stream.keys) +
             nbytes(layer.stream.values);
  return total;
}

void KvCache::recount_segments() {
  std::set<const void*> seen;
  segment_bytes_ = 0;
  const auto add = [&](const at::Tensor& t) {
    if (t.defined() && t.numel() > 0 && seen.insert(t.storage().data()).second)
      segment_bytes_ += nbytes(t);
  };
  for (const LayerCache& layer : layers_)
    for (const auto& s : layer.segments) {
      for (const at::Tensor& t : {s->keys, s->values, s->bias, s->positions}) add(t);
      for (const auto& [name, x] : s->extras) add(x);
      segment_bytes_ += static_cast<int64_t>(s->offsets.size() * sizeof(int64_t));
    }
}

void KvCache::set_protected_ranges(std::vector<PositionRange> ranges) {
  for (const auto& r : ranges)
    if (r.begin < 0 || r.end < r.begin || r.end > logical_length_)
      throw InvalidArgument("[cache] protected range must lie in [0, {}]; found [{}, {})",
                            logical_length_, r.begin, r.end);
  protected_ = std::move(ranges);
}

int64_t KvCache::slots(int64_t layer, int64_t head) const {
  const LayerCache& l = layers_[layer];
  if (stream_has(l.stream, head)) return l.stream.length;
  int64_t n = l.tail.length;
  for (const auto& s : l.segments) n += s->slots(head);
  return n;
}

double KvCache::mean_slots() const {
  int64_t total = 0;
  for (int64_t l = 0; l < shape_.layer_count(); ++l) {
    if (layers_[l].kind.type != LayerKind::Type::full) continue;
    for (int64_t h = 0; h < shape_.kv_heads; ++h) total += slots(l, h);
  }
  const int64_t heads = shape_.full_layer_count() * shape_.kv_heads;
  return heads > 0 ? static_cast<double>(total) / static_cast<double>(heads) : 0.0;
}

double KvCache::kept_ratio() const {
  return logical_length_ > 0 ? mean_slots() / static_cast<double>(logical_length_) : 1.0;
}

CacheBytes KvCache::bytes() const {
  CacheBytes out;
  std::set<const void*> seen;
  int64_t held = 0;
  const auto hold = [&](const at::Tensor& t) {
    if (t.defined() && t.numel() > 0 && seen.insert(t.storage().data()).second)
      held += static_cast<int64_t>(t.storage().nbytes());
  };
  const auto size = [](const at::Tensor& t) {
    return t.defined() ? t.numel() * static_cast<int64_t>(t.element_size()) : 0;
  };
  for (const LayerCache& layer : layers_) {
    for (const auto& s : layer.segments) {
      for (const at::Tensor& t : {s->keys, s->values, s->bias, s->positions}) hold(t);
      out.keys_values += size(s->keys) + size(s->values);
      out.bias += size(s->bias);
      out.positions += size(s->positions);
      for (const auto& [name, x] : s->extras) {
        hold(x);
        out.extras += size(x);
      }
    }
    for (const at::Tensor& t :
         {layer.tail.keys, layer.tail.values, layer.stream.keys, layer.stream.values})
      hold(t);
    out.keys_values += (layer.tail.length * tail_heads(shape_, layer) +
                        layer.stream.length * static_cast<int64_t>(layer.stream.heads.size())) *
                       shape_.slot_bytes();
  }
  out.slack = std::max<int64_t>(0, held - out.keys_values - out.bias - out.positions - out.extras);
  for (const LayerCache& layer : layers_)
    for (const auto& s : layer.segments)
      out.positions += static_cast<int64_t>(s->offsets.size() * sizeof(int64_t));
  return out;
}

int64_t KvCache::full_bytes() const {
  int64_t slots = 0;
  for (const LayerKind& kind : shape_.layers)
    slots += kind.type == LayerKind::Type::full ? logical_length_
                                                : std::min(logical_length_, kind.window - 1);
  return slots * shape_.kv_heads * shape_.slot_bytes();
}

void KvCache::reserve(int64_t rows) {
  for (LayerCache& layer : layers_) {
    if (layer.kind.type != LayerKind::Type::full) continue;
    LayerTail& tail = layer.tail;
    const int64_t needed = tail.length + rows;
    if (needed <= tail.capacity()) continue;
    const int64_t capacity = tail_capacity(needed, kTailBlock), heads = tail_heads(shape_, layer);
    at::Tensor keys = new_rows(shape_, capacity, heads), values = new_rows(shape_, capacity, heads);
    meter_.on_transient_bytes(allocated() + nbytes(keys) + nbytes(values));
    if (tail.length > 0) {
      keys.narrow(1, 0, tail.length).copy_(tail.keys.narrow(1, 0, tail.length));
      values.narrow(1, 0, tail.length).copy_(tail.values.narrow(1, 0, tail.length));
    }
    tail.keys = std::move(keys);
    tail.values = std::move(values);
  }
}

void KvCache::append_streaming(LayerCache& layer, const at::Tensor& keys,
                               const at::Tensor& values) {
  stream_append(layer.stream, keys, values);
  if (layer.stream.others.empty()) return;
  const at::Tensor index = at::tensor(layer.stream.others, at::TensorOptions().dtype(at::kLong));
  const int64_t rows = keys.size(1), at = layer.tail.length;
  layer.tail.keys.narrow(1, at, rows).copy_(keys.index_select(0, index));
  layer.tail.values.narrow(1, at, rows).copy_(values.index_select(0, index));
}

void KvCache::append_ring(LayerCache& layer, const at::Tensor& keys, const at::Tensor& values) {
  const int64_t capacity = layer.kind.window - 1, rows = keys.size(1);
  if (capacity == 0) return;
  LayerTail& ring = layer.tail;
  if (!ring.keys.defined()) {
    ring.keys = new_rows(shape_, capacity);
    ring.values = new_rows(shape_, capacity);
  }
  const int64_t used = std::min(rows, capacity);
  // Rows that a later one of the same call would overwrite are skipped.
  for (int64_t done = rows - used; done < rows;) {
    const int64_t at = (logical_length_ + done) % capacity;
    const int64_t n = std::min(rows - done, capacity - at);
    ring.keys.narrow(1, at, n).copy_(keys.narrow(1, done, n));
    ring.values.narrow(1, at, n).copy_(values.narrow(1, done, n));
    done += n;
  }
  ring.length = std::min(ring.length + rows, capacity);
  ring.first_position = logical_length_ + rows - ring.length;
}

void KvCache::commit(std::span<const int32_t> tokens,
                     const std::vector<std::pair<at::Tensor, at::Tensor>>& ring_rows) {
  const auto rows = static_cast<int64_t>(tokens.size());
  for (size_t l = 0; l < layers_.size(); ++l) {
    const LayerTail& tail = layers_[l].tail;
    const bool full = layers_[l].kind.type == LayerKind::Type::full;
    if (full) LIMBECK_CHECK(tail.length + rows <= tail.capacity(), "tail of layer {} overran", l);
    if (!full || layers_[l].stream.active())
      LIMBECK_CHECK(l < ring_rows.size() && ring_rows[l].first.size(1) == rows &&
                        ring_rows[l].second.size(1) == rows,
                    "layer {} needs {} rows", l, rows);
  }
  const std::vector<int64_t> before = held();
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
  for (size_t l = 0; l < layers_.size(); ++l) {
    LayerCache& layer = layers_[l];
    if (layer.kind.type == LayerKind::Type::full) {
      if (layer.stream.active()) append_streaming(layer, ring_rows[l].first, ring_rows[l].second);
      if (layer.tail.length == 0) layer.tail.first_position = logical_length_;
      layer.tail.length += rows;
    } else {
      append_ring(layer, ring_rows[l].first, ring_rows[l].second);
    }
  }
  logical_length_ += rows;
  meter_.on_forward(rows, 0, before);
  meter_.on_bytes(rows, allocated());
}

void KvCache::fold_layer(const Fold& fold, int64_t l, LayerSegmentPtr segment,
                         const at::Tensor& keys, const at::Tensor& values, int64_t working_bytes) {
  LayerCache& layer = layers_[l];
  LIMBECK_CHECK(layer.kind.type == LayerKind::Type::full && segment, "layer {} cannot be folded",
                l);
  segment_check(*segment, shape_);
  meter_.on_transient_bytes(allocated() + working_bytes);
  if (layer.stream.active()) stream_append(layer.stream, keys, values);
  layer.segments.resize(fold.first);
  layer.segments.push_back(std::move(segment));
  layer.tail = LayerTail{};
  recount_segments();
}

void KvCache::commit_folded(const Fold& fold, std::span<const int32_t> tokens, SegmentInfo info,
                            const std::vector<std::pair<at::Tensor, at::Tensor>>& ring_rows) {
  const auto rows = static_cast<int64_t>(tokens.size());
  LIMBECK_CHECK(info.end == logical_length_ + rows, "the segment ends at {} instead of {}",
                info.end, logical_length_ + rows);
  for (size_t l = 0; l < layers_.size(); ++l) {
    if (layers_[l].kind.type == LayerKind::Type::full)
      LIMBECK_CHECK(static_cast<int64_t>(layers_[l].segments.size()) == fold.first + 1,
                    "layer {} was not folded", l);
    else
      append_ring(layers_[l], ring_rows[l].first, ring_rows[l].second);
  }
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
  infos_.resize(fold.first);
  infos_.push_back(std::move(info));
  logical_length_ += rows;
  tail_begin_ = logical_length_;
  meter_.on_forward(rows, 0, fold.held);
  meter_.on_bytes(rows, allocated());
  meter_.on_compaction(allocated(), held());
}

void KvCache::seal() {
  const int64_t rows = logical_length_ - tail_begin_;
  if (rows == 0) return;
  // Everything that can run out of memory comes before the first change.
  std::vector<LayerSegmentPtr> packed(layers_.size());
  for (size_t l = 0; l < layers_.size(); ++l) {
    if (layers_[l].kind.type != LayerKind::Type::full) continue;
    packed[l] = pack_tail(shape_, layers_[l], rows);
    layers_[l].segments.reserve(layers_[l].segments.size() + 1);
  }
  SegmentInfo info;
  info.begin = tail_begin_;
  info.end = logical_length_;
  infos_.push_back(std::move(info));
  for (size_t l = 0; l < layers_.size(); ++l) {
    if (layers_[l].kind.type != LayerKind::Type::full) continue;
    layers_[l].segments.push_back(std::move(packed[l]));
    layers_[l].tail = LayerTail{};
  }
  tail_begin_ = logical_length_;
  recount_segments();
}

void KvCache::unseal() {
  if (infos_.empty() || tail_begin_ != logical_length_ ||
      infos_.back().state != SpanState::verbatim)
    throw InvalidArgument(
        "[cache.unseal] the last segment must be verbatim and the tail empty; found {}",
        infos_.empty() ? "no segment" : span_state_name(infos_.back().state));
  const SegmentInfo& info = infos_.back();
  const int64_t rows = info.end - info.begin;
  std::vector<LayerTail> tails(layers_.size());
  for (size_t l = 0; l < layers_.size(); ++l) {
    if (layers_[l].kind.type != LayerKind::Type::full) continue;
    const LayerSegment& s = *layers_[l].segments.back();
    const int64_t heads = tail_heads(shape_, layers_[l]);
    if (!segment_is_plain(s, {info.begin, info.end}, layers_[l].stream.heads))
      throw InvalidArgument(
          "[cache.unseal] every head of layer {} must hold positions [{}, {}) in order, without "
          "bias or "
          "side values",
          l, info.begin, info.end);
    LayerTail& tail = tails[l];
    tail.keys = new_rows(shape_, tail_capacity(rows, kTailBlock), heads);
    tail.values = new_rows(shape_, tail_capacity(rows, kTailBlock), heads);
    tail.keys.narrow(1, 0, rows).copy_(s.keys.view({heads, rows, shape_.head_dim}));
    tail.values.narrow(1, 0, rows).copy_(s.values.view({heads, rows, shape_.head_dim}));
    tail.length = rows;
    tail.first_position = info.begin;
  }
  for (size_t l = 0; l < layers_.size(); ++l) {
    if (layers_[l].kind.type != LayerKind::Type::full) continue;
    layers_[l].segments.pop_back();
    layers_[l].tail = std::move(tails[l]);
  }
  tail_begin_ = info.begin;
  infos_.pop_back();
  recount_segments();
}

void KvCache::truncate(int64_t length) {
  if (length < tail_begin_ || length > logical_length_)
    throw InvalidArgument("[cache.truncate] length must lie in the tail [{}, {}]; found {}",
                          tail_begin_, logical_length_, length);
  const int64_t gone = logical_length_ - length;
  if (gone == 0) return;
  for (LayerCache& layer : layers_)
    if (layer.kind.type == LayerKind::Type::ring && layer.tail.length < logical_length_ &&
        layer.kind.window > 1)
      throw InvalidArgument(
          "[cache.truncate] a window of {} has already forgotten tokens before position {}; take a "
          "mark "
          "before appending and roll back to it",
          layer.kind.window, layer.tail.first_position);
  for (const LayerCache& layer : layers_)
    if (layer.stream.active() && layer.stream.length < logical_length_)
      throw InvalidArgument(
          "[cache.truncate] streaming heads of {} sinks and a window of {} have forgotten some of "
          "{} tokens; take a mark before appending and roll back to it",
          layer.stream.sinks, layer.stream.window, logical_length_);
  for (LayerCache& layer : layers_) {
    if (layer.stream.active()) stream_truncate(layer.stream, gone);
    layer.tail.length -= std::min(gone, layer.tail.length);
    if (layer.tail.length == 0 && layer.kind.type == LayerKind::Type::full)
      layer.tail = LayerTail{};
  }
  drop_tokens(length);
}

void KvCache::drop_tokens(int64_t length) {
  tokens_.resize(length);
  logical_length_ = length;
  for (PositionRange& range : protected_) range.end = std::min(range.end, length);
  std::erase_if(protected_, [](const PositionRange& range) { return range.begin >= range.end; });
}

KvCache::Mark KvCache::mark() const {
  Mark mark{logical_length_, static_cast<int64_t>(infos_.size()), {}};
  mark.meter = meter_;
  mark.rings.resize(layers_.size());
  mark.streams.resize(layers_.size());
  for (size_t l = 0; l < layers_.size(); ++l) mark.streams[l] = stream_copy(layers_[l].stream);
  for (size_t l = 0; l < layers_.size(); ++l)
    if (layers_[l].kind.type == LayerKind::Type::ring) mark.rings[l] = copy_tail(layers_[l].tail);
  return mark;
}

void KvCache::rollback(const Mark& mark) {
  if (mark.segment_count != static_cast<int64_t>(infos_.size()) ||
      mark.logical_length < tail_begin_ || mark.logical_length > logical_length_)
    throw InvalidArgument(
        "[cache.rollback] the mark is at length {} with {} segments; found length {} with {}",
        mark.logical_length, mark.segment_count, logical_length_, infos_.size());
  const int64_t rows = mark.logical_length - tail_begin_;
  for (size_t l = 0; l < layers_.size(); ++l) {
    LayerCache& layer = layers_[l];
    if (layer.kind.type == LayerKind::Type::ring) {
      layer.tail = copy_tail(mark.rings[l]);
    } else {
      layer.tail.length = rows;
      if (rows == 0) layer.tail = LayerTail{};
      if (layer.stream.active()) layer.stream = stream_copy(mark.streams[l]);
    }
  }
  meter_ = mark.meter;
  drop_tokens(mark.logical_length);
}

void KvCache::replace_segments(int64_t first, int64_t last, std::vector<NewSegment> segments) {
  const auto count = static_cast<int64_t>(infos_.size());
  LIMBECK_CHECK(first >= 0 && first < last && last <= count + 1, "segments [{}, {}) of {}", first,
                last, count);
  const bool takes_tail = last == count + 1;
  int64_t at = first < count ? infos_[first].begin : tail_begin_;
  const int64_t end = takes_tail ? logical_length_ : infos_[last - 1].end;
  for (const NewSegment& s : segments) {
    LIMBECK_CHECK(s.info.begin == at && s.layers.size() == layers_.size(),
                  "segment starts at {} instead of {}, {} layers", s.info.begin, at,
                  s.layers.size());
    at = s.info.end;
    for (size_t l = 0; l < layers_.size(); ++l)
      if (layers_[l].kind.type == LayerKind::Type::full) {
        LIMBECK_CHECK(s.layers[l], "no segment for layer {}", l);
        segment_check(*s.layers[l], shape_);
      }
  }
  LIMBECK_CHECK(at == end, "segments end at {} instead of {}", at, end);

  std::vector<SegmentInfo> infos(infos_.begin(), infos_.begin() + first);
  std::vector<std::vector<LayerSegmentPtr>> lists(layers_.size());
  const int64_t stop = std::min(last, count);
  for (const NewSegment& s : segments) infos.push_back(s.info);
  infos.insert(infos.end(), infos_.begin() + stop, infos_.end());
  for (size_t l = 0; l < layers_.size(); ++l) {
    if (layers_[l].kind.type != LayerKind::Type::full) continue;
    const auto& old = layers_[l].segments;
    lists[l].assign(old.begin(), old.begin() + first);
    for (const NewSegment& s : segments) lists[l].push_back(s.layers[l]);
    lists[l].insert(lists[l].end(), old.begin() + stop, old.end());
  }
  int64_t fresh_bytes = 0, kept = 0, before = 0;
  for (const NewSegment& s : segments)
    for (const LayerSegmentPtr& layer : s.layers)
      if (layer) fresh_bytes += nbytes(layer->keys) + nbytes(layer->values) + nbytes(layer->bias);
  for (const int64_t n : held()) before += n;
  meter_.on_transient_bytes(allocated() + fresh_bytes);
  // From here on nothing throws.
  infos_.swap(infos);
  for (size_t l = 0; l < layers_.size(); ++l) {
    if (layers_[l].kind.type != LayerKind::Type::full) continue;
    layers_[l].segments.swap(lists[l]);
    if (takes_tail) layers_[l].tail = LayerTail{};
  }
  if (takes_tail) tail_begin_ = logical_length_;
  recount_segments();
  for (const int64_t n : held()) kept += n;
  if (kept < before) meter_.on_compaction(allocated(), held());
}

void KvCache::append_segment(SegmentInfo info, std::vector<LayerSegmentPtr> layers,
                             std::span<const int32_t> tokens, std::vector<LayerTail> rings) {
  LIMBECK_CHECK(
      layers.size() == layers_.size() && (rings.empty() || rings.size() == layers_.size()),
      "{} layers and {} rings for {}", layers.size(), rings.size(), layers_.size());
  if (info.begin != logical_length_ || info.end - info.begin != static_cast<int64_t>(tokens.size()))
    throw InvalidArgument(
        "[cache.append] the span must start at {} and cover {} tokens; found [{}, {})",
        logical_length_, tokens.size(), info.begin, info.end);
  std::vector<LayerTail> copies(layers_.size());
  for (size_t l = 0; l < layers_.size(); ++l) {
    if (layers_[l].kind.type == LayerKind::Type::full) {
      LIMBECK_CHECK(layers[l], "no segment for layer {}", l);
      segment_check(*layers[l], shape_);
      for (const int64_t h : layers_[l].stream.heads)
        LIMBECK_CHECK(layers[l]->slots(h) == 0, "layer {} head {} streams and has slots", l, h);
    } else if (!rings.empty() && rings[l].keys.defined()) {
      LIMBECK_CHECK(rings[l].capacity() == layers_[l].kind.window - 1 &&
                        rings[l].length <= rings[l].capacity() &&
                        rings[l].first_position + rings[l].length == info.end,
                    "ring of layer {} holds {} of {} rows from position {}", l, rings[l].length,
                    rings[l].capacity(), rings[l].first_position);
      copies[l] = copy_tail(rings[l]);
    }
  }
  seal();
  for (size_t l = 0; l < layers_.size(); ++l) {
    if (layers_[l].kind.type == LayerKind::Type::full)
      layers_[l].segments.push_back(std::move(layers[l]));
    else
      layers_[l].tail = std::move(copies[l]);
  }
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
  logical_length_ = tail_begin_ = info.end;
  infos_.push_back(std::move(info));
  recount_segments();
  meter_.restart(logical_length_);
}

}  // namespace limbeck
