#include "limbeck/compact/fit/omp.h"

#include "limbeck/compact/fit/growing_cholesky.h"
#include "limbeck/compact/fit/warm_nnls.h"
#include "limbeck/model/kernels/feature_rows.h"
#include "limbeck/model/kernels/float_products.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace limbeck {
namespace {

using Slots = std::vector<int32_t>;

at::Tensor index_of(const Slots& slots) {
  return at::tensor(std::vector<int64_t>(slots.begin(), slots.end()), at::kLong);
}
at::Tensor tensor_of(const std::vector<double>& x) { return at::tensor(x, at::kDouble); }

/// Features F [T, n] f32, one slot a row, and what f64 sums over their columns tell.
class FeatureRows {
 public:
  explicit FeatureRows(const at::Tensor& features) : depth_(features.size(1)) {
    for (int64_t i = 0; i < features.size(0); ++i)
      rows_.push_back(features.const_data_ptr<float>() + i * depth_);
  }
  const float* row(int32_t slot) const { return rows_[slot]; }

  /// F_S y for y [n] f64, of some slots.
  at::Tensor times(const Slots& set, const at::Tensor& y) const {
    std::vector<const float*> rows;
    for (const int32_t slot : set) rows.push_back(rows_[slot]);
    const auto count = static_cast<int64_t>(rows.size());
    at::Tensor out = at::empty({count}, at::kDouble);
    float_dots(rows.data(), count, y.const_data_ptr<double>(), depth_,
               out.mutable_data_ptr<double>());
    return out;
  }
  /// x - F_S' w [n] for the first w.size(0) slots of a set.
  at::Tensor less(const at::Tensor& x, const Slots& set, const at::Tensor& w) const {
    at::Tensor out = x.clone();
    std::vector<const float*> rows;
    for (int64_t i = 0; i < w.size(0); ++i) rows.push_back(rows_[set[i]]);
    float_rest({rows.data(), w.const_data_ptr<double>(), w.size(0), depth_,
                out.mutable_data_ptr<double>()});
    return out;
  }
  /// [x, y] f64.
  at::Tensor products(const std::vector<const float*>& x,
                      const std::vector<const float*>& y) const {
    const auto rows = static_cast<int64_t>(x.size()), count = static_cast<int64_t>(y.size());
    at::Tensor out = at::empty({rows, count}, at::kDouble);
    float_dots({x.data(), rows, y.data(), count, depth_, out.mutable_data_ptr<double>()});
    return out;
  }

 private:
  int64_t depth_;
  std::vector<const float*> rows_;
};

/// F_S F_S' in f64 for the slots S ever added: each costs a pass over the rows of those before it,
/// eight together hardly more than one.
class ChosenGram {
 public:
  explicit ChosenGram(const FeatureRows& features, int64_t slots)
      : features_(features), places_(slots, -1) {}

  void add(const Slots& slots) {
    std::vector<const float*> fresh;
    const auto take = [&] {
      const at::Tensor p = features_.products(added_, fresh);  // [added, fresh]
      const double* from = p.const_data_ptr<double>();
      const size_t count = fresh.size(), first = added_.size() - count;
      for (size_t j = 0; j < count; ++j) {
        std::vector<double>& row = rows_.emplace_back(first + j + 1);
        for (size_t i = 0; i < row.size(); ++i) row[i] = from[i * count + j];
      }
      fresh.clear();
    };
    for (const int32_t slot : slots) {
      if (places_[slot] >= 0) continue;
      places_[slot] = static_cast<int64_t>(added_.size());
      added_.push_back(features_.row(slot));
      fresh.push_back(added_.back());
      if (fresh.size() == kFloatDots) take();
    }
    if (!fresh.empty()) take();
  }
  /// Of two slots that were added.
  double product(int32_t a, int32_t b) const {
    const auto [low, high] = std::minmax(places_[a], places_[b]);
    return rows_[high][low];
  }

 private:
  const FeatureRows& features_;
  std::vector<int64_t> places_;  ///< of each slot in added_, or -1
  std::vector<const float*> added_;
  std::vector<std::vector<double>> rows_;  ///< row i: products with added_[0 .. i]
};

/// The slots of highest gain F_j r while r [n] moves: a gain is computed again only where it may
/// have become one of the highest. Features are not negative, so F_j (r' - r) is at most the sum
/// over runs of queries of ||F_j|| times the norm of what r gained there.
class LazyGains {
 public:
  LazyGains(const FeatureRows& rows, const at::Tensor& features, const at::Tensor& residual)
      : rows_(rows), residual_(residual) {
    const int64_t size = features.size(0), n = features.size(1);
    const int64_t runs = (n + kRun - 1) / kRun;
    norms_ = at::empty({size, runs}, at::kFloat);
    for (int64_t j = 0; j < size; ++j) {
      const float* f = rows.row(static_cast<int32_t>(j));
      float* to = norms_.mutable_data_ptr<float>() + j * runs;
      for (int64_t b = 0; b < runs; ++b) {
        double sum[4] = {};
        for (int64_t l = b * kRun; l < std::min(n, (b + 1) * kRun); ++l)
          sum[l % 4] += static_cast<double>(f[l]) * f[l];
        to[b] = static_cast<float>(std::sqrt((sum[0] + sum[1]) + (sum[2] + sum[3])));
      }
    }
    norms_.mul_(1.01);  // products of f32 may run on operands in bf16
    slack_ = 1e-11 * residual.norm().item<double>();
    bounds_ = at::empty({size}, at::kDouble);
    fresh_.resize(size);
    Slots all(size);
    std::iota(all.begin(), all.end(), 0);
    compute(all);
    first_ = bounds_.clone();
  }
  /// [T] F r for the r of the start.
  at::Tensor first() const { return first_; }

  void move(const at::Tensor& residual) {
    const at::Tensor gained = (residual - residual_).clamp_min_(0.0);
    residual_ = residual;
    const double* g = gained.const_data_ptr<double>();
    const int64_t n = gained.size(0), runs = norms_.size(1);
    at::Tensor way = at::empty({runs}, at::kFloat);
    float* to = way.mutable_data_ptr<float>();
    for (int64_t b = 0; b < runs; ++b) {
      double sum = 0;
      for (int64_t l = b * kRun; l < std::min(n, (b + 1) * kRun); ++l) sum += g[l] * g[l];
      to[b] = static_cast<float>(std::sqrt(sum) + slack_);
    }
    bounds_.add_(at::mv(norms_, way));
    std::fill(fresh_.begin(), fresh_.end(), uint8_t{0});
  }
  /// The n best of those that are not gone, the lower slot among equals; fewer where there are
  /// fewer.
  Slots best(int64_t n, const std::vector<uint8_t>& gone) {
    Slots open;
    for (size_t j = 0; j < gone.size(); ++j)
      if (gone[j] == 0) open.push_back(static_cast<int32_t>(j));
    n = std::min(n, static_cast<int64_t>(open.size()));
    for (int64_t batch = std::max<int64_t>(64, 2 * n);; batch *= 2) {
      const double* bound = bounds_.const_data_ptr<double>();
      const int64_t front = std::min(batch, static_cast<int64_t>(open.size()));
      std::partial_sort(open.begin(), open.begin() + front, open.end(), [&](int32_t a, int32_t b) {
        return bound[a] != bound[b] ? bound[a] > bound[b] : a < b;
      });
      const auto old = [&](int32_t j) { return fresh_[j] == 0; };
      if (std::none_of(open.begin(), open.begin() + n, old)) break;
      Slots again;
      std::copy_if(open.begin(), open.begin() + front, std::back_inserter(again), old);
      compute(again);
    }
    open.resize(n);
    return open;
  }

 private:
  static constexpr int64_t kRun = 16;  // longer ones are cheaper and bound less well

  void compute(const Slots& slots) {
    const at::Tensor gains = rows_.times(slots, residual_);
    double* bound = bounds_.mutable_data_ptr<double>();
    for (size_t i = 0; i < slots.size(); ++i) {
      bound[slots[i]] = gains.const_data_ptr<double>()[i];
      fresh_[slots[i]] = 1;
    }
  }

  const FeatureRows& rows_;
  at::Tensor residual_, norms_;  ///< norms_ [T, runs]
  at::Tensor bounds_, first_;    ///< bounds_ [T]: no gain is higher
  std::vector<uint8_t> fresh_;   ///< bounds that are the gain itself
  double slack_ = 0;
};

/// Least squares of the target on the features of a set that mostly grows, from its Gram.
class GrowingFit {
 public:
  GrowingFit(const at::Tensor& features, const at::Tensor& target, const LiteralWeights& options)
      : features_(features),
        target_(target),
        options_(options),
        rows_(features),
        gram_(rows_, features.size(0)),
        gains_(rows_, features, target),
        sums_(gains_.first()) {}

  at::Tensor weights(const Slots& set) {
    fresh_ = true;
    const bool independent = extend(set);
    if (options_.iterations > 0 || !independent)
      return literal_weights_plain(features_.index_select(0, index_of(set)).to(at::kDouble).t(),
                                   target_, options_);
    return tensor_of(cholesky_.solution()).clamp_(options_.low, options_.high);
  }
  Slots best(const Slots& set, const at::Tensor& w, int64_t n, const std::vector<uint8_t>& gone) {
    // What is not fitted yet has the least weight: at the published 1e-12 no gain moves by a
    // rounding of it, and the gains before the fit serve on.
    const bool counts = options_.low > 1e-12;
    if (fresh_ || counts)
      gains_.move(rows_.less(target_, set,
                             counts ? w : w.narrow(0, 0, static_cast<int64_t>(known_.size()))));
    fresh_ = false;
    return gains_.best(n, gone);
  }

 private:
  /// False when the set's features are dependent to working precision.
  bool extend(const Slots& set) {
    size_t same = 0;
    while (same < known_.size() && same < set.size() && known_[same] == set[same]) ++same;
    same = std::min(same, static_cast<size_t>(cholesky_.size()));
    cholesky_.truncate(static_cast<int64_t>(same));
    known_ = set;
    gram_.add(set);
    const double* sums = sums_.const_data_ptr<double>();
    constexpr size_t kRows = 64;  // a pass over the factor for so many
    for (size_t k = same; k < set.size(); k += kRows) {
      const size_t end = std::min(set.size(), k + kRows);
      const auto rows = static_cast<int64_t>(end - k), width = static_cast<int64_t>(end);
      at::Tensor products = at::zeros({rows, width}, at::kDouble);
      double* p = products.mutable_data_ptr<double>();
      std::vector<double> right;
      for (size_t i = k; i < end; ++i, p += width) {
        for (size_t j = 0; j <= i; ++j) p[j] = gram_.product(set[i], set[j]);
        right.push_back(sums[set[i]]);
      }
      if (!cholesky_.add(products, right, 1e-10)) return false;
    }
    return true;
  }

  at::Tensor features_, target_;
  LiteralWeights options_;
  FeatureRows rows_;
  ChosenGram gram_;
  LazyGains gains_;
  at::Tensor sums_;     ///< F target
  bool fresh_ = false;  ///< weights that the gains do not know yet
  Slots known_;
  GrowingCholesky cholesky_;
};

/// The same from the start each time, in f64.
class PlainFit {
 public:
  PlainFit(const at::Tensor& features, const at::Tensor& target, const LiteralWeights& options)
      : features_(features.to(at::kDouble)), target_(target), options_(options) {}
  at::Tensor weights(const Slots& set) const {
    return literal_weights_plain(columns(set), target_, options_);
  }
  Slots best(const Slots& set, const at::Tensor& w, int64_t n,
             const std::vector<uint8_t>& gone) const {
    const at::Tensor gains =
        at::mv(features_, set.empty() ? target_ : target_ - at::mv(columns(set), w));
    const double* gain = gains.const_data_ptr<double>();
    Slots open;
    for (size_t j = 0; j < gone.size(); ++j)
      if (gone[j] == 0) open.push_back(static_cast<int32_t>(j));
    std::stable_sort(open.begin(), open.end(),
                     [&](int32_t a, int32_t b) { return gain[a] > gain[b]; });
    open.resize(std::min(open.size(), static_cast<size_t>(n)));
    return open;
  }

 private:
  at::Tensor columns(const Slots& set) const {
    return features_.index_select(0, index_of(set)).t();
  }
  at::Tensor features_, target_;
  LiteralWeights options_;
};

/// [n] f64 of [T, n], 32 rows at a time in their own type: torch's sum of f32 rows in f64 takes ten
/// times as long.
at::Tensor column_sums(const at::Tensor& features) {
  constexpr int64_t kRows = 32;
  at::Tensor sum = at::zeros({features.size(1)}, at::kDouble);
  for (int64_t i = 0; i < features.size(0); i += kRows)
    sum.add_(features.narrow(0, i, std::min(kRows, features.size(0) - i)).sum(0));
  return sum;
}

template <class Fit>
Slots pursue(const at::Tensor& features, const OmpOptions& o) {
  const int64_t size = features.size(0), limit = std::min(o.limit, size);
  const at::Tensor target = column_sums(features);
  Fit fit(features, target, o.weights);
  Slots set;
  // Taken, banned, or read by nobody: a gain of 0 must not win where all others are negative.
  std::vector<uint8_t> gone(size, 0);
  const at::Tensor top = features.amax(1).to(at::kFloat);
  for (int64_t j = 0; j < size; ++j)
    gone[j] = static_cast<uint8_t>(!(top.const_data_ptr<float>()[j] > 0));
  at::Tensor w = at::empty({0}, at::kDouble);
  int64_t step = 0;
  for (int drops = 0;; ++drops) {
    while (static_cast<int64_t>(set.size()) < limit) {
      const auto pace = std::find_if(o.pace.begin(), o.pace.end(), [&](const OmpPace& p) {
        return static_cast<int64_t>(set.size()) < p.below;
      });
      const int64_t take = pace == o.pace.end() ? o.pace.back().take : pace->take;
      const int64_t interval = pace == o.pace.end() ? o.pace.back().interval : pace->interval;
      const Slots picks =
          fit.best(set, w, std::min(take, limit - static_cast<int64_t>(set.size())), gone);
      if (picks.empty()) break;
      for (const int32_t slot : picks) {
        set.push_back(slot);
        gone[slot] = 1;
      }
      w = step % interval == 0 ? fit.weights(set)
                               : at::cat({w, at::full({static_cast<int64_t>(picks.size())},
                                                      o.weights.low, at::kDouble)});
      ++step;
    }
    if (set.empty()) break;
    w = fit.weights(set);
    if (!o.drop || drops == 3) break;
    Slots kept;
    for (size_t i = 0; i < set.size(); ++i)
      if (std::log(w[static_cast<int64_t>(i)].item<double>()) >= o.drop_cutoff)
        kept.push_back(set[i]);
    if (kept.size() == set.size() || kept.empty()) break;
    set = std::move(kept);
    w = fit.weights(set);
  }
  return set;
}

/// Slots that nobody reads count as taken.
std::vector<uint8_t> unread(const at::Tensor& g) {
  const at::Tensor diagonal = g.diagonal().to(at::kDouble).contiguous();
  std::vector<uint8_t> out;
  for (int64_t j = 0; j < g.size(0); ++j)
    out.push_back(static_cast<uint8_t>(!(diagonal.const_data_ptr<double>()[j] > 0)));
  return out;
}

/// -1 where all are taken.
int64_t largest_left(const at::Tensor& c, const std::vector<uint8_t>& taken) {
  const double* gain = c.const_data_ptr<double>();
  int64_t best = -1;
  for (size_t j = 0; j < taken.size(); ++j)
    if (taken[j] == 0 && (best < 0 || gain[j] > gain[best])) best = static_cast<int64_t>(j);
  return best;
}

}  // namespace

at::Tensor max_features(const HeadProblem& p, at::Tensor* found) {
  at::Tensor s = at::mm(p.keys, p.queries.t());  // [T, n]
  at::Tensor top = p.top;
  if (!top.defined())
    top = p.bias.defined() ? at::mul(s, p.scale).add_(p.bias.unsqueeze(1)).amax(0)
                           : s.amax(0) * p.scale;
  // Finite, also where nobody reads a slot or a query reads nothing.
  at::Tensor column = top.clamp_min(-1e30).neg();
  if (p.weights.defined()) column = column + 0.5 * p.weights.log().clamp_min(-1e30);
  column = column.contiguous();
  const at::Tensor ones = at::ones({s.size(0)}, at::kFloat);
  const at::Tensor shift = p.bias.defined() ? p.bias.neg().clamp_max(1e30).contiguous()
                                            : at::zeros({s.size(0)}, at::kFloat);
  at::Tensor squares = at::empty({s.size(1)}, at::kDouble);
  weigh_features({s.size(0), s.size(1), s.mutable_data_ptr<float>(), static_cast<float>(p.scale),
                  column.const_data_ptr<float>(), shift.const_data_ptr<float>(),
                  ones.const_data_ptr<float>(), squares.mutable_data_ptr<double>()});
  if (found != nullptr) *found = top;
  return s;
}

PublishedTargets targets_of_features(const HeadProblem& p, const at::Tensor& features,
                                     const at::Tensor& top) {
  const at::Tensor sums = column_sums(features).to(at::kFloat);
  PublishedTargets out;
  out.top = top;
  out.mass = p.weights.defined() ? sums / p.weights.sqrt() : sums;
  out.lse = top + out.mass.log();
  out.outputs =
      p.outputs.defined() ? p.outputs : at::mm(features.t(), p.values).div_(sums.unsqueeze(1));
  return out;
}

at::Tensor max_features_plain(const HeadProblem& p) {
  at::Tensor s = at::mm(p.keys.to(at::kDouble), p.queries.to(at::kDouble).t()) * p.scale;
  if (p.bias.defined()) s = s + p.bias.unsqueeze(1);
  s = at::exp(s - s.amax(0, true));
  return p.weights.defined() ? s * p.weights.to(at::kDouble).sqrt() : s;
}

Slots omp_select(const at::Tensor& features, const OmpOptions& options) {
  return pursue<GrowingFit>(features.to(at::kFloat).contiguous(), options);
}

Slots omp_select_plain(const at::Tensor& features, const OmpOptions& options) {
  return pursue<PlainFit>(features.to(at::kDouble), options);
}

Slots gomp(const at::Tensor& g, int64_t limit) {
  WarmNnls fit(g);
  Slots order;
  std::vector<uint8_t> taken = unread(g);
  while (static_cast<int64_t>(order.size()) < std::min(limit, g.size(0))) {
    const int64_t best = largest_left(fit.unexplained(), taken);
    if (best < 0) break;
    taken[best] = 1;
    order.push_back(static_cast<int32_t>(best));
    fit.add(order.back());
  }
  return order;
}

Slots gomp_plain(const at::Tensor& g, int64_t limit) {
  const at::Tensor full = g.to(at::kDouble), sums = full.sum(1);
  at::Tensor c = sums.clone();
  Slots order;
  std::vector<uint8_t> taken = unread(g);
  while (static_cast<int64_t>(order.size()) < std::min(limit, g.size(0))) {
    const int64_t best = largest_left(c, taken);
    if (best < 0) break;
    taken[best] = 1;
    order.push_back(static_cast<int32_t>(best));
    const at::Tensor index = index_of(order);
    const at::Tensor rows = full.index_select(0, index);
    c = sums -
        at::mv(rows.t(), nnls_gram(rows.index_select(1, index), sums.index_select(0, index)));
  }
  return order;
}

}  // namespace limbeck
