#include "limbeck/compact/fit/fit_head.h"

#include "limbeck/base/error.h"
#include "limbeck/compact/fit/cholesky.h"
#include "limbeck/compact/fit/gram.h"
#include "limbeck/compact/fit/published_targets.h"
#include "limbeck/compact/fit/shapes.h"
#include "limbeck/compact/fit/weights.h"

#include <ATen/ATen.h>

#include <cmath>

namespace limbeck {
namespace {

constexpr double kBiasLow = -7.0;

/// Some rows of the problem with everything that fits compare against.
struct Rows {
  at::Tensor logits;  ///< [m, width] f32 of the kept slots, old bias included
  /// [m, width] f32 exp(logits - lse): what the kept slots had of the attention; 0 beyond them.
  at::Tensor part;
  at::Tensor lse;      ///< [m] f32 target
  at::Tensor outputs;  ///< [m, D] f32 target
  at::Tensor weights;  ///< [m] f32
  int64_t size() const { return lse.defined() ? lse.size(0) : 0; }
};

struct Errors {
  double output = 0, mass = 0;
};

/// Exchanges of the non-negative least squares of large heads; what is not yet feasible is set to
/// 0.
constexpr int64_t kLargeExchanges = 3;
constexpr int64_t kLargeSteps = 1;
constexpr int kBlockSweeps = 2;

/// Blocks in which a head of t kept slots is fitted; 1 = all at once.
int64_t blocks_of(int64_t t, const FitOptions& o) {
  const bool can = o.weights == "exact" && (o.values == "local" || o.values == "copy");
  return can && t > o.joint ? (t + o.joint - 1) / o.joint : 1;
}

/// (a + ridge I)^-1 b for a symmetric matrix that should be positive definite [t, t] and b [t, k].
/// Where no factor exists the ridge grows tenfold, up to five times; then come the eigenvectors
/// above a cutoff. f32 systems are refined once. Undefined when that fails as well.
at::Tensor solve_symmetric(const at::Tensor& a, const at::Tensor& b, double ridge,
                           FitFallbacks& fallbacks) {
  for (int i = 0; i <= 5; ++i, ridge *= 10) {
    const at::Tensor l = cholesky_factor(a, ridge);
    if (l.defined()) return cholesky_refined(a, ridge, l, b);
    ++fallbacks.ridge;
  }
  if (!a.isfinite().all().item<bool>() || !b.isfinite().all().item<bool>()) return {};
  ++fallbacks.eigen;
  constexpr double kCutoff = 1e-6;  // of the largest eigenvalue
  const auto [values, vectors] = at::linalg_eigh(a.to(at::kDouble));
  const double most = values.max().item<double>();
  if (!(most > 0)) return {};
  const at::Tensor inverse =
      at::where(values > kCutoff * most, values.reciprocal(), at::zeros({}, at::kDouble));
  return at::mm(vectors * inverse, at::mm(vectors.t(), b.to(at::kDouble))).to(b.scalar_type());
}

class HeadFit {
 public:
  HeadFit(const HeadProblem& p, const std::vector<int32_t>& kept, const std::vector<uint8_t>& held,
          const FitOptions& o)
      : p_(p),
        o_(o),
        t_(static_cast<int64_t>(kept.size())),
        width_(padded() ? product_size(t_) : t_) {
    index_ = at::tensor(std::vector<int64_t>(kept.begin(), kept.end()), at::kLong);
    keys_ = wide(p.keys.index_select(0, index_));
    old_bias_ = p.bias.defined() ? p.bias.index_select(0, index_) : at::zeros({t_}, at::kFloat);
    split(held);
  }

  FitResult run() {
    if (literal())
      fit_literal_weights();
    else
      fit_exact_weights();
    if (o_.values == "ls")
      fit_literal_values();
    else if (o_.values != "copy")
      fit_prior_values();
    else
      values_ = p_.values.index_select(0, index_).to(at::kDouble);
    guard();
    FitResult r;
    r.bias = (old_bias_.to(at::kDouble) + beta_).to(at::kFloat);
    r.values = values_.to(at::kFloat);
    r.held_out = reporting_.size() > 0;
    const Errors e = errors(r.held_out ? reporting_ : fitted_, beta_, values_);
    r.output_error = e.output;
    r.mass_error = e.mass;
    r.fallbacks = fallbacks_;
    return r;
  }

 private:
  /// Rows of zeros behind the [t, ...] of the kept slots, up to the width.
  at::Tensor wide(const at::Tensor& x) const {
    if (width_ == t_) return x;
    std::vector<int64_t> sizes = x.sizes().vec();
    sizes[0] = width_;
    at::Tensor out = at::zeros(sizes, x.options());
    out.narrow(0, 0, t_).copy_(x);
    return out;
  }
  /// exp(beta) [width] f32.
  at::Tensor factor_of(const at::Tensor& beta) const { return wide(beta.exp().to(at::kFloat)); }

  /// Only the Nystrom prior needs a matrix of all slots.
  bool needs_features() const { return o_.values == "prior"; }
  bool literal() const { return o_.weights == "literal"; }
  /// Rows and slots come in the sizes of shapes.h.
  bool padded() const { return !needs_features() && !literal(); }

  void split(const std::vector<uint8_t>& held) {
    const int64_t n = p_.queries.size(0);
    std::vector<int64_t> which[3];
    for (int64_t i = 0; i < n; ++i) which[held.empty() ? 0 : held[i]].push_back(i);
    if (which[0].empty())
      throw InvalidArgument("[fit] a fit needs reference queries; found none of {} to fit", n);
    Rows* sets[3] = {&fitted_, &deciding_, &reporting_};
    for (int k = 0; k < 3; ++k) {
      if (which[k].empty()) continue;
      const auto real = static_cast<int64_t>(which[k].size());
      // More of the first row, of weight 0.
      if (padded()) which[k].resize(product_size(real), which[k][0]);
      const bool all = real == n && static_cast<int64_t>(which[k].size()) == n;
      const at::Tensor rows = at::tensor(which[k], at::kLong);
      HeadProblem part = all ? p_ : p_.rows(rows);
      if (k == 0 && needs_features()) {
        const at::Tensor logits = attention_logits(part.queries, p_.keys, p_.bias, p_.scale);
        sets[k]->logits = logits.index_select(1, index_);
        const Features f = softmax_features(logits);
        features_ = f.a;
        if (!part.lse.defined()) part.lse = f.lse;
        if (!part.outputs.defined()) part.outputs = at::mm(f.a, p_.values);
      }
      if (k == 0 && literal()) {
        published_ = published_targets(part, index_);
        sets[k]->logits = published_.logits;
        part.lse = published_.lse;
        part.outputs = published_.outputs;
      } else if (k > 0 || !needs_features()) {
        part.complete();
        sets[k]->logits = attention_logits(part.queries, keys_, wide(old_bias_), p_.scale);
      }
      sets[k]->lse = part.lse;
      sets[k]->outputs = part.outputs;
      sets[k]->weights =
          part.weights.defined() ? part.weights : at::ones({part.lse.size(0)}, at::kFloat);
      const int64_t added = sets[k]->weights.size(0) - real;
      if (added > 0) sets[k]->weights.narrow(0, real, added).zero_();
    }
  }

  /// softmax over the kept slots [m, width] f32 and its log mass [m] f32.
  Features compact_softmax(const Rows& r, const at::Tensor& beta) const {
    if (!r.part.defined()) return softmax_features(r.logits + beta.to(at::kFloat));
    // exp(logits + beta) = part * exp(beta) * exp(lse): no exponential of a matrix is needed.
    const at::Tensor factor = factor_of(beta), mass = masses(r, factor);
    return {r.part.mul(factor).div_(mass.unsqueeze(1)), mass.log() + r.lse};
  }
  /// What the kept slots have of the row's attention, with their weights [m] f32.
  static at::Tensor masses(const Rows& r, const at::Tensor& factor) {
    return at::mv(r.part, factor).clamp_min_(1e-37F);
  }
  /// X' Omega X [t, t]: the product in f32; what is factorised in f64, where it is small enough.
  at::Tensor gram_of(const at::Tensor& x, const at::Tensor& weights) const {
    const at::Tensor xw = x * weights.sqrt().unsqueeze(1);
    const at::Tensor g = square(symmetric_product(xw));
    return t_ <= o_.large ? g.to(at::kDouble) : g;
  }

  /// What concerns the kept slots of a [width, width] matrix.
  at::Tensor square(const at::Tensor& x) const { return x.narrow(0, 0, t_).narrow(1, 0, t_); }

  static double mass_loss(const Rows& r, const at::Tensor& lse) {
    return (r.weights * (lse - r.lse).square()).sum(at::kDouble).item<double>();
  }
  double mass_loss_at(const Rows& r, const at::Tensor& beta) const {
    return (r.weights * masses(r, factor_of(beta)).log_().square_())
        .sum(at::kDouble)
        .item<double>();
  }

  Errors errors(const Rows& r, const at::Tensor& beta, const at::Tensor& values) const {
    const auto [x, lse] = compact_softmax(r, beta);
    const double total = r.weights.sum(at::kDouble).item<double>();
    return {output_error(r, x, values), std::sqrt(mass_loss(r, lse) / total)};
  }
  double output_error(const Rows& r, const at::Tensor& x, const at::Tensor& values) const {
    const at::Tensor& y = r.outputs;
    const at::Tensor off_rows = (at::mm(x, wide(values.to(at::kFloat))) - y).square().sum(1);
    const double off = (r.weights * off_rows).sum(at::kDouble).item<double>();
    const double norm = (r.weights * y.square().sum(1)).sum(at::kDouble).item<double>();
    return std::sqrt(off / std::max(norm, 1e-300));
  }

  double highest_bias() const {
    return std::max(7.0, std::log(static_cast<double>(p_.keys.size(0))));
  }
  at::Tensor bias_of(const at::Tensor& w) const {
    return w.clamp_min(std::exp(-5.0)).log_().clamp_(kBiasLow, highest_bias());
  }

  // ---- heads of many slots: block after block, the others as they are

  int64_t block_count() const { return blocks_of(t_, o_); }
  bool in_blocks() const { return block_count() > 1; }
  /// First slot of block b; slots of a block lie together (fit_head()).
  int64_t block_begin(int64_t b) const { return b * t_ / block_count(); }

  /// Calls fn(block, first slot, slots) for each block, kBlockSweeps times over.
  template <class F>
  void sweep_blocks(F&& fn) const {
    for (int sweep = 0; sweep < kBlockSweeps; ++sweep)
      for (int64_t b = 0; b < block_count(); ++b)
        fn(b, block_begin(b), block_begin(b + 1) - block_begin(b));
  }

  /// min ||as w - root||, w >= 0, from one common factor on.
  void fit_weights_in_blocks(const at::Tensor& as, const at::Tensor& root) {
    const at::Tensor sums = as.sum(1);
    const double common =
        sums.dot(root).item<double>() / std::max(sums.dot(sums).item<double>(), 1e-300);
    at::Tensor w = at::full({t_}, std::max(common, 1e-3), at::kDouble);
    at::Tensor rest = root - sums * w[0].item<double>();
    std::vector<at::Tensor> grams(block_count());
    sweep_blocks([&](int64_t b, int64_t first, int64_t n) {
      const at::Tensor x = as.narrow(1, first, n);
      if (!grams[b].defined()) {
        grams[b] = symmetric_product(x).to(at::kDouble);
      }
      at::Tensor part = w.narrow(0, first, n);
      const at::Tensor target = at::mv(x.t(), rest).to(at::kDouble) + at::mv(grams[b], part);
      const at::Tensor fresh = nnls_gram(grams[b], target, kLargeExchanges, &fallbacks_.ridge);
      rest.sub_(at::mv(x, (fresh - part).to(at::kFloat)));
      part.copy_(fresh);
    });
    beta_ = bias_of(w);
  }

  /// Values of ridge `rho` around the prior; `grams` of the blocks of x, once made, are kept.
  at::Tensor values_in_blocks(const at::Tensor& x, const at::Tensor& off, double rho,
                              std::vector<at::Tensor>& grams) {
    at::Tensor rest = off.clone(), values = prior_.clone();
    const at::Tensor root = fitted_.weights.sqrt().unsqueeze(1);
    grams.resize(block_count());
    double tau = 0;
    sweep_blocks([&](int64_t b, int64_t first, int64_t n) {
      const at::Tensor part = x.narrow(1, first, n);
      if (!grams[b].defined()) {
        grams[b] = symmetric_product(part * root);
      }
      if (b == 0 && tau == 0) tau = grams[b].diagonal().mean().item<double>();
      at::Tensor mine = values.narrow(0, first, n);
      const at::Tensor before = mine - prior_.narrow(0, first, n);
      const at::Tensor rhs = at::mm(part.t(), rest * fitted_.weights.unsqueeze(1)) +
                             at::mm(grams[b], before.to(at::kFloat));
      at::Tensor after = solve_symmetric(grams[b], rhs, rho * tau, fallbacks_);
      if (!after.defined()) {
        ++fallbacks_.prior;
        return;
      }
      after = after.to(at::kDouble);
      rest.sub_(at::mm(part, (after - before).to(at::kFloat)));
      mine.copy_(prior_.narrow(0, first, n) + after);
    });
    return values;
  }

  void fit_exact_weights() {
    for (Rows* r : {&fitted_, &deciding_, &reporting_}) {
      if (r->size() == 0) continue;
      r->part = r->logits.sub_(r->lse.unsqueeze(1)).exp_();
      r->part.narrow(1, t_, width_ - t_).zero_();
    }
    const at::Tensor root = fitted_.weights.sqrt().unsqueeze(1);
    const at::Tensor as = fitted_.part * root;
    if (in_blocks()) return fit_weights_in_blocks(as, root.squeeze(1));
    const at::Tensor g = square(symmetric_product(as)).to(at::kDouble);
    const at::Tensor target = at::mv(as.t(), root.squeeze(1)).narrow(0, 0, t_);
    const at::Tensor w =
        nnls_gram(g, target.to(at::kDouble), t_ <= o_.large ? kNnlsExact : kLargeExchanges,
                  &fallbacks_.ridge);
    const double top = highest_bias();
    beta_ = bias_of(w);
    const at::Tensor linear = beta_.clone();
    const int64_t steps = t_ <= o_.large ? o_.lm_steps : std::min(o_.lm_steps, kLargeSteps);
    for (int64_t i = 0; i < steps && lm_step(top); ++i) {
    }
    if (deciding_.size() > 0 && mass_loss_at(deciding_, beta_) > mass_loss_at(deciding_, linear))
      beta_ = linear;
  }

  /// One Levenberg-Marquardt step on sum omega (log m' - log m)^2; false when nothing improves.
  bool lm_step(double top) {
    const auto [x, lse] = compact_softmax(fitted_, beta_);
    const double before = mass_loss(fitted_, lse);
    const at::Tensor gram = gram_of(x, fitted_.weights);
    const at::Tensor slope = at::mv(x.t(), (fitted_.lse - lse) * fitted_.weights)
                                 .narrow(0, 0, t_)
                                 .to(gram.scalar_type());
    double mu = 0.02 * gram.diagonal().mean().item<double>();
    for (int i = 0; i <= 3; ++i, mu *= 10) {
      const at::Tensor l = cholesky_factor(gram, mu);
      if (!l.defined()) continue;
      const at::Tensor step = cholesky_solved(l, slope).clamp_(-1.0, 1.0);
      const at::Tensor next = (beta_ + step).clamp_(kBiasLow, top);
      if (mass_loss_at(fitted_, next) < before) {
        beta_ = next;
        return true;
      }
    }
    return false;
  }

  void fit_literal_weights() {
    const at::Tensor root = fitted_.weights.sqrt();
    const at::Tensor phi =
        (published_.logits - published_.top.unsqueeze(1)).exp_().mul_(root.unsqueeze(1));
    beta_ = literal_weights(phi, published_.mass * root, {o_.iterations, o_.low, o_.high}).log();
  }

  void fit_literal_values() {
    const at::Tensor root = fitted_.weights.sqrt().unsqueeze(1);
    const at::Tensor x = compact_softmax(fitted_, beta_).a.narrow(1, 0, t_) * root;
    values_ = literal_values(x, fitted_.outputs * root);
  }

  /// C0: values interpolated by the Nystrom weights W = G_SS^-1 G_S:, negative ones dropped.
  at::Tensor prior() {
    const at::Tensor as = features_.index_select(1, index_).mul(fitted_.weights.unsqueeze(1));
    const at::Tensor gs = at::mm(as.t(), features_).to(at::kDouble);  // [t, T]
    at::Tensor gss = gs.index_select(1, index_);
    gss = 0.5 * (gss + gss.t());
    const at::Tensor scale = unit_scale(gss.diagonal());
    const at::Tensor own = p_.values.index_select(0, index_).to(at::kDouble);
    at::Tensor w = solve_symmetric(gss * scale.unsqueeze(0) * scale.unsqueeze(1),
                                   gs * scale.unsqueeze(1), 1e-6, fallbacks_);
    if (!w.defined()) return own;
    w = (w * scale.unsqueeze(1)).clamp_min_(0.0);
    const at::Tensor mass = w.sum(1, true);
    const at::Tensor c0 = at::mm(w, p_.values.to(at::kDouble)) / mass.clamp_min(1e-300);
    return at::where(mass > 1e-12, c0, own);
  }

  /// The mean output of the queries that read a slot, weighted by how much they read of it. A slot
  /// that one query reads sharply keeps about its own value, a slot that stands for many gets
  /// theirs.
  at::Tensor local_prior(const at::Tensor& xw) const {
    const at::Tensor mass = xw.sum(0, false, at::kDouble).narrow(0, 0, t_).unsqueeze(1);
    const at::Tensor sums = at::mm(xw.t(), fitted_.outputs).narrow(0, 0, t_).to(at::kDouble);
    const at::Tensor mean = sums / mass.clamp_min(1e-300);
    return at::where(mass > 1e-12, mean, p_.values.index_select(0, index_).to(at::kDouble));
  }

  void fit_prior_values() {
    const at::Tensor x = compact_softmax(fitted_, beta_).a;
    const at::Tensor xw = x * fitted_.weights.unsqueeze(1);
    prior_ = o_.values == "prior" ? prior() : local_prior(xw);
    const at::Tensor off = fitted_.outputs - at::mm(x, wide(prior_.to(at::kFloat)));
    at::Tensor gram, rhs;
    double tau = 0;
    std::vector<at::Tensor> grams;
    if (!in_blocks()) {
      gram = gram_of(x, fitted_.weights);
      rhs = at::mm(xw.t(), off).narrow(0, 0, t_).to(gram.scalar_type());
      tau = gram.diagonal().mean().item<double>();
    }
    const auto solve = [&](double rho) -> at::Tensor {
      if (in_blocks()) return values_in_blocks(x, off, rho, grams);
      const at::Tensor off_prior = solve_symmetric(gram, rhs, rho * tau, fallbacks_);
      if (off_prior.defined()) return prior_ + off_prior;
      ++fallbacks_.prior;
      return prior_;
    };
    const bool choose = o_.rho == 0 && deciding_.size() > 0;
    const std::vector<double> rhos = choose ? std::vector<double>{1e-3, 1e-2, 1e-1}
                                            : std::vector<double>{o_.rho > 0 ? o_.rho : 1e-2};
    const at::Tensor judge = choose ? compact_softmax(deciding_, beta_).a : at::Tensor();
    double best = INFINITY;
    for (double rho : rhos) {
      const at::Tensor values = solve(rho);
      const double error = choose ? output_error(deciding_, judge, values) : 0.0;
      if (error < best) {
        best = error;
        values_ = values;
      }
    }
    if (!values_.defined()) values_ = prior_;
  }

  /// What left the finite or the plausible is replaced: values by the prior, or by the slots' own
  /// where that is not finite either, biases by 0.
  void guard() {
    if (!beta_.isfinite().all().item<bool>()) {
      beta_ = at::zeros_like(beta_);
      ++fallbacks_.bias;
    }
    if (o_.values == "ls") {
      if (values_.isfinite().all().item<bool>()) return;  // published: no bound
    } else {
      const double bound = 10 * p_.values.abs().max().item<double>();
      if (values_.isfinite().all().item<bool>() && values_.abs().max().item<double>() <= bound)
        return;
    }
    const bool usable = prior_.defined() && prior_.isfinite().all().item<bool>();
    values_ = usable ? prior_ : p_.values.index_select(0, index_).to(at::kDouble);
    ++fallbacks_.prior;
  }

  const HeadProblem& p_;
  const FitOptions& o_;
  int64_t t_, width_;
  at::Tensor index_, keys_, old_bias_;
  Rows fitted_, deciding_, reporting_;
  PublishedTargets published_;        ///< of the published weights
  at::Tensor features_;               ///< [m, T] f32 softmax of the fitted rows over all slots
  at::Tensor beta_, values_, prior_;  ///< f64
  FitFallbacks fallbacks_;
};

}  // namespace

FitFallbacks& FitFallbacks::operator+=(const FitFallbacks& other) {
  ridge += other.ridge;
  eigen += other.eigen;
  prior += other.prior;
  bias += other.bias;
  return *this;
}

FitResult fit_head(const HeadProblem& problem, const std::vector<int32_t>& kept,
                   const std::vector<uint8_t>& held, const FitOptions& options) {
  const auto t = static_cast<int64_t>(kept.size());
  const int64_t blocks = blocks_of(t, options);
  if (blocks == 1) return HeadFit(problem, kept, held, options).run();
  // Every block holds slots from all over the text, so that none has a stretch of it to itself.
  std::vector<int64_t> order;
  std::vector<int32_t> dealt;
  for (int64_t b = 0; b < blocks; ++b)
    for (int64_t i = b; i < t; i += blocks) {
      order.push_back(i);
      dealt.push_back(kept[i]);
    }
  FitResult r = HeadFit(problem, dealt, held, options).run();
  const at::Tensor index = at::tensor(order, at::kLong);
  r.bias = at::empty_like(r.bias).index_copy_(0, index, r.bias);
  r.values = at::empty_like(r.values).index_copy_(0, index, r.values);
  return r;
}

}  // namespace limbeck
