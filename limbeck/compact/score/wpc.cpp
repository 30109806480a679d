#include "limbeck/compact/fit/wpc.h"
#include "limbeck/compact/fit/choose_rows.h"
#include "limbeck/compact/fit/gram.h"
#include "limbeck/compact/fit/row_features.h"
#include "limbeck/compact/fit/shapes.h"
#include "limbeck/compact/score/head_problem.h"
#include "limbeck/compact/score/hull.h"
#include "limbeck/compact/score/scorer.h"

#include <ATen/ATen.h>

#include <cmath>
#include <numeric>

namespace limbeck {
namespace {

/// Rows times slots that a sample has at least: small heads can afford more rows, and gain from
/// them (docs/results/books.md).
constexpr int64_t kSampleSize = 3 << 19;

/// Rows times slots, or the entries of a Gram matrix, that a head has in memory at most: 128 MiB.
constexpr int64_t kMostEntries = 1 << 25;

struct WpcScorerOptions {
  double lam = 0.3;
  double part_power = 0.0;
  double reach = 2.0;
  std::string gram = "auto";
  int64_t floor = 4;
  int64_t dense = 256;
  double mix = 4.0;
  double pool = 0.4;
  int64_t pool_least = 1024;
  int64_t rows = 2048;
  template <class V>
  void for_each_field(V&& v) {
    v("dense", dense, at_least(1),
      "auto: slots of a head up to which all of its rows count by themselves");
    v("floor", floor, closed(0, 1 << 20), "slots that every head keeps first");
    v("gram", gram, one_of({"auto", "full", "mixed", "sampled", "sketch"}),
      "whole Gram matrix; sums of rows; a sample of the rows; a sketch and then a pool of slots");
    v("lam", lam, closed(0.0, 100.0), "weight of the mass against the rms of the values");
    v("mix", mix, closed(1.0, 64.0), "mixed: sums of rows for each slot that is ordered");
    v("part_power", part_power, closed(0.0, 4.0),
      "rows weigh by this power of the part of their attention that lies in the span");
    v("pool", pool, closed(0.0, 1.0),
      "part of a large head's slots that it chooses from, by the scores of the stage before");
    v("pool_least", pool_least, at_least(1), "slots that it chooses from, whatever the pool");
    v("reach", reach, closed(1.0, 1000.0),
      "slots ordered beyond the forced ones, in mean shares of what is left to hand out");
    v("rows", rows, at_least(16), "sampled: most rows of a head; mixed: fewest sums");
  }
};

/// Weighted pivoted Cholesky (docs/methods.md). Scores are the
/// marginal gains of the hull of each head's error curve times the head's weight: one ranking over
/// all heads is then water-filling, and a ranking within a head keeps a prefix of the order.
class WpcScorer : public Scorer {
 public:
  explicit WpcScorer(WpcScorerOptions o) : options_(std::move(o)) {}
  ScorerTraits traits() const override {
    return {.comparable = Comparable::model, .needs_queries = true, .normalizable = false};
  }

  void score(const ScoreInput& in, const at::Tensor& out) const override {
    out.fill_(kNoCandidate);
    const int64_t heads = in.slots->kv_heads();
    // One pass that the builder needs as well, in place of the fits' own.
    if (in.seen != nullptr && in.seen->empty()) {
      in.seen->resize(heads);
      for (int64_t h = 0; h < heads; ++h)
        if (in.slots->slots(h) > 0) (*in.seen)[h] = head_attention(*in.slots, *in.queries, h);
    }
    const int64_t mean = std::max<int64_t>(
        1, std::accumulate(in.budgets.begin(), in.budgets.end(), int64_t{0}) / heads);
    for (int64_t h = 0; h < heads; ++h) {
      if (in.slots->slots(h) == 0) continue;
      const double weight = in.head_weights.empty() ? 1.0 : in.head_weights[h];
      rank(in, h, order(in, h, mean), weight, out.mutable_data_ptr<float>() + in.slots->offsets[h]);
    }
  }

 private:
  WpcOrder order(const ScoreInput& in, int64_t h, int64_t mean) const {
    HeadProblem p = head_problem(in, h);
    if (options_.part_power > 0 && in.seen != nullptr && !in.seen->empty())
      p.weights = p.weights * (*in.seen)[h].part.pow(options_.part_power).clamp_min(1e-3);
    const int64_t size = p.keys.size(0);
    WpcOptions o;
    o.forced = forced_pivots(in, h);
    const auto forced = static_cast<int64_t>(o.forced.size());
    int64_t open =
        std::max(options_.floor, static_cast<int64_t>(std::ceil(options_.reach * in.open_budget)));
    if (in.own_budgets) open = std::max(open, in.budgets[h] - forced);
    o.limit = std::min(size, forced + open);
    const bool large = size > options_.dense, first_stage = in.earlier.empty();
    const bool bf16 = in.slots->keys.scalar_type() == at::kBFloat16;
    const uint64_t seed = in.seed + static_cast<uint64_t>(in.layer * 1000 + h);
    if (options_.gram == "auto" && forced == 0 && (first_stage || !large)) {
      const int64_t rows = rows_of_open_head(p, o.limit);
      if (rows > 0) {
        const at::Tensor values = p.values;
        return order_on_rows(mixed_row_features(std::move(p), rows, options_.lam, seed), values, o,
                             open, bf16, 0);
      }
    } else if (options_.gram == "sampled" || options_.gram == "mixed" ||
               (options_.gram == "auto" && large)) {
      const std::vector<int32_t> pool = candidates(in, h, forced + open);
      if (pool.empty()) return order_on_some_rows(std::move(p), o, open, bf16, seed);
      // Targets come from all slots; only the choice is among few.
      std::vector<int32_t> place(size, -1);
      for (size_t i = 0; i < pool.size(); ++i) place[pool[i]] = static_cast<int32_t>(i);
      for (int32_t& slot : o.forced) slot = place[slot];
      p.complete();
      const at::Tensor index =
          at::tensor(std::vector<int64_t>(pool.begin(), pool.end()), at::kLong);
      p.keys = p.keys.index_select(0, index);
      p.values = p.values.index_select(0, index);
      if (p.bias.defined()) p.bias = p.bias.index_select(0, index);
      WpcOrder found = order_on_some_rows(std::move(p), o, open, bf16, seed);
      for (int32_t& slot : found.order) slot = pool[slot];
      return found;
    }
    const int64_t t = std::max(mean, forced);
    if (options_.gram == "sketch" && 8 * t < size) return order_on_pool(std::move(p), o, t, seed);
    const auto gram = dense_gram(attention_gram(p));
    return wpc(*gram, wpc_targets(*gram, p.values, options_.lam), o);
  }

  /// The slots that a large head chooses from, in rising order: those with the highest scores of
  /// the stage before and the forced ones. Empty: all.
  std::vector<int32_t> candidates(const ScoreInput& in, int64_t h, int64_t wanted) const {
    const int64_t first = in.slots->offsets[h], size = in.slots->slots(h);
    const auto part = static_cast<int64_t>(std::ceil(options_.pool * static_cast<double>(size)));
    const int64_t pool = product_size(std::max({part, 2 * wanted, options_.pool_least}));
    if (in.earlier.empty() || pool >= size) return {};
    std::vector<int32_t> out(size);
    std::iota(out.begin(), out.end(), 0);
    std::nth_element(out.begin(), out.begin() + pool, out.end(), [&](int32_t a, int32_t b) {
      const bool fa = in.forced[first + a] != 0, fb = in.forced[first + b] != 0;
      if (fa != fb) return fa;
      const float x = in.earlier[first + a], y = in.earlier[first + b];
      return x != y ? x > y : a < b;
    });
    out.resize(pool);
    std::sort(out.begin(), out.end());
    return out;
  }

  /// The rows, or sums of rows, that a head is ordered on of which no slot is taken; 0: on its
  /// whole Gram matrix, which takes n T^2 operations where a pick from the rows takes 2 n T.
  int64_t rows_of_open_head(const HeadProblem& p, int64_t picks) const {
    const int64_t n = p.queries.size(0), size = p.keys.size(0);
    const bool many = 2 * picks >= size;
    if (size <= options_.dense) return many || n * size > kMostEntries ? 0 : n;
    if (many && size * size <= kMostEntries) return 0;
    return sums(p, picks);
  }
  /// As many as `mix` asks for and memory allows, `rows` at least.
  int64_t sums(const HeadProblem& p, int64_t picks) const {
    const auto wanted = static_cast<int64_t>(options_.mix * static_cast<double>(picks));
    return std::min(p.queries.size(0),
                    std::max(options_.rows, std::min(wanted, kMostEntries / p.keys.size(0))));
  }

  /// A sample of the rows, or sums of them; forced slots are projected out at once. Time rows x
  /// slots x forced instead of queries x slots^2. A head with more forced slots than the rows can
  /// tell apart has only those with the most attention projected out and the others subtracted as
  /// they are.
  WpcOrder order_on_some_rows(HeadProblem p, const WpcOptions& o, int64_t open, bool bf16,
                              uint64_t seed) const {
    const int64_t n = p.queries.size(0), size = p.keys.size(0);
    const auto forced = static_cast<int64_t>(o.forced.size());
    const bool many = forced > options_.rows / 2;
    const int64_t projected = many ? options_.rows / 4 : forced;
    const at::Tensor values = p.values;
    if (options_.gram == "mixed") {
      const int64_t m = sums(p, projected + open);
      return order_on_rows(mixed_row_features(std::move(p), m, options_.lam, seed), values, o, open,
                           bf16, projected);
    }
    const int64_t most = std::min(n, many ? options_.rows / 2 : options_.rows),
                  least = std::min(most, std::max<int64_t>(512, kSampleSize / size));
    const int64_t m = std::clamp<int64_t>(product_size(2 * (projected + open)), least, most);
    if (m < n) {
      const ChosenRows rows = choose_rows(p.weights, m, {}, 0.0, {});
      p = p.rows(rows.index);
      p.weights = rows.weights;
    }
    return order_on_rows(row_features(std::move(p), options_.lam), values, o, open, bf16,
                         projected);
  }

  static WpcTargets targets_of(const RowFeatures& f, const at::Tensor& h) {
    return {h.to(at::kDouble), f.targets.square().sum(at::kDouble).item<double>(), f.total};
  }
  static WpcTargets targets_of(const RowFeatures& f) {
    return targets_of(f, at::mm(f.a.t(), f.targets));
  }

  /// All rows of `f`; the first `projected` of the forced slots are projected out.
  static WpcOrder order_on_rows(RowFeatures f, const at::Tensor& values, const WpcOptions& o,
                                int64_t open, bool bf16, int64_t projected) {
    const auto forced = static_cast<int64_t>(o.forced.size());
    const int64_t size = f.a.size(1);
    at::Tensor h;
    if (forced > 0) {
      at::Tensor index =
          at::tensor(std::vector<int64_t>(o.forced.begin(), o.forced.end()), at::kLong);
      if (projected < forced) {
        index =
            index.index_select(0, f.energy.index_select(0, index).argsort(0, /*descending=*/true));
        const at::Tensor rest = index.narrow(0, projected, forced - projected);
        const at::Tensor off = values.index_select(0, rest) - f.mean;
        f.targets.sub_(at::mm(f.a.index_select(1, rest),
                              at::cat({at::full({rest.size(0), 1}, f.lam, at::kFloat), off}, 1)));
        index = index.narrow(0, 0, projected);
      }
      h = project_out(f.a.index_select(1, index), f);
      if (!h.defined()) return {{}, {0.0}};
    } else {
      h = at::mm(f.a.t(), f.targets);
    }

    const auto gram = bf16 ? tiled_gram(f.a) : factored_gram(f.a);
    const WpcTargets t = targets_of(f, h);
    WpcOptions free;
    free.limit = std::min(open, size - forced);
    free.duplicate = 1e-3;
    free.reference = f.energy;
    for (int32_t slot : o.forced) free.reference[slot] = INFINITY;  // taken: never picked
    WpcOrder found = wpc(*gram, t, free);
    WpcOrder out;
    out.order = o.forced;
    out.forced = forced;
    // The curve starts behind the forced slots: their own energies are of no use to anybody.
    out.energy.assign(static_cast<size_t>(forced), found.energy.front());
    out.energy.insert(out.energy.end(), found.energy.begin(), found.energy.end());
    out.order.insert(out.order.end(), found.order.begin(), found.order.end());
    return out;
  }

  /// Takes the span of the columns `known` [m, k] out of the features and targets of `f`. Returns
  /// what is left of features times targets [T, 1 + D]; undefined when the columns cannot be
  /// factorised.
  static at::Tensor project_out(const at::Tensor& known, RowFeatures& f) {
    const int64_t k = known.size(1), wide = product_size(k), m = f.a.size(0);
    at::Tensor af = at::zeros({m, wide}, at::kFloat);  // [m, k], padded
    af.narrow(1, 0, k).copy_(known);
    at::Tensor g = at::mm(af.t(), af).narrow(0, 0, k).narrow(1, 0, k).to(at::kDouble);
    // Slots that nobody reads stay next to nothing beside the ridge.
    const at::Tensor scale = g.diagonal().clamp_min(1e-30).rsqrt();
    g = g * scale.unsqueeze(0) * scale.unsqueeze(1);
    g = 0.5 * (g + g.t());
    // Products of bf16 operands err by some 1e-5 of the diagonal.
    g.diagonal().add_(1e-4);
    const auto [l, info] = at::linalg_cholesky_ex(g);
    if (info.item<int32_t>() != 0) return {};
    // The first rows of w span the forced features, orthonormal but for the ridge. The targets less
    // that span, twice, come behind them: their products with the features are those of what is
    // left of both, and all of A goes through one product.
    const int64_t targets = f.targets.size(1);
    at::Tensor w = at::zeros({wide + targets, m}, at::kFloat);
    const at::Tensor span = w.narrow(0, 0, wide), rest = w.narrow(0, wide, targets);
    span.narrow(0, 0, k).copy_(at::linalg_solve_triangular(
        l.to(at::kFloat), (af.narrow(1, 0, k) * scale.to(at::kFloat)).t().contiguous(),
        /*upper=*/false));
    f.targets.addmm_(span.t(), at::mm(span, f.targets), 1, -1);
    rest.copy_((f.targets - at::mm(span.t(), at::mm(span, f.targets))).t());
    const at::Tensor seen = at::mm(w, f.a);
    f.a.addmm_(span.t(), seen.narrow(0, 0, wide), 1, -1);
    return seen.narrow(0, wide, targets).t();
  }

  /// A sketch chooses the pool, exact features of the pool decide.
  WpcOrder order_on_pool(HeadProblem p, const WpcOptions& o, int64_t t, uint64_t seed) const {
    const RowFeatures f = mixed_row_features(p, 4 * t, options_.lam, seed);
    WpcOptions choose = o;
    choose.limit = std::min(p.keys.size(0), 3 * t);
    std::vector<int32_t> pool = wpc(*factored_gram(f.a), targets_of(f), choose).order;
    std::vector<uint8_t> in_pool(p.keys.size(0), 0);
    for (int32_t slot : pool) in_pool[slot] = 1;
    for (int32_t slot : o.forced)
      if (in_pool[slot] == 0) pool.push_back(slot);
    std::sort(pool.begin(), pool.end());
    std::vector<int32_t> place(p.keys.size(0), -1);
    for (size_t i = 0; i < pool.size(); ++i) place[pool[i]] = static_cast<int32_t>(i);

    // Attention among all slots, but of the pool's alone: what is in memory is rows by pool.
    const at::Tensor index = at::tensor(std::vector<int64_t>(pool.begin(), pool.end()), at::kLong);
    p.complete();
    const at::Tensor a =
        attention_logits(p.queries, p.keys.index_select(0, index),
                         p.bias.defined() ? p.bias.index_select(0, index) : p.bias, p.scale)
            .sub_(p.lse.unsqueeze(1))
            .exp_();
    const WpcTargets targets = wpc_targets(a, p.outputs, p.weights, options_.lam);
    const at::Tensor weighted = a.mul(p.weights.sqrt().unsqueeze(1));
    const auto gram = dense_gram(at::mm(weighted.t(), weighted));
    WpcOptions exact = o;
    for (int32_t& slot : exact.forced) slot = place[slot];
    exact.limit = std::min(o.limit, static_cast<int64_t>(pool.size()));
    WpcOrder out = wpc(*gram, targets, exact);
    for (int32_t& slot : out.order) slot = pool[slot];
    return out;
  }

  /// Slots that are taken already, those with the highest earlier scores first.
  static std::vector<int32_t> forced_pivots(const ScoreInput& in, int64_t h) {
    std::vector<int32_t> out;
    const int64_t first = in.slots->offsets[h];
    for (int64_t i = first; i < in.slots->offsets[h + 1]; ++i)
      if (in.forced[i] != 0) out.push_back(static_cast<int32_t>(i - first));
    if (!in.earlier.empty())
      std::stable_sort(out.begin(), out.end(), [&](int32_t a, int32_t b) {
        return in.earlier[first + a] > in.earlier[first + b];
      });
    return out;
  }

  void rank(const ScoreInput& in, int64_t h, const WpcOrder& order, double weight,
            float* scores) const {
    const int64_t first = in.slots->offsets[h];
    int64_t kept = 0;
    for (int64_t i = first; i < in.slots->offsets[h + 1]; ++i) kept += in.forced[i] != 0 ? 1 : 0;
    const std::vector<double> gains =
        hull_gains(std::span(order.energy).subspan(static_cast<size_t>(order.forced)));
    float last = std::numeric_limits<float>::max();
    for (size_t k = 0; k < gains.size(); ++k, ++kept) {
      // Falling strictly, so that equal gains cannot be chosen out of order.
      float s = static_cast<float>(std::max(weight * gains[k], 0.0));
      if (kept < options_.floor)
        s = 1e30F * (1.0F - static_cast<float>(kept) / static_cast<float>(options_.floor + 1));
      // Around 0 by a step that is more than a denormal.
      last = s < last ? s : std::min(std::nextafter(last, -1.0F), last - 1e-30F);
      scores[order.order[static_cast<size_t>(order.forced) + k]] = last;
    }
  }

  WpcScorerOptions options_;
};

}  // namespace

std::unique_ptr<Scorer> make_wpc_scorer(const OptionTexts& options) {
  return std::make_unique<WpcScorer>(options_from_texts<WpcScorerOptions>("wpc", options));
}
std::vector<FieldInfo> describe_wpc_scorer() { return options_describe<WpcScorerOptions>(); }

}  // namespace limbeck
