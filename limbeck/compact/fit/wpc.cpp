#include "limbeck/compact/fit/wpc.h"

#include "limbeck/compact/fit/shapes.h"
#include "limbeck/compact/fit/weights.h"
#include "limbeck/model/kernels/pivoting.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace limbeck {
namespace {

/// Rows of right sides as the kernels take them: a multiple of kPivotWidth numbers, 0 at the end.
at::Tensor padded(const at::Tensor& h) {
  at::Tensor out = at::zeros({h.size(0), round_up(h.size(1), kPivotWidth)}, at::kDouble);
  out.narrow(1, 0, h.size(1)).copy_(h);
  return out;
}

/// Residual state of the factorisation, in f64.
struct Residual {
  Residual(const Gram& gram, const WpcTargets& targets, const WpcOptions& o)
      : diag(gram.diagonal()),
        h(padded(targets.h)),
        squares(h.square().sum(1)),
        energy(targets.energy) {
    least = (o.reference.defined() ? o.reference : diag).clamp_min(1e-300) * o.duplicate;
    diag = diag.clone();
  }
  at::Tensor least, diag;  ///< [T] what must be unexplained, D
  at::Tensor h, squares;   ///< [T, 1 + D, padded], [T] ||H_j||^2
  double energy;           ///< residual, not yet divided
};

bool usable(const double* diag, const double* least, int64_t j) { return diag[j] > least[j]; }

/// Gains ||H_j||^2 / D_j, -inf for taken or explained slots.
std::vector<double> gains(const Residual& r, const std::vector<uint8_t>& taken) {
  const double *s = r.squares.const_data_ptr<double>(), *d = r.diag.const_data_ptr<double>(),
               *d0 = r.least.const_data_ptr<double>();
  std::vector<double> out(taken.size(), -std::numeric_limits<double>::infinity());
  for (size_t j = 0; j < out.size(); ++j)
    if (taken[j] == 0 && usable(d, d0, static_cast<int64_t>(j))) out[j] = s[j] / d[j];
  return out;
}

at::Tensor index_of(const std::vector<int32_t>& slots) {
  return at::tensor(std::vector<int64_t>(slots.begin(), slots.end()), at::kLong);
}

/// The exact loop inside a block of candidates: small dense arrays.
class Block {
 public:
  Block(const at::Tensor& gram, const at::Tensor& h, const at::Tensor& squares,
        const at::Tensor& least)
      : g_(gram.contiguous()), h_(h), squares_(squares), least_(least), taken_(g_.size(0), 0) {}
  double gain(int64_t j) const {
    const double d = g_.const_data_ptr<double>()[j * g_.size(0) + j];
    if (taken_[j] != 0 || !(d > least_.const_data_ptr<double>()[j]))
      return -std::numeric_limits<double>::infinity();
    return squares_.const_data_ptr<double>()[j] / d;
  }
  /// Highest gain, lowest slot among equals (`slots` names the candidates).
  int64_t best(const std::vector<int32_t>& slots) const {
    int64_t best = -1;
    double top = -std::numeric_limits<double>::infinity();
    for (int64_t j = 0; j < g_.size(0); ++j) {
      const double g = gain(j);
      if (g > top || (g == top && best >= 0 && slots[j] < slots[best])) {
        top = g;
        best = j;
      }
    }
    return top == -std::numeric_limits<double>::infinity() ? -1 : best;
  }
  /// Takes candidate p; returns the energy that it removes.
  double take(int64_t p) {
    taken_[p] = 1;
    return pivot_block({g_.size(0), h_.size(1), g_.mutable_data_ptr<double>(),
                        h_.mutable_data_ptr<double>(), squares_.mutable_data_ptr<double>()},
                       p);
  }

 private:
  at::Tensor g_, h_, squares_, least_;  ///< its own
  std::vector<uint8_t> taken_;
};

/// The blocked factorisation. A round works on a few candidates exactly and ends before a slot
/// outside could have been the better pick; then all picks are applied by matrix products. Where a
/// part of the slots is taken they are dropped: everything but the order speaks of the places of
/// those that are left.
class Factorisation {
 public:
  Factorisation(const Gram& gram, const WpcTargets& targets, const WpcOptions& o)
      : gram_(gram), options_(o), total_(targets.total), r_(gram, targets, o) {
    limit_ = std::min(options_.limit, gram.size());
    slots_.resize(static_cast<size_t>(gram.size()));
    std::iota(slots_.begin(), slots_.end(), 0);
    taken_.assign(slots_.size(), 0);
    l_ = at::empty({PivotFactor::size(size(), limit_)}, at::kDouble);
    out_.energy.push_back(r_.energy / total_);
  }

  WpcOrder run() {
    take_forced();
    while (count() < limit_)
      if (!round()) {
        out_.rank_reached = true;
        break;
      }
    return std::move(out_);
  }

 private:
  int64_t count() const { return static_cast<int64_t>(out_.order.size()); }
  int64_t size() const { return static_cast<int64_t>(slots_.size()); }
  std::vector<int32_t> slots_at(const std::vector<int32_t>& places) const {
    std::vector<int32_t> out;
    for (const int32_t place : places) out.push_back(slots_[place]);
    return out;
  }

  PivotFactor factor() const { return {l_.mutable_data_ptr<double>(), limit_}; }

  Block block_of(const std::vector<int32_t>& places) const {
    const at::Tensor index = index_of(places);
    at::Tensor g = gram_.block(index_of(slots_at(places)));
    if (count() > 0) {
      const at::Tensor l = at::empty({index.size(0), count()}, at::kDouble);
      double* to = l.mutable_data_ptr<double>();
      for (const int32_t place : places)
        for (int64_t k = 0; k < count(); ++k) *to++ = *factor().at(place, k);
      g = g - at::mm(l, l.t());
    }
    return {g, r_.h.index_select(0, index), r_.squares.index_select(0, index),
            r_.least.index_select(0, index)};
  }

  void record(int32_t place, double energy) {
    out_.order.push_back(slots_[place]);
    picked_.push_back(place);
    r_.energy -= energy;
    out_.energy.push_back(std::max(r_.energy, 0.0) / total_);
    taken_[place] = 1;
  }

  void take_forced() {
    size_t at = 0;
    while (at < options_.forced.size() && count() < limit_) {
      drop_taken();
      const size_t end = std::min(options_.forced.size(), at + static_cast<size_t>(options_.block));
      std::vector<int32_t> places;
      for (; at < end; ++at) {
        const auto place = std::lower_bound(slots_.begin(), slots_.end(), options_.forced[at]);
        if (place != slots_.end() && *place == options_.forced[at])
          places.push_back(static_cast<int32_t>(place - slots_.begin()));
      }
      if (places.empty()) continue;
      Block block = block_of(places);
      for (int64_t j = 0; j < static_cast<int64_t>(places.size()) && count() < limit_; ++j)
        if (taken_[places[j]] == 0 && std::isfinite(block.gain(j)))
          record(places[j], block.take(j));
      apply();
    }
    out_.forced = count();
  }

  bool round() {
    drop_taken();
    const std::vector<double> gain = gains(r_, taken_);
    std::vector<int32_t> places(gain.size());
    std::iota(places.begin(), places.end(), 0);
    const auto better = [&](int32_t a, int32_t b) {
      return gain[a] != gain[b] ? gain[a] > gain[b] : a < b;
    };
    const auto c = static_cast<size_t>(options_.block);
    double next = -std::numeric_limits<double>::infinity();
    if (places.size() > c) {
      std::nth_element(places.begin(), places.begin() + static_cast<int64_t>(c), places.end(),
                       better);
      next = gain[places[c]];
      places.resize(c);
    }
    std::erase_if(places, [&](int32_t j) { return !std::isfinite(gain[j]); });
    if (places.empty()) return false;
    Block block = block_of(places);
    while (count() < limit_ && static_cast<int64_t>(picked_.size()) < options_.picks) {
      const int64_t p = block.best(places);
      if (p < 0 || (!picked_.empty() && block.gain(p) < next)) break;
      record(places[p], block.take(p));
    }
    const bool any = !picked_.empty();
    apply();
    return any;
  }

  /// The picks of this round join L; D and H lose what they explain.
  void apply() {
    const auto picks = static_cast<int64_t>(picked_.size()), before = count() - picks;
    if (picks == 0) return;
    const at::Tensor index = index_of(picked_);
    at::Tensor g = gram_.columns(index_of(slots_at(picked_))).t();
    if (size() < gram_.size()) g = g.index_select(1, index_of(slots_));
    g = g.contiguous();
    PivotRows rows;
    rows.slots = size();
    rows.picks = picks;
    rows.width = r_.h.size(1);
    rows.before = before;
    rows.pivots = index.const_data_ptr<int64_t>();
    rows.g = g.const_data_ptr<double>();
    rows.l = factor();
    rows.diagonal = r_.diag.mutable_data_ptr<double>();
    rows.h = r_.h.mutable_data_ptr<double>();
    rows.squares = r_.squares.mutable_data_ptr<double>();
    const int64_t left = pivot_rows(rows);
    if (left < picks) {
      // Rounding left less of a pick than the block made out: it counts as explained, and those
      // behind it may be picked again.
      for (int64_t i = left + 1; i < picks; ++i) taken_[picked_[i]] = 0;
      out_.order.resize(static_cast<size_t>(before + left));
      out_.energy.resize(static_cast<size_t>(before + left) + 1);
      r_.energy = out_.energy.back() * total_;
    }
    picked_.clear();
  }

  /// Drops what will not be picked any more, where that is a quarter of the slots or more.
  void drop_taken() {
    const double *diag = r_.diag.const_data_ptr<double>(),
                 *least = r_.least.const_data_ptr<double>();
    std::vector<int32_t> open;
    for (int32_t j = 0; j < size(); ++j)
      if (taken_[j] == 0 && usable(diag, least, j)) open.push_back(j);
    const auto left = static_cast<int64_t>(open.size());
    if (left == 0 || 4 * left > 3 * size()) return;
    const at::Tensor l = at::zeros({PivotFactor::size(left, limit_)}, at::kDouble);
    const PivotFactor from = factor(), to{l.mutable_data_ptr<double>(), limit_};
    for (int64_t first = 0; first < left; first += kPivotColumns)
      for (int64_t k = 0; k < count(); ++k)
        for (int64_t j = first; j < std::min(left, first + kPivotColumns); ++j)
          *to.at(j, k) = *from.at(open[j], k);
    l_ = l;
    const at::Tensor index = index_of(open);
    for (at::Tensor* x : {&r_.least, &r_.diag, &r_.h, &r_.squares}) *x = x->index_select(0, index);
    slots_ = slots_at(open);
    taken_.assign(open.size(), 0);
  }

  const Gram& gram_;
  const WpcOptions& options_;
  double total_;
  Residual r_;
  int64_t limit_ = 0;
  at::Tensor l_;                 ///< factor()
  std::vector<int32_t> slots_;   ///< those that are left, rising
  std::vector<uint8_t> taken_;   ///< by place in slots_
  std::vector<int32_t> picked_;  ///< places of this round's picks
  WpcOrder out_;
};

}  // namespace

double wpc_mass_weight(double power, double norm0, double lam_rel) {
  const double lam = std::max(lam_rel * std::sqrt(std::max(power, 0.0)), 1e-3 * norm0);
  return lam == 0 ? 1.0 : lam;
}

WpcTargets wpc_targets(const Gram& gram, const at::Tensor& values, double lam_rel) {
  const at::Tensor v = values.to(at::kDouble);
  const int64_t size = v.size(0), dim = v.size(1);
  const at::Tensor gv = gram.times(at::cat({at::ones({size, 1}, at::kDouble), v}, 1));
  const at::Tensor g1 = gv.narrow(1, 0, 1);
  WpcTargets t;
  t.total = std::max(g1.sum().item<double>(), 1e-300);
  const at::Tensor v0 = at::mm(v.t(), g1).div_(t.total);  // [D, 1]
  const double norm0 = v0.norm().item<double>();
  const double power = (v * gv.narrow(1, 1, dim)).sum().item<double>() / t.total - norm0 * norm0;
  const double lam = wpc_mass_weight(power, norm0, lam_rel);
  t.h = at::cat({g1 * lam, gv.narrow(1, 1, dim) - at::mm(g1, v0.t())}, 1);
  const at::Tensor targets = at::cat({at::full({size, 1}, lam, at::kDouble), v - v0.t()}, 1);
  t.energy = (targets * t.h).sum().item<double>();
  return t;
}

WpcTargets wpc_targets(const at::Tensor& a, const at::Tensor& outputs, const at::Tensor& weights,
                       double lam_rel) {
  const at::Tensor y = outputs.to(at::kDouble);
  const at::Tensor w = weights.defined() ? weights.to(at::kDouble).unsqueeze(1)
                                         : at::ones({y.size(0), 1}, at::kDouble);
  WpcTargets t;
  t.total = std::max(w.sum().item<double>(), 1e-300);
  const at::Tensor v0 = (w * y).sum(0, true).div_(t.total);
  const double power = (w * (y - v0).square()).sum().item<double>() / t.total;
  const double lam = wpc_mass_weight(power, v0.norm().item<double>(), lam_rel);
  const at::Tensor targets = at::cat({at::full({y.size(0), 1}, lam, at::kDouble), y - v0}, 1);
  t.h = at::mm(a.to(at::kDouble).t(), targets * w);
  t.energy = (w * targets.square()).sum().item<double>();
  return t;
}

WpcOrder wpc(const Gram& gram, const WpcTargets& targets, const WpcOptions& options) {
  return Factorisation(gram, targets, options).run();
}

WpcOrder wpc_plain(const Gram& gram, const WpcTargets& targets, const WpcOptions& options) {
  Residual r(gram, targets, options);
  const double total_weight = targets.total;
  WpcOrder out;
  out.energy.push_back(r.energy / total_weight);
  std::vector<uint8_t> taken(gram.size(), 0);
  std::vector<at::Tensor> l;
  const auto take = [&](int64_t p) {
    at::Tensor column = gram.columns(at::tensor({p}, at::kLong)).squeeze(1);
    for (const at::Tensor& old : l) column = column - old * old[p];
    const double root = std::sqrt(r.diag[p].item<double>());
    column = column / root;
    const at::Tensor c = r.h[p] / root;
    r.diag.sub_(column.square());
    r.h.sub_(at::outer(column, c));
    r.squares = r.h.square().sum(1);
    r.energy -= c.square().sum().item<double>();
    l.push_back(column);
    taken[p] = 1;
    out.order.push_back(static_cast<int32_t>(p));
    out.energy.push_back(std::max(r.energy, 0.0) / total_weight);
  };
  const int64_t limit = std::min(options.limit, gram.size());
  for (int32_t p : options.forced)
    if (static_cast<int64_t>(out.order.size()) < limit && taken[p] == 0 &&
        usable(r.diag.const_data_ptr<double>(), r.least.const_data_ptr<double>(), p))
      take(p);
  out.forced = static_cast<int64_t>(out.order.size());
  while (static_cast<int64_t>(out.order.size()) < limit) {
    const std::vector<double> gain = gains(r, taken);
    const auto best = std::max_element(gain.begin(), gain.end());  // the first of equals
    if (!std::isfinite(*best)) {
      out.rank_reached = true;
      break;
    }
    take(best - gain.begin());
  }
  return out;
}

}  // namespace limbeck
