#include "limbeck/compact/fit/warm_nnls.h"

#include "limbeck/compact/fit/dot.h"
#include "limbeck/compact/fit/weights.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace limbeck {
namespace {

/// Of the members: where more change sides a new factor is cheaper.
constexpr double kMostTurns = 0.1;

}  // namespace

WarmNnls::WarmNnls(const at::Tensor& g) : g_(g), sums_(g.sum(1, false, at::kDouble)) {
  const at::Tensor scale = unit_scale(g.diagonal());
  scale_.assign(scale.const_data_ptr<double>(), scale.const_data_ptr<double>() + g.size(0));
  rows_ = at::empty({0, g.size(0)}, at::kDouble);
  c_ = sums_.clone();
}

void WarmNnls::add(int32_t slot) {
  const auto last = static_cast<int64_t>(set_.size());
  if (rows_.size(0) == last) {
    const at::Tensor more = at::empty({std::max<int64_t>(64, 2 * last), g_.size(0)}, at::kDouble);
    more.narrow(0, 0, last).copy_(rows());
    rows_ = more;
  }
  rows_[last].copy_(g_[slot]);
  set_.push_back(slot);
  right_.push_back(sums_.const_data_ptr<double>()[slot] * scale_[slot]);
  x_.push_back(0.0);

  const double* row = rows_.const_data_ptr<double>() + last * rows_.size(1);
  std::vector<double>& own = products_.emplace_back();
  for (const int64_t s : set_) own.push_back(row[s] * scale_[slot] * scale_[s]);
  for (int64_t i = 0; i < last; ++i) products_[i].push_back(own[i]);

  settle(join(last) && exchange() ? x_ : start_again());
}

/// As the last of the factor; false where there is none.
bool WarmNnls::join(int64_t member) {
  std::vector<double> products;
  for (const int64_t i : passive_) products.push_back(products_[member][i]);
  passive_.push_back(member);
  return cholesky_.size() + 1 == static_cast<int64_t>(passive_.size()) &&
         cholesky_.add(products, 1.0 + kNnlsRidge, right_[member], 0.0);
}

void WarmNnls::leave(int64_t member) {
  const auto at = std::find(passive_.begin(), passive_.end(), member);
  cholesky_.remove(at - passive_.begin());
  passive_.erase(at);
}

/// Moves members between the sides until the weights are right; false where there is no factor.
bool WarmNnls::exchange() {
  const auto t = static_cast<int64_t>(set_.size());
  ExchangeRule rule(t);
  for (int64_t round = 0; round < ExchangeRule::most_rounds(t); ++round) {
    const std::vector<double> x = cholesky_.solution();
    std::vector<uint8_t> positive(t, 0);
    std::vector<int64_t> wrong;
    std::fill(x_.begin(), x_.end(), 0.0);
    for (size_t i = 0; i < passive_.size(); ++i) {
      positive[passive_[i]] = 1;
      x_[passive_[i]] = x[i];
      if (x[i] < 0) wrong.push_back(passive_[i]);
    }
    for (int64_t i = 0; i < t; ++i)
      if (positive[i] == 0 && gradient(i) < -kNnlsSlack) wrong.push_back(i);
    if (wrong.empty()) return true;
    std::sort(wrong.begin(), wrong.end());
    wrong = rule.choose(std::move(wrong));
    for (const int64_t i : wrong) positive[i] ^= 1;
    const bool many = static_cast<double>(wrong.size()) > kMostTurns * static_cast<double>(t);
    if (many ? !refactor(positive) : !turn(wrong, positive)) return false;
  }
  for (double& x : x_) x = std::max(x, 0.0);
  return true;
}

/// Of a member of weight 0.
double WarmNnls::gradient(int64_t member) const {
  return dot(products_[member].data(), x_.data(), static_cast<int64_t>(x_.size())) - right_[member];
}

bool WarmNnls::turn(const std::vector<int64_t>& members, const std::vector<uint8_t>& positive) {
  for (const int64_t i : members)
    if (positive[i] == 0) leave(i);
  for (const int64_t i : members)
    if (positive[i] != 0 && !join(i)) return false;
  return true;
}

bool WarmNnls::refactor(const std::vector<uint8_t>& positive) {
  passive_.clear();
  std::vector<double> side;
  for (size_t i = 0; i < positive.size(); ++i)
    if (positive[i] != 0) {
      passive_.push_back(static_cast<int64_t>(i));
      side.push_back(right_[i]);
    }
  const auto n = static_cast<int64_t>(passive_.size());
  const at::Tensor a = at::empty({n, n}, at::kDouble);
  double* to = a.mutable_data_ptr<double>();
  for (int64_t i = 0; i < n; ++i, to += n) {
    for (int64_t j = 0; j < n; ++j) to[j] = products_[passive_[i]][passive_[j]];
    to[i] = 1.0 + kNnlsRidge;
  }
  return cholesky_.assign(a, side);
}

/// The weights of the fit that may take larger ridges.
std::vector<double> WarmNnls::start_again() {
  const at::Tensor index = at::tensor(set_, at::kLong);
  const at::Tensor w = nnls_gram(rows().index_select(1, index), sums_.index_select(0, index));
  std::vector<double> x;
  std::vector<uint8_t> positive;
  for (size_t i = 0; i < set_.size(); ++i) {
    const double own = w.const_data_ptr<double>()[i];
    positive.push_back(static_cast<uint8_t>(own > 0));
    x.push_back(scale_[set_[i]] > 0 ? own / scale_[set_[i]] : 0.0);
  }
  refactor(positive);
  return x;
}

void WarmNnls::settle(const std::vector<double>& x) {
  std::vector<double> w;
  for (size_t i = 0; i < x.size(); ++i) w.push_back(x[i] * scale_[set_[i]]);
  c_ = sums_ - at::mv(rows().t(), at::tensor(w, at::kDouble));
}

}  // namespace limbeck
