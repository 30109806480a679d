/// The forward pass without autograd, one object a call; private to this room.
///
/// Model::forward runs it through all layers at once; forward_layerwise() keeps several of them and
/// steps them layer by layer.
#pragma once

#include "limbeck/model/attention.h"
#include "limbeck/model/attention_streaming.h"
#include "limbeck/model/kernels/linear.h"
#include "limbeck/model/kernels/rowwise.h"
#include "limbeck/model/layer_fold.h"
#include "limbeck/model/model.h"
#include "limbeck/model/products.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>

#include <algorithm>

namespace limbeck {

/// One call of Model::forward. Few rows run on our own matrix-vector kernels with f32 activations,
/// many rows on linear_many_rows() in the weights' dtype.
class ForwardPass {
 public:
  ForwardPass(const Model& model, std::span<const Feed> feeds, const ForwardOptions& options)
      : model_(model), spec_(model.spec_), feeds_(feeds.begin(), feeds.end()), options_(options) {
    for (const Feed& feed : feeds_) {
      starts_.push_back(rows_);
      rows_ += static_cast<int64_t>(feed.tokens.size());
    }
    few_ = rows_ <= kLinearRowsMax;
    dtype_ = few_ ? DType::f32 : model.dtype_;
    type_ = few_ || model.dtype_ == DType::f32 ? at::kFloat : at::kBFloat16;
  }

  ForwardResult run() {
    std::vector<int64_t> first;
    for (const Feed& feed : feeds_) first.push_back(feed.cache->logical_length());
    begin(first);
    if (options_.fold != nullptr)
      folded_ = feeds_[0].cache->begin_fold(options_.fold->first_segment());
    else
      for (const Feed& feed : feeds_) feed.cache->reserve(static_cast<int64_t>(feed.tokens.size()));
    ring_rows_.assign(feeds_.size(),
                      std::vector<std::pair<at::Tensor, at::Tensor>>(spec_.layer_count()));
    for (int64_t l = 0; l < spec_.layer_count(); ++l) {
      project(l);
      if (!attend(l)) break;
    }
    ForwardResult result = finish();
    if (options_.fold != nullptr)
      feeds_[0].cache->commit_folded(folded_, feeds_[0].tokens, options_.fold->info(),
                                     ring_rows_[0]);
    for (size_t f = 0; options_.fold == nullptr && f < feeds_.size(); ++f)
      feeds_[f].cache->commit(feeds_[f].tokens, ring_rows_[f]);
    return result;
  }

  /// Embeds the rows; row 0 of feed f stands at position first[f].
  void begin(std::span<const int64_t> first) {
    embed();
    prepare_ropes(first);
  }

  struct Split {
    at::Tensor q, k, v;  ///< [Hq, n, D], [H, n, D], [H, n, D]
  };

  /// First half of layer l: queries, keys and values of every feed's rows, keys and values written
  /// behind the feeds' tails.
  void project(int64_t l) {
    project_rows(l);
    for (size_t f = 0; f < feeds_.size(); ++f) {
      auto [k, v] = storage(l, f);
      if (k.scalar_type() == type_) {
        splits_.push_back(split(l, f, qkv_, true, k, v));
      } else {
        splits_.push_back(split(l, f, qkv_, true, {}, {}));
        store(f, k, v);
      }
    }
  }
  /// The same for a pass that has no cache yet: keys and values wait in splits().
  void project_apart(int64_t l) {
    project_rows(l);
    for (size_t f = 0; f < feeds_.size(); ++f) splits_.push_back(split(l, f, qkv_, true, {}, {}));
  }
  const std::vector<Split>& splits() const { return splits_; }

  /// Second half: attention, output projection, MLP. False when the rest of the last layer is not
  /// needed by anybody.
  bool attend(int64_t l) {
    const LayerWeights& w = model_.weights_.layers[l];
    const bool last = l + 1 == spec_.layer_count();
    const bool output_needed = !last || options_.logits != LogitsWanted::none || options_.hidden;
    at::Tensor attention = buffer(rows_, spec_.query_heads * spec_.head_dim);
    for (size_t f = 0; f < feeds_.size(); ++f) attend_feed(l, f, attention, output_needed);
    if (output_needed) finish_layer(w, attention);
    input_.reset();
    qkv_.reset();
    splits_.clear();
    return output_needed;
  }

  /// Attention after project_apart(): caches[f] holds what the rows of feed f see in layer l alone,
  /// or a part of it; the rows join it. Log masses [Hq, n] f32 by feed are returned.
  std::vector<at::Tensor> attend_apart(int64_t l, std::span<KvCache> caches) {
    only_layer_ = l;
    const size_t feeds = feeds_.size();
    ring_rows_.assign(feeds, std::vector<std::pair<at::Tensor, at::Tensor>>(1));
    apart_ = buffer(rows_, spec_.query_heads * spec_.head_dim);
    apart_lse_.assign(feeds, {});
    const auto attend_one = [&](size_t f) {
      KvCache& cache = caches[f];
      feeds_[f].cache = &cache;
      const auto n = static_cast<int64_t>(feeds_[f].tokens.size());
      cache.reserve(n);
      auto [k, v] = storage(l, f);
      store(f, k, v);
      const Split& s = splits_[f];
      attend_any({&cache.layer(0), s.q, s.k, s.v, spec_.softmax_scale},
                 apart_.narrow(0, starts_[f], n), &apart_lse_[f], cache.logical_length());
      cache.commit(feeds_[f].tokens, ring_rows_[f]);
    };
    if (feeds == 1) {
      attend_one(0);  // its products share the threads
    } else {
      at::parallel_for(0, static_cast<int64_t>(feeds), 1, [&](int64_t begin, int64_t end) {
        const c10::NoGradGuard guard;
        for (int64_t f = begin; f < end; ++f) attend_one(static_cast<size_t>(f));
      });
    }
    input_.reset();  // a pass of many blocks holds as little as it can
    qkv_.reset();
    return apart_lse_;
  }
  /// The rest of the layer, after adding what the rows see elsewhere: a part by feed, or none.
  void complete_apart(int64_t l, std::span<const AttentionPart> rest) {
    for (size_t f = 0; f < rest.size(); ++f)
      attention_join(apart_.narrow(0, starts_[f], rest[f].out.size(1)), apart_lse_[f], rest[f]);
    finish_layer(model_.weights_.layers[l], apart_);
    apart_.reset();
    splits_.clear();
  }

 private:
  /// Output projection and MLP.
  void finish_layer(const LayerWeights& w, const at::Tensor& attention) {
    delta_ = linear(attention, w.output, w.output_bias);
    if (spec_.sandwich_norms) delta_ = sandwich(delta_, w.post_attention_norm);
    const at::Tensor y = add_and_norm(w.mlp_norm, dtype_);
    delta_ = mlp(y, w);
    if (spec_.sandwich_norms) delta_ = sandwich(delta_, w.post_mlp_norm);
  }

  /// Index of layer l in the feeds' caches.
  int64_t slot(int64_t l) const { return only_layer_ == l ? 0 : l; }

  void project_rows(int64_t l) {
    const LayerWeights& w = model_.weights_.layers[l];
    input_ = add_and_norm(w.attention_norm, dtype_);
    qkv_ = linear(input_, w.qkv, w.qkv_bias);
    splits_.clear();
  }

  /// Moves the keys and values of feed f to where they are kept.
  void store(size_t f, const at::Tensor& keys, const at::Tensor& values) {
    Split& s = splits_[f];
    keys.copy_(s.k);
    values.copy_(s.v);
    s.k = keys;
    s.v = values;
  }

  at::Tensor buffer(int64_t rows, int64_t width) const { return at::empty({rows, width}, type_); }

  void embed() {
    at::Tensor ids = at::empty({rows_}, at::kLong);
    int64_t* p = ids.mutable_data_ptr<int64_t>();
    for (const Feed& feed : feeds_)
      for (int32_t id : feed.tokens) *p++ = id;
    residual_ = model_.weights_.embedding.index_select(0, ids).to(at::kFloat);
    if (spec_.embedding_scale != 1.0) {
      // The reference rounds the factor to the weights' dtype before it multiplies.
      const float factor =
          model_.dtype_ == DType::bf16
              ? static_cast<float>(at::BFloat16(static_cast<float>(spec_.embedding_scale)))
              : static_cast<float>(spec_.embedding_scale);
      residual_.mul_(factor);
    }
  }

  void prepare_ropes(std::span<const int64_t> first) {
    std::vector<int64_t> positions;
    for (size_t f = 0; f < feeds_.size(); ++f)
      for (size_t i = 0; i < feeds_[f].tokens.size(); ++i)
        positions.push_back(first[f] + static_cast<int64_t>(i));
    ropes_.resize(model_.frequencies_.size());
    for (int64_t l = 0; l < spec_.layer_count(); ++l)
      if (auto& rope = ropes_[model_.layer_rope_[l]]; !rope.first.defined())
        rope = model_.rope(l, positions);
  }

  /// residual += delta_, x = norm(residual): one pass.
  at::Tensor add_and_norm(const at::Tensor& weight, DType out_dtype) {
    at::Tensor out = at::empty_like(
        residual_, at::TensorOptions().dtype(out_dtype == DType::f32 ? at::kFloat : at::kBFloat16));
    AddNorm a{rows_,
              spec_.hidden,
              residual_.mutable_data_ptr<float>(),
              nullptr,
              weight.const_data_ptr<float>(),
              spec_.norm_plus_one ? 1.0F : 0.0F,
              static_cast<float>(spec_.norm_eps),
              out_dtype,
              out.mutable_data_ptr()};
    if (delta_.defined() && delta_.scalar_type() != out.scalar_type()) {
      residual_.add_(delta_);
      delta_.reset();
    }
    if (delta_.defined()) a.delta = delta_.const_data_ptr();
    add_norm(a);
    delta_.reset();
    return out;
  }

  at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) const {
    if (!few_) return linear_many_rows(x, weight, bias);
    at::Tensor out = buffer(rows_, weight.size(0));
    linear_rows({.dtype = model_.dtype_,
                 .weight = weight.const_data_ptr(),
                 .bias = bias.defined() ? bias.const_data_ptr() : nullptr,
                 .in_features = weight.size(1),
                 .out_features = weight.size(0),
                 .rows = rows_,
                 .x = x.const_data_ptr<float>(),
                 .out = out.mutable_data_ptr<float>()});
    return out;
  }

  at::Tensor mlp(const at::Tensor& x, const LayerWeights& w) const {
    at::Tensor act = buffer(rows_, spec_.intermediate);
    if (few_ && !w.gate_up_bias.defined()) {
      gated_rows({.dtype = model_.dtype_,
                  .weight = w.gate_up.const_data_ptr(),
                  .in_features = spec_.hidden,
                  .out_features = spec_.intermediate,
                  .rows = rows_,
                  .x = x.const_data_ptr<float>(),
                  .out = act.mutable_data_ptr<float>()},
                 spec_.activation);
    } else {
      const at::Tensor gate_up = linear(x, w.gate_up, w.gate_up_bias);
      gated_activation({rows_, spec_.intermediate, dtype_, gate_up.const_data_ptr(),
                        act.mutable_data_ptr(), spec_.activation});
    }
    return linear(act, w.down, w.down_bias);
  }

  /// Gemma's norm on a block's output before it joins the residual.
  at::Tensor sandwich(const at::Tensor& x, const at::Tensor& weight) const {
    at::Tensor f = x.to(at::kFloat, false, /*copy=*/true), out = at::empty_like(x);
    add_norm({rows_, spec_.hidden, f.mutable_data_ptr<float>(), nullptr,
              weight.const_data_ptr<float>(), spec_.norm_plus_one ? 1.0F : 0.0F,
              static_cast<float>(spec_.norm_eps), dtype_, out.mutable_data_ptr()});
    return out;
  }

  /// Rows of feed f of the fused projection to queries, keys and values; k and v may be given.
  Split split(int64_t l, size_t f, const at::Tensor& qkv, bool rotate, at::Tensor k,
              at::Tensor v) const {
    const LayerWeights& w = model_.weights_.layers[l];
    const auto n = static_cast<int64_t>(feeds_[f].tokens.size());
    const int64_t dim = spec_.head_dim;
    Split s{at::empty({spec_.query_heads, n, dim}, type_), std::move(k), std::move(v)};
    if (!s.k.defined()) s.k = at::empty({spec_.kv_heads, n, dim}, type_);
    if (!s.v.defined()) s.v = at::empty({spec_.kv_heads, n, dim}, type_);
    const auto& [cos, sin] = ropes_[model_.layer_rope_[l]];
    SplitRope a;
    a.rows = n;
    a.query_heads = spec_.query_heads;
    a.kv_heads = spec_.kv_heads;
    a.head_dim = dim;
    a.dtype = dtype_;
    a.qkv = static_cast<const char*>(qkv.const_data_ptr()) +
            starts_[f] * qkv.size(1) * qkv.element_size();
    a.cos = rotate ? cos.const_data_ptr<float>() + starts_[f] * (dim / 2) : nullptr;
    a.sin = rotate ? sin.const_data_ptr<float>() + starts_[f] * (dim / 2) : nullptr;
    if (spec_.qk_norm) {
      a.q_norm = w.q_norm.const_data_ptr<float>();
      a.k_norm = w.k_norm.const_data_ptr<float>();
      a.norm_offset = spec_.norm_plus_one ? 1.0F : 0.0F;
      a.norm_eps = static_cast<float>(spec_.norm_eps);
    }
    a.q = s.q.mutable_data_ptr();
    a.q_head_stride = n * dim;
    a.q_row_stride = dim;
    a.k = s.k.mutable_data_ptr();
    a.v = s.v.mutable_data_ptr();
    a.kv_head_stride = s.k.stride(0);
    a.kv_row_stride = dim;
    split_rope(a);
    return s;
  }

  /// Where the new rows of a feed are stored: behind the tail, or for rings, layers with streaming
  /// heads and layers that are folded in tensors of their own.
  std::pair<at::Tensor, at::Tensor> storage(int64_t l, size_t f) {
    const auto n = static_cast<int64_t>(feeds_[f].tokens.size());
    LayerCache& cache = feeds_[f].cache->layer_for_append(slot(l));
    if (cache.kind.type == LayerKind::Type::full && !cache.stream.active() &&
        options_.fold == nullptr)
      return {cache.tail.keys.narrow(1, cache.tail.length, n),
              cache.tail.values.narrow(1, cache.tail.length, n)};
    const auto type = model_.dtype_ == DType::f32 ? at::kFloat : at::kBFloat16;
    auto& rows = ring_rows_[f][slot(l)];
    rows = {at::empty({spec_.kv_heads, n, spec_.head_dim}, type),
            at::empty({spec_.kv_heads, n, spec_.head_dim}, type)};
    return rows;
  }

  void attend_feed(int64_t l, size_t f, const at::Tensor& attention, bool output_needed) {
    const Feed& feed = feeds_[f];
    const auto n = static_cast<int64_t>(feed.tokens.size());
    const uint32_t needs =
        feed.probe != nullptr ? feed.probe->needs(l) : static_cast<uint32_t>(kProbeSkip);
    const bool probed = (needs & kProbeSkip) == 0;
    const Split& s = splits_[f];
    const LayerCache& cache = feed.cache->layer(slot(l));
    const AttentionInput in{&cache, s.q, s.k, s.v, spec_.softmax_scale};
    const at::Tensor out = attention.narrow(0, starts_[f], n);
    at::Tensor lse;
    at::Tensor* want_lse = probed && (needs & kProbeLse) != 0 ? &lse : nullptr;
    if (output_needed || (probed && (needs & (kProbeAttention | kProbeLse)) != 0))
      attend_any(in, out, want_lse, feed.cache->logical_length());
    LayerSignals signals{l,  feed.cache->logical_length(), &cache, {}, {}, s.k, s.v, {}, {}, {},
                         lse};
    if (probed) probe_feed(f, needs, out, signals);
    if (options_.fold != nullptr && cache.kind.type == LayerKind::Type::full) fold(signals, s.q);
  }

  /// The layer gives up what it does not keep before the next one runs.
  void fold(LayerSignals signals, const at::Tensor& queries) {
    signals.queries = queries;
    const LayerFold::Result r = options_.fold->fold(signals);
    feeds_[0].cache->fold_layer(folded_, signals.layer, r.segment, signals.keys, signals.values,
                                r.working_bytes);
    ring_rows_[0][signals.layer] = {};
  }

  void probe_feed(size_t f, uint32_t needs, const at::Tensor& out, LayerSignals& signals) {
    const Feed& feed = feeds_[f];
    const auto n = static_cast<int64_t>(feed.tokens.size());
    const int64_t l = signals.layer;
    if ((needs & kProbeHidden) != 0) signals.hidden = input_.narrow(0, starts_[f], n);
    if ((needs & kProbeQueries) != 0) signals.queries = splits_[f].q;
    if ((needs & kProbeAttention) != 0) signals.attention = out;
    if ((needs & kProbePreRope) != 0) {
      const Split plain = split(l, f, qkv_, false, {}, {});
      signals.queries_pre_rope = plain.q;
      signals.keys_pre_rope = plain.k;
    }
    feed.probe->on_layer(signals);
  }

  /// Streaming heads and the others attend apart; each group is a layer of its own.
  void attend_any(const AttentionInput& in, const at::Tensor& out, at::Tensor* lse,
                  int64_t position) const {
    if (!in.cache->stream.active()) return attend_rows(in, out, lse);
    attention_by_groups(in, position, out, lse,
                        [&](const AttentionInput& group, const at::Tensor& part,
                            at::Tensor* part_lse) { attend_rows(group, part, part_lse); });
  }

  void attend_rows(const AttentionInput& in, const at::Tensor& out, at::Tensor* lse) const {
    if (in.queries.size(1) == 1 && !in.mask.defined()) {
      if (in.queries.scalar_type() == at::kFloat) return attention_one(in, out, lse);
      AttentionInput f = in;
      f.queries = in.queries.to(at::kFloat);
      const at::Tensor wide = at::empty({1, out.size(1)}, at::kFloat);
      attention_one(f, wide, lse);
      out.copy_(wide);
      return;
    }
    if (in.queries.scalar_type() == in.keys.scalar_type()) return attention_wide(in, out, lse);
    AttentionInput b = in;
    b.queries = in.queries.to(in.keys.scalar_type());
    const at::Tensor narrow = at::empty_like(out, out.options().dtype(in.keys.scalar_type()));
    attention_wide(b, narrow, lse);
    out.copy_(narrow);
  }

  ForwardResult finish() {
    ForwardResult result;
    if (options_.logits == LogitsWanted::none && !options_.hidden) return result;
    if (delta_.defined()) residual_.add_(delta_);
    delta_.reset();
    if (options_.logits == LogitsWanted::last) {
      at::Tensor index = at::empty({static_cast<int64_t>(feeds_.size())}, at::kLong);
      for (size_t f = 0; f < feeds_.size(); ++f)
        index.mutable_data_ptr<int64_t>()[f] = (f + 1 < feeds_.size() ? starts_[f + 1] : rows_) - 1;
      residual_ = residual_.index_select(0, index);
      rows_ = residual_.size(0);
    }
    result.hidden = add_and_norm(model_.weights_.final_norm, DType::f32);
    if (options_.logits != LogitsWanted::none) result.logits = model_.head_logits(result.hidden);
    if (!options_.hidden) result.hidden.reset();
    return result;
  }

  const Model& model_;
  const ModelSpec& spec_;
  std::vector<Feed> feeds_;
  ForwardOptions options_;
  int64_t only_layer_ = -1;  ///< the caches hold this layer alone; -1 = all
  std::vector<int64_t> starts_;
  int64_t rows_ = 0;
  bool few_ = false;
  DType dtype_ = DType::bf16;  ///< of activations
  at::ScalarType type_ = at::kBFloat16;
  at::Tensor residual_;     ///< [rows, hidden] f32
  at::Tensor delta_;        ///< what the last block adds to it
  at::Tensor input_, qkv_;  ///< of the layer at hand, between project() and attend()
  std::vector<Split> splits_;
  at::Tensor apart_;  ///< attention of attend_apart(), its log masses by feed
  std::vector<at::Tensor> apart_lse_;
  std::vector<std::pair<at::Tensor, at::Tensor>> ropes_;
  std::vector<std::vector<std::pair<at::Tensor, at::Tensor>>> ring_rows_;
  KvCache::Fold folded_;
};

}  // namespace limbeck
