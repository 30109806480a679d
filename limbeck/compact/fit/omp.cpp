#include "limbeck/compact/fit/omp.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

namespace limbeck {
namespace {

/// Least squares on a growing set of columns: Gram and its Cholesky factor gain a row a column.
class GrowingLeastSquares {
 public:
  GrowingLeastSquares(const at::Tensor& phi, const at::Tensor& target)
      : transposed_(phi.t().contiguous()), target_(target) {}

  at::Tensor solve(const std::vector<int32_t>& set, const LiteralWeights& options) {
    if (options.iterations > 0 || !extend(set)) return plain(set, options);
    const auto t = static_cast<int64_t>(set.size());
    const at::Tensor l = l_.narrow(0, 0, t).narrow(1, 0, t);
    return at::cholesky_solve(rhs_.narrow(0, 0, t).unsqueeze(1), l)
        .squeeze(1)
        .clamp_(options.low, options.high);
  }
  at::Tensor columns(const std::vector<int32_t>& set) const {
    return transposed_.index_select(
        0, at::tensor(std::vector<int64_t>(set.begin(), set.end()), at::kLong));
  }

 private:
  at::Tensor plain(const std::vector<int32_t>& set, const LiteralWeights& options) const {
    return literal_weights(columns(set).t(), target_, options);
  }

  /// False when the set's Gram matrix is singular to working precision.
  bool extend(const std::vector<int32_t>& set) {
    size_t same = 0;
    while (same < known_.size() && same < set.size() && known_[same] == set[same]) ++same;
    known_.resize(same);
    const auto t = static_cast<int64_t>(set.size());
    if (!l_.defined() || l_.size(0) < t) {
      const int64_t size = std::max<int64_t>(2 * t, 64);
      at::Tensor l = at::zeros({size, size}, at::kDouble), rhs = at::zeros({size}, at::kDouble);
      at::Tensor c = at::empty({size, transposed_.size(1)}, at::kDouble);
      const auto k = static_cast<int64_t>(same);
      if (k > 0) {
        l.narrow(0, 0, k).narrow(1, 0, k).copy_(l_.narrow(0, 0, k).narrow(1, 0, k));
        rhs.narrow(0, 0, k).copy_(rhs_.narrow(0, 0, k));
        c.narrow(0, 0, k).copy_(columns_.narrow(0, 0, k));
      }
      l_ = l;
      rhs_ = rhs;
      columns_ = c;
    }
    for (auto k = static_cast<int64_t>(same); k < t; ++k) {
      const at::Tensor column = transposed_[set[k]];
      columns_[k].copy_(column);
      const double norm = column.dot(column).item<double>();
      double pivot = norm;
      l_[k].zero_();
      if (k > 0) {
        const at::Tensor dots = at::mv(columns_.narrow(0, 0, k), column);
        const at::Tensor row = at::linalg_solve_triangular(l_.narrow(0, 0, k).narrow(1, 0, k),
                                                           dots.unsqueeze(1), false)
                                   .squeeze(1);
        l_[k].narrow(0, 0, k).copy_(row);
        pivot -= row.dot(row).item<double>();
      }
      if (!(pivot > 1e-10 * norm)) return false;
      l_[k][k] = std::sqrt(pivot);
      rhs_[k] = column.dot(target_).item<double>();
      known_.push_back(set[k]);
    }
    return true;
  }

  at::Tensor transposed_, target_;
  at::Tensor l_, rhs_, columns_;
  std::vector<int32_t> known_;
};

using Fit = std::function<at::Tensor(const std::vector<int32_t>&)>;

std::vector<int32_t> pursue(const at::Tensor& phi, const OmpOptions& o, const Fit& fit) {
  const int64_t size = phi.size(1), limit = std::min(o.limit, size);
  const at::Tensor target = phi.sum(1), rows = phi.t().contiguous();
  std::vector<int32_t> set;
  std::vector<uint8_t> gone(size, 0);  // taken or banned
  const auto residual_of = [&](const at::Tensor& w) {
    const at::Tensor index = at::tensor(std::vector<int64_t>(set.begin(), set.end()), at::kLong);
    return target - at::mv(rows.index_select(0, index).t(), w);
  };
  at::Tensor w, residual = target.clone();
  int64_t step = 0;
  for (int drops = 0;; ++drops) {
    while (static_cast<int64_t>(set.size()) < limit) {
      const auto pace = std::find_if(o.pace.begin(), o.pace.end(), [&](const OmpPace& p) {
        return static_cast<int64_t>(set.size()) < p.below;
      });
      const int64_t take = pace == o.pace.end() ? o.pace.back().take : pace->take;
      const int64_t interval = pace == o.pace.end() ? o.pace.back().interval : pace->interval;
      const at::Tensor c = at::mv(rows, residual);
      const double* gain = c.const_data_ptr<double>();
      std::vector<int32_t> open;
      for (int64_t j = 0; j < size; ++j)
        if (gone[j] == 0) open.push_back(static_cast<int32_t>(j));
      if (open.empty()) break;
      const int64_t n = std::min(
          {take, limit - static_cast<int64_t>(set.size()), static_cast<int64_t>(open.size())});
      std::partial_sort(open.begin(), open.begin() + n, open.end(), [&](int32_t a, int32_t b) {
        return gain[a] != gain[b] ? gain[a] > gain[b] : a < b;
      });
      for (int64_t i = 0; i < n; ++i) {
        set.push_back(open[i]);
        gone[open[i]] = 1;
      }
      if (step % interval == 0 || !w.defined()) {
        w = fit(set);
      } else {
        w = at::cat({w, at::full({n}, o.weights.low, at::kDouble)});
      }
      residual = residual_of(w);
      ++step;
    }
    if (set.empty()) break;
    w = fit(set);
    if (!o.drop || drops == 3) break;
    std::vector<int32_t> kept;
    for (size_t i = 0; i < set.size(); ++i)
      if (std::log(w[static_cast<int64_t>(i)].item<double>()) >= o.drop_cutoff)
        kept.push_back(set[i]);
    if (kept.size() == set.size() || kept.empty()) break;
    set = std::move(kept);
    w = fit(set);
    residual = residual_of(w);
  }
  return set;
}

}  // namespace

at::Tensor max_features(const HeadProblem& p) {
  at::Tensor s = attention_logits(p.queries, p.keys, p.bias, p.scale).to(at::kDouble);
  const at::Tensor top = std::get<0>(s.max(1, true));
  at::Tensor phi = s.sub_(top).exp_();
  if (p.weights.defined()) phi.mul_(p.weights.to(at::kDouble).sqrt().unsqueeze(1));
  return phi;
}

std::vector<int32_t> omp_select(const at::Tensor& phi, const OmpOptions& options) {
  GrowingLeastSquares fit(phi, phi.sum(1));
  return pursue(phi, options,
                [&](const std::vector<int32_t>& set) { return fit.solve(set, options.weights); });
}

std::vector<int32_t> omp_select_plain(const at::Tensor& phi, const OmpOptions& options) {
  const at::Tensor rows = phi.t().contiguous(), target = phi.sum(1);
  return pursue(phi, options, [&](const std::vector<int32_t>& set) {
    const at::Tensor index = at::tensor(std::vector<int64_t>(set.begin(), set.end()), at::kLong);
    return literal_weights(rows.index_select(0, index).t(), target, options.weights);
  });
}

}  // namespace limbeck
