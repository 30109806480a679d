#include "limbeck/compact/build/builder.h"

#include "limbeck/base/error.h"
#include "limbeck/compact/fit/choose_rows.h"
#include "limbeck/compact/fit/fit_head.h"
#include "limbeck/compact/score/head_problem.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <iterator>

namespace limbeck {
namespace {

struct FitBuilderOptions {
  int64_t joint = FitOptions{}.joint;
  int64_t limit = 200000;
  int64_t lm_steps = 1;
  double part_power = 0.0;
  double reader_weight = 1.0;
  double rho = 0;
  int64_t rows = 2048;
  int64_t rows_per_slot = 2;
  std::string values = "local";
  double most = 0.5;
  bool hold_out = true;
  template <class V>
  void for_each_field(V&& v) {
    v("hold_out", hold_out, yes_or_no(), "keep 15 % of the rows to choose and to report by");
    v("joint", joint, at_least(16),
      "slots fitted at once; a head that keeps more is fitted in blocks");
    v("limit", limit, at_least(1),
      "most reference rows a KV head to choose from; all of a text of some tens of thousands of "
      "tokens, so that the query that reads a slot most is among them");
    v("lm_steps", lm_steps, closed(0, 100), "Levenberg-Marquardt steps on the biases");
    v("most", most, closed(0.0, 1.0),
      "a head that keeps more than this part of the text is copied");
    v("part_power", part_power, closed(0.0, 4.0),
      "rows weigh by this power of the part of their attention that lies in the span");
    v("reader_weight", reader_weight, closed(0.0, 1e6),
      "rows that the query which reads a kept slot most counts for, at least");
    v("rho", rho, closed(0.0, 1e3), "ridge of the values; 0 = the best of three on held-out rows");
    v("rows", rows, at_least(1), "reference rows a KV head, at least");
    v("rows_per_slot", rows_per_slot, at_least(1), "and so many for each slot that it keeps");
    v("values", values, one_of({"copy", "local", "prior"}),
      "fitted around the mean output of a slot's readers, around Nystrom values, or untouched");
  }
};

struct LiteralBuilderOptions {
  int64_t iterations = 0;
  double low = 1e-12, high = 1096.6331584284585;  // e^7
  int64_t rows = 50000;
  std::string values = "ls";
  template <class V>
  void for_each_field(V&& v) {
    v("high", high, at_least(0), "upper bound of the weights");
    v("iterations", iterations, closed(0, 1000), "projected gradient steps");
    v("low", low, open_closed(0.0, 1e300), "lower bound of the weights");
    v("rows", rows, at_least(1), "most reference rows a KV head");
    v("values", values, one_of({"copy", "ls"}), "least squares, or untouched");
  }
};

/// Which rows of a head its fit looks at.
struct RowPlan {
  int64_t rows = 0, rows_per_slot = 0;
  bool readers = false;  ///< and the queries that read a kept slot most
  double reader_weight = 1.0;
  bool hold_out = false;
  double part_power = 0.0;
};

class FitBuilder : public Builder {
 public:
  FitBuilder(FitOptions fit, RowPlan plan, double most, int64_t limit)
      : fit_(std::move(fit)), plan_(plan), most_(most), limit_(limit) {}

  bool needs_queries() const override { return true; }
  // The published cap (arXiv 2602.16284).
  double largest_part() const override { return fit_.weights == "literal" ? 0.75 : 1.0; }
  int64_t query_limit(int64_t) const override { return limit_; }

  std::optional<FittedHead> fit(const BuildInput& in, int64_t h) const override {
    const auto t = static_cast<int64_t>(in.kept[h].size()), all = in.slots->slots(h);
    // Of the text: slots that an earlier compaction left stand for several tokens each, and what
    // they stood for must not be lost when some of them go.
    const int64_t text = std::max(in.tokens, all);
    if (t == 0 || t == all || static_cast<double>(t) > most_ * static_cast<double>(text))
      return {};  // nothing to fit, or so much kept that a copy is as good
    if (in.verbatim.empty() || in.verbatim[h].empty()) return fitted(in, h, in.kept[h], {});
    std::vector<int32_t> open;
    std::set_difference(in.kept[h].begin(), in.kept[h].end(), in.verbatim[h].begin(),
                        in.verbatim[h].end(), std::back_inserter(open));
    if (open.empty()) return {};
    return with_verbatim(in, h, open, fitted(in, h, open, in.verbatim[h]));
  }

 private:
  /// What the other slots got, among those that keep what they have.
  static FitResult with_verbatim(const BuildInput& in, int64_t h, const std::vector<int32_t>& open,
                                 FitResult r) {
    const std::vector<int32_t>& kept = in.kept[h];
    const LayerSegment& slots = *in.slots;
    const int64_t begin = slots.offsets[h], n = slots.slots(h);
    const at::Tensor all = at::tensor(std::vector<int64_t>(kept.begin(), kept.end()), at::kLong);
    std::vector<int64_t> places;
    for (const int32_t slot : open)
      places.push_back(std::lower_bound(kept.begin(), kept.end(), slot) - kept.begin());
    const at::Tensor at_places = at::tensor(places, at::kLong);
    const at::Tensor bias = slots.bias.defined()
                                ? slots.bias.narrow(0, begin, n).index_select(0, all)
                                : at::zeros({all.size(0)}, at::kFloat);
    const at::Tensor values = slots.values.narrow(0, begin, n).index_select(0, all).to(at::kFloat);
    r.bias = bias.index_copy(0, at_places, r.bias);
    r.values = values.index_copy(0, at_places, r.values);
    return r;
  }

  /// Slots `kept` stand for all of the head's slots but `without`.
  FitResult fitted(const BuildInput& in, int64_t h, const std::vector<int32_t>& kept,
                   const std::vector<int32_t>& without) const {
    HeadAttention own;
    const HeadAttention* seen = in.seen != nullptr && !in.seen->empty() ? &(*in.seen)[h] : nullptr;
    if (plan_.readers && (seen == nullptr || !seen->reader.defined())) {
      own = head_attention(*in.slots, *in.queries, h);
      seen = &own;
    }
    HeadProblem p = head_problem(*in.slots, *in.queries, h, seen);
    if (plan_.part_power > 0 && seen != nullptr)
      p.weights = p.weights * seen->part.pow(plan_.part_power).clamp_min(1e-3);
    const int64_t n = p.queries.size(0), group = n / std::max<int64_t>(1, in.queries->tokens());
    const auto held = plan_.hold_out ? in.queries->held_out(group) : std::vector<uint8_t>{};
    const int64_t uniform =
        std::max(plan_.rows, plan_.rows_per_slot * static_cast<int64_t>(kept.size()));
    if (uniform >= n && !plan_.readers) {
      leave_out(p, without);
      return fit_head(p, numbers_without(kept, without), held, fit_);
    }
    std::vector<int32_t> readers;
    if (seen != nullptr && seen->reader.defined())
      for (int32_t slot : kept) readers.push_back(seen->reader.const_data_ptr<int32_t>()[slot]);
    const ChosenRows rows = choose_rows(p.weights, uniform, readers, plan_.reader_weight, held);
    HeadProblem part = p.rows(rows.index);
    part.weights = rows.weights;
    leave_out(part, without);
    return fit_head(part, numbers_without(kept, without), rows.held, fit_);
  }

  /// The problem without some slots; what its rows see in the others is not known any more.
  static void leave_out(HeadProblem& p, const std::vector<int32_t>& slots) {
    if (slots.empty()) return;
    at::Tensor stays = at::ones({p.keys.size(0)}, at::kBool);
    stays.index_fill_(0, at::tensor(std::vector<int64_t>(slots.begin(), slots.end()), at::kLong),
                      false);
    const at::Tensor index = stays.nonzero().squeeze(1);
    for (at::Tensor* x : {&p.keys, &p.values, &p.bias})
      if (x->defined()) *x = x->index_select(0, index);
    for (at::Tensor* x : {&p.outputs, &p.lse, &p.top, &p.mass}) x->reset();
  }
  /// What the slots are called once those are gone. Both ascend.
  static std::vector<int32_t> numbers_without(std::vector<int32_t> slots,
                                              const std::vector<int32_t>& gone) {
    for (int32_t& slot : slots)
      slot -= static_cast<int32_t>(std::lower_bound(gone.begin(), gone.end(), slot) - gone.begin());
    return slots;
  }

  FitOptions fit_;
  RowPlan plan_;
  double most_;
  int64_t limit_;
};

}  // namespace

std::unique_ptr<Builder> make_fit_builder(const std::map<std::string, std::string>& options) {
  const auto o = options_from_texts<FitBuilderOptions>("fit", options);
  FitOptions fit;
  fit.joint = o.joint;
  fit.lm_steps = o.lm_steps;
  fit.rho = o.rho;
  fit.values = o.values;
  return std::make_unique<FitBuilder>(
      fit, RowPlan{o.rows, o.rows_per_slot, true, o.reader_weight, o.hold_out, o.part_power},
      o.most, o.limit);
}
std::unique_ptr<Builder> make_literal_builder(const std::map<std::string, std::string>& options) {
  const auto o = options_from_texts<LiteralBuilderOptions>("fit-literal", options);
  if (o.low > o.high)
    throw InvalidArgument("[fit-literal] low must be at most high; found {} and {}", o.low, o.high);
  FitOptions fit;
  fit.weights = "literal";
  fit.iterations = o.iterations;
  fit.low = o.low;
  fit.high = o.high;
  fit.values = o.values;
  return std::make_unique<FitBuilder>(fit, RowPlan{o.rows, 1, false, 0.0, false, 0.0}, 1.0, o.rows);
}
std::vector<FieldInfo> describe_fit_builder() { return options_describe<FitBuilderOptions>(); }
std::vector<FieldInfo> describe_literal_builder() {
  return options_describe<LiteralBuilderOptions>();
}

}  // namespace limbeck
