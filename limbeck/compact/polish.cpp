#include "limbeck/compact/polish.h"

#include "limbeck/base/error.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <cmath>

namespace limbeck {
namespace {

/// One tensor under Adam (betas .9 and .99).
struct Parameter {
  at::Tensor value, first, second;  ///< f32
  double rate = 0;
  Parameter() = default;
  Parameter(const at::Tensor& start, double rate_)
      : value(start.detach().to(at::kFloat).clone().requires_grad_(true)),
        first(at::zeros_like(value)),
        second(at::zeros_like(value)),
        rate(rate_) {}
  /// `open` [n] f32: 0 = stays as it is.
  void step(int64_t t, double factor, const at::Tensor& open) {
    if (!value.grad().defined()) return;
    const c10::NoGradGuard guard;
    const at::Tensor g = value.grad() * (value.dim() == 1 ? open : open.unsqueeze(1));
    first.mul_(0.9).add_(g, 0.1);
    second.mul_(0.99).addcmul_(g, g, 0.01);
    const auto n = static_cast<double>(t);
    const at::Tensor m = first / (1 - std::pow(0.9, n)), v = second / (1 - std::pow(0.99, n));
    value.sub_(m / (v.sqrt() + 1e-8), rate * factor);
    value.mutable_grad().reset();
  }
};

struct LayerParameters {
  Parameter bias, values;
  at::Tensor open = {};                         ///< [n] f32: 0 = of a slot that is kept verbatim
  at::Tensor best_bias = {}, best_values = {};  ///< copies of those that had the lowest loss so far
};

class Polish {
 public:
  Polish(const Model& model, const KvCache& full, const KvCache& compacted, int64_t segment,
         std::span<const ReferenceSuffix> suffixes, const PolishOptions& options)
      : model_(model),
        full_(full),
        compacted_(compacted),
        segment_(segment),
        suffixes_(suffixes),
        options_(options),
        layers_(compacted.shape().layer_count()) {
    for (size_t l = 0; l < layers_.size(); ++l) {
      if (!is_full(l)) continue;
      const LayerSegment& s = *compacted.layer(static_cast<int64_t>(l)).segments[segment];
      const at::Tensor bias =
          s.bias.defined() ? s.bias : at::zeros({s.slots()}, at::TensorOptions(at::kFloat));
      const double rms =
          s.slots() > 0 ? s.values.to(at::kFloat).square().mean().sqrt().item<double>() : 1.0;
      layers_[l] = {Parameter(bias, options.bias_rate),
                    Parameter(s.values, options.value_rate * rms), open_slots(s)};
    }
  }

  void remember() {
    for (LayerParameters& layer : layers_) {
      if (!layer.bias.value.defined()) continue;
      layer.best_bias = layer.bias.value.detach().clone();
      layer.best_values = layer.values.value.detach().clone();
    }
  }

  void recall() {
    const c10::NoGradGuard guard;
    for (LayerParameters& layer : layers_) {
      if (!layer.bias.value.defined()) continue;
      layer.bias.value.copy_(layer.best_bias);
      layer.values.value.copy_(layer.best_values);
    }
  }

  /// The loss with the parameters as they stand; with `learn` its gradients are left for update().
  double loss(bool learn) {
    double sum = 0, weights = 0;
    for (size_t s = 0; s < suffixes_.size(); ++s) {
      // What the suffix sees of itself comes from the compact cache, block by block.
      KvCache read = with_parameters(false);
      const KvCache graph_source = with_parameters(true);
      const std::vector<int32_t>& tokens = suffixes_[s].tokens;
      const auto n = static_cast<int64_t>(tokens.size());
      for (int64_t at = 0; at < n; at += options_.block) {
        const auto block =
            std::span<const int32_t>(tokens).subspan(at, std::min<int64_t>(options_.block, n - at));
        const at::Tensor target = targets(s, at, block);
        KvCache context = at == 0 ? graph_source.clone() : with_rows(read, graph_source);
        const c10::AutoGradMode guard(true);
        ForwardOptions all;
        all.logits = LogitsWanted::all;
        const at::Tensor logits = model_.forward_differentiable(context, block, all).logits;
        const at::Tensor kl = divergence(target, logits);
        const double weight = suffixes_[s].weight / static_cast<double>(n);
        if (learn) (kl * weight).backward();
        sum += weight * kl.detach().item<double>();
        ForwardOptions none;
        none.logits = LogitsWanted::none;
        if (at + options_.block < n) model_.forward(read, block, none);
      }
      weights += suffixes_[s].weight;
    }
    return sum / weights;
  }

  void update(int64_t t) {
    const double factor = 1.0 - 0.8 * static_cast<double>(t - 1) /
                                    static_cast<double>(std::max<int64_t>(1, options_.steps - 1));
    for (LayerParameters& layer : layers_) {
      if (!layer.bias.value.defined()) continue;
      layer.bias.step(t, factor, layer.open);
      layer.values.step(t, factor, layer.open);
    }
  }

  /// The compacted cache with the parameters in place; differentiable or detached and rounded.
  KvCache with_parameters(bool graph) const {
    const c10::AutoGradMode guard(graph);
    KvCache out = compacted_.clone();
    KvCache::NewSegment fresh{compacted_.segments()[segment_], {}};
    for (size_t l = 0; l < layers_.size(); ++l) {
      if (!is_full(l)) {
        fresh.layers.push_back(nullptr);
        continue;
      }
      LayerSegment s = *compacted_.layer(static_cast<int64_t>(l)).segments[segment_];
      const at::Tensor bias = layers_[l].bias.value, values = layers_[l].values.value;
      const auto type = s.values.scalar_type();
      s.bias = graph ? bias : bias.detach().clone();
      s.values = graph ? values.to(type) : values.detach().to(type, false, true);
      fresh.layers.push_back(std::make_shared<LayerSegment>(std::move(s)));
    }
    out.replace_segments(segment_, segment_ + 1, {std::move(fresh)});
    return out;
  }

 private:
  at::Tensor open_slots(const LayerSegment& s) const {
    at::Tensor open = at::ones({s.slots()}, at::kFloat);
    for (const auto& ranges : {options_.verbatim, compacted_.protected_ranges()})
      for (const PositionRange& r : ranges)
        open.masked_fill_(s.positions.ge(r.begin).logical_and_(s.positions.lt(r.end)), 0.0);
    return open;
  }

  static at::Tensor divergence(const at::Tensor& target, const at::Tensor& logits) {
    const at::Tensor terms = target.exp() * (target - at::log_softmax(logits, -1));
    return at::where(target.isneginf(), 0.0, terms).sum();  // 0 log 0
  }

  bool is_full(size_t l) const {
    return compacted_.layer(static_cast<int64_t>(l)).kind.type == LayerKind::Type::full;
  }

  /// `read` with the differentiable segment in the place of its detached one.
  KvCache with_rows(const KvCache& read, const KvCache& graph) const {
    KvCache out = read.clone();
    KvCache::NewSegment fresh{graph.segments()[segment_], {}};
    for (size_t l = 0; l < layers_.size(); ++l)
      fresh.layers.push_back(is_full(l) ? graph.layer(static_cast<int64_t>(l)).segments[segment_]
                                        : nullptr);
    out.replace_segments(segment_, segment_ + 1, {std::move(fresh)});
    return out;
  }

  /// Log-probabilities with the full cache, computed once and kept in half precision.
  at::Tensor targets(size_t suffix, int64_t at, std::span<const int32_t> block) {
    const auto key = std::pair(suffix, at);
    if (auto known = targets_.find(key); known != targets_.end())
      return known->second.to(at::kFloat);
    if (at == 0) behind_full_ = full_.clone();
    ForwardOptions all;
    all.logits = LogitsWanted::all;
    const at::Tensor p = at::log_softmax(model_.forward(*behind_full_, block, all).logits, -1);
    return (targets_[key] = p.to(at::kHalf)).to(at::kFloat);  // every step against the same numbers
  }

  const Model& model_;
  const KvCache& full_;
  const KvCache& compacted_;
  int64_t segment_;
  std::span<const ReferenceSuffix> suffixes_;
  PolishOptions options_;
  std::vector<LayerParameters> layers_;
  std::map<std::pair<size_t, int64_t>, at::Tensor> targets_;
  std::optional<KvCache> behind_full_;
};

}  // namespace

PolishReport polish(const Model& model, const KvCache& full, KvCache& compacted, int64_t segment,
                    std::span<const ReferenceSuffix> suffixes, const PolishOptions& options,
                    const ProgressFn& progress) {
  if (options.steps < 1 || options.block < 1)
    throw InvalidArgument("[polish] steps and block must be at least 1; found {} and {}",
                          options.steps, options.block);
  std::vector<ReferenceSuffix> behind;
  for (const ReferenceSuffix& s : suffixes)
    if (!s.in_place) behind.push_back(s);
  if (behind.empty()) throw InvalidArgument("[polish] there is no suffix to learn from");
  Polish p(model, full, compacted, segment, behind, options);
  PolishReport report;
  for (int64_t t = 1; t <= options.steps + 1; ++t) {
    const bool last = t > options.steps;
    const double loss = p.loss(/*learn=*/!last);
    if (!std::isfinite(loss)) {
      if (t == 1) throw NumericalError("[polish] the loss is not finite before the first step");
      report.diverged_at = t - 1;
      break;
    }
    if (t == 1) report.before = loss;
    if (t == 1 || loss < report.after) {
      report.after = loss;
      p.remember();
    }
    if (last) break;
    p.update(t);
    report_progress(progress, {"polish", "steps", t, options.steps});
  }
  p.recall();
  compacted = p.with_parameters(false);
  return report;
}

}  // namespace limbeck
