#include "limbeck/compact/build/builder.h"
#include "limbeck/compact/fit/fit_head.h"
#include "limbeck/compact/score/head_problem.h"

#include <ATen/ATen.h>

namespace limbeck {
namespace {

struct FitBuilderOptions {
  int64_t lm_steps = 3;
  double rho = 0;
  int64_t rows = 4096;
  int64_t rows_per_slot = 8;
  std::string values = "prior";
  bool hold_out = true;
  template <class V>
  void for_each_field(V&& v) {
    v("hold_out", hold_out, yes_or_no(), "keep 15 % of the rows to choose and to report by");
    v("lm_steps", lm_steps, closed(0, 100), "Levenberg-Marquardt steps on the biases");
    v("rho", rho, closed(0.0, 1e3), "ridge of the values; 0 = the best of three on held-out rows");
    v("rows", rows, at_least(1), "reference rows a KV head, at least");
    v("rows_per_slot", rows_per_slot, at_least(1), "and so many for each slot of the mean budget");
    v("values", values, one_of({"copy", "prior"}),
      "fitted around interpolated values, or untouched");
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
    v("low", low, at_least(0), "lower bound of the weights");
    v("rows", rows, at_least(1), "most reference rows a KV head");
    v("values", values, one_of({"copy", "ls"}), "least squares, or untouched");
  }
};

class FitBuilder : public Builder {
 public:
  FitBuilder(FitOptions fit, int64_t rows, int64_t rows_per_slot, bool hold_out)
      : fit_(std::move(fit)), rows_(rows), rows_per_slot_(rows_per_slot), hold_out_(hold_out) {}

  bool needs_queries() const override { return true; }
  int64_t query_limit(int64_t mean_budget) const override {
    return std::max(rows_, rows_per_slot_ * mean_budget);
  }

  LayerSegment build(const BuildInput& in, BuildStatistics& statistics) const override {
    LayerSegment out = copy_slots(in);
    // Keys are final; biases are fitted first, then values with what will be stored.
    at::Tensor bias = out.bias.defined() ? out.bias.clone() : at::zeros({out.slots()}, at::kFloat);
    at::Tensor values = out.values.clone();
    bool any = false;
    for (int64_t h = 0; h < out.kv_heads(); ++h) {
      const int64_t t = out.slots(h);
      if (t == 0 || t == in.slots->slots(h)) continue;  // nothing left, or everything: exact
      any = true;
      const HeadProblem p = head_problem(*in.slots, *in.queries, h);
      const int64_t group = p.queries.size(0) / std::max<int64_t>(1, in.queries->tokens());
      std::vector<uint8_t> held;
      if (hold_out_) held = in.queries->held_out(group);
      const FitResult r = fit_head(p, in.kept[h], held, fit_);
      bias.narrow(0, out.offsets[h], t).copy_(r.bias);
      values.narrow(0, out.offsets[h], t).copy_(r.values);
      ++statistics.fitted;
      statistics.fallbacks += r.fallbacks;
      statistics.output_error += r.output_error;
      statistics.mass_error += r.mass_error;
    }
    if (!any) return out;
    out.bias = bias;
    out.values = values;
    return out;
  }

 private:
  FitOptions fit_;
  int64_t rows_, rows_per_slot_;
  bool hold_out_;
};

}  // namespace

std::unique_ptr<Builder> make_fit_builder(const std::map<std::string, std::string>& options) {
  const auto o = options_from_texts<FitBuilderOptions>("fit", options);
  FitOptions fit;
  fit.lm_steps = o.lm_steps;
  fit.rho = o.rho;
  fit.values = o.values;
  return std::make_unique<FitBuilder>(fit, o.rows, o.rows_per_slot, o.hold_out);
}
std::unique_ptr<Builder> make_literal_builder(const std::map<std::string, std::string>& options) {
  const auto o = options_from_texts<LiteralBuilderOptions>("fit-literal", options);
  FitOptions fit;
  fit.weights = "literal";
  fit.iterations = o.iterations;
  fit.low = o.low;
  fit.high = o.high;
  fit.values = o.values;
  return std::make_unique<FitBuilder>(fit, o.rows, 1, false);
}
std::vector<FieldInfo> describe_fit_builder() { return options_describe<FitBuilderOptions>(); }
std::vector<FieldInfo> describe_literal_builder() {
  return options_describe<LiteralBuilderOptions>();
}

}  // namespace limbeck
