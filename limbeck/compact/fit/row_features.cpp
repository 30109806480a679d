#include "limbeck/compact/fit/row_features.h"

#include "limbeck/base/random.h"
#include "limbeck/compact/fit/wpc.h"
#include "limbeck/model/kernels/feature_rows.h"

#include <ATen/ATen.h>

#include <numeric>
#include <utility>
#include <vector>

namespace limbeck {
namespace {

/// Products of queries and keys to features; returns their squares by slot [T] f64.
at::Tensor weigh(const HeadProblem& p, const at::Tensor& root, at::Tensor& products) {
  const at::Tensor shift = p.lse.clamp_min(-1e30).contiguous(), factor = root.contiguous();
  const at::Tensor bias = p.bias.defined() ? p.bias.contiguous() : at::Tensor();
  at::Tensor energy = at::empty({products.size(1)}, at::kDouble);
  weigh_features({products.size(0), products.size(1), products.mutable_data_ptr<float>(),
                  static_cast<float>(p.scale),
                  bias.defined() ? bias.const_data_ptr<float>() : nullptr,
                  shift.const_data_ptr<float>(), factor.const_data_ptr<float>(),
                  energy.mutable_data_ptr<double>()});
  return energy;
}

/// With outputs, log masses and weights, whatever the problem knew.
void complete(HeadProblem& p) {
  p.complete();
  if (!p.weights.defined()) p.weights = at::ones({p.queries.size(0)}, at::kFloat);
}

/// All but `a` and `energy`.
RowFeatures targets_of(const HeadProblem& p, const at::Tensor& root, double lam_rel) {
  RowFeatures f;
  const at::Tensor omega = p.weights.unsqueeze(1);
  f.mean = (omega * p.outputs).sum(0, true) / p.weights.sum();
  const at::Tensor off = p.outputs - f.mean;
  f.total = p.weights.sum(at::kDouble).item<double>();
  const double power = (omega * off.square()).sum(at::kDouble).item<double>() / f.total;
  f.lam = wpc_mass_weight(power, f.mean.norm().item<double>(), lam_rel);
  f.targets =
      at::cat({at::full({p.lse.size(0), 1}, f.lam, at::kFloat), off}, 1).mul_(root.unsqueeze(1));
  return f;
}

}  // namespace

RowFeatures row_features(HeadProblem p, double lam_rel) {
  complete(p);
  const at::Tensor root = p.weights.sqrt();
  RowFeatures f = targets_of(p, root, lam_rel);
  f.a = at::mm(p.queries, p.keys.t());
  f.energy = weigh(p, root, f.a);
  return f;
}

RowFeatures mixed_row_features(HeadProblem p, int64_t most, double lam_rel, uint64_t seed) {
  const int64_t n = p.queries.size(0), size = p.keys.size(0);
  if (n <= most) return row_features(std::move(p), lam_rel);
  complete(p);
  const at::Tensor root = p.weights.sqrt();
  RowFeatures f = targets_of(p, root, lam_rel);

  // Rows that lie side by side are alike: they go to places drawn at random.
  Random random(seed);
  std::vector<int64_t> order(n);
  std::iota(order.begin(), order.end(), 0);
  for (int64_t i = n - 1; i > 0; --i)
    std::swap(order[i], order[random.below(static_cast<uint64_t>(i) + 1)]);
  const at::Tensor index = at::tensor(order, at::kLong);
  at::Tensor sign = at::empty({n}, at::kFloat);
  for (int64_t i = 0; i < n; ++i)
    sign.mutable_data_ptr<float>()[i] = random.below(2) == 0 ? 1.0F : -1.0F;

  const at::Tensor targets = std::move(f.targets);
  f.a = at::zeros({most, size}, at::kFloat);
  f.targets = at::zeros({most, targets.size(1)}, at::kFloat);
  f.energy = at::zeros({size}, at::kDouble);
  constexpr int64_t kRows = 256;  // whose features stay in the cache
  for (int64_t i = 0; i < n;) {
    const int64_t to = i % most, count = std::min({kRows, n - i, most - to});
    const at::Tensor rows = index.narrow(0, i, count), s = sign.narrow(0, i, count).unsqueeze(1);
    const HeadProblem part = p.rows(rows);
    at::Tensor x = at::mm(part.queries, part.keys.t());
    f.energy.add_(weigh(part, root.index_select(0, rows), x));
    f.a.narrow(0, to, count).addcmul_(x, s);
    f.targets.narrow(0, to, count).addcmul_(targets.index_select(0, rows), s);
    i += count;
  }
  return f;
}

}  // namespace limbeck
