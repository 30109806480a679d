#include "limbeck/base/error.h"
#include "limbeck/compact/parallel.h"
#include "limbeck/compact/score/scorer.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

namespace limbeck {
namespace {

struct CriticalOptions {
  std::string base = "snapkv";
  double first = 0.5;
  int64_t pool = 5;
  int64_t window = 64;
  template <class V>
  void for_each_field(V&& v) {
    v("base", base, one_of({"h2o", "noncausal", "sage", "snapkv", "tova"}),
      "scorer whose attention is weighed; one without value norms");
    v("first", first, closed(0.0, 1.0), "part of the open budget that the base chooses alone");
    v("pool", pool, closed(1, 255), "of snapkv as the base");
    v("window", window, closed(1, 1 << 16), "of snapkv as the base");
  }
};

/// The base's best slots take half of what is open; the rest goes by attention times the size of
/// what a slot adds to the layer's output, |W_o v| in the 1-norm, mean over the group (arXiv
/// 2502.03805).
class CriticalScorer : public Scorer {
 public:
  explicit CriticalScorer(const CriticalOptions& o)
      : options_(o),
        base_(make_scorer(o.base, o.base == "snapkv"
                                      ? OptionTexts{{"pool", std::to_string(o.pool)},
                                                    {"window", std::to_string(o.window)}}
                                      : OptionTexts{})) {}

  ScorerTraits traits() const override {
    ScorerTraits t = base_->traits();
    t.comparable = Comparable::layer;
    t.budget = BudgetUse::all;  // half of each head's own is chosen by the base alone
    return t;
  }

  void score(const ScoreInput& in, const at::Tensor& out) const override {
    base_->score(in, out);
    const LayerSegment& s = *in.slots;
    LIMBECK_CHECK(static_cast<int64_t>(in.budgets.size()) == s.kv_heads(),
                  "{} budgets for {} heads", in.budgets.size(), s.kv_heads());
    std::vector<at::Tensor> chosen(s.kv_heads());
    parallel_tasks(s.kv_heads(), [&](int64_t h) {
      chosen[h] = at::tensor(best(in, h, out), at::kLong);
      if (s.slots(h) > 0)
        out.narrow(0, s.offsets[h], s.slots(h)).add_(1e-4).mul_(output_norms(in, h));
    });
    // What the base chose stands above everything else of the layer, in its old order.
    const float top = out.numel() > 0 ? out.max().item<float>() : 0.0F;
    for (int64_t h = 0; h < s.kv_heads(); ++h) {
      const int64_t n = chosen[h].size(0);
      if (n > 0)
        out.index_copy_(0, chosen[h],
                        at::arange(n, 0, -1, at::kFloat).div_(static_cast<double>(n)) + top);
    }
  }

 private:
  /// Packed numbers of the open slots of head h that the base ranks first, best first.
  std::vector<int64_t> best(const ScoreInput& in, int64_t h, const at::Tensor& scores) const {
    const int32_t* position = in.slots->positions.const_data_ptr<int32_t>();
    const float* score = scores.const_data_ptr<float>();
    const float* bias = in.slots->bias.defined() ? in.slots->bias.const_data_ptr<float>() : nullptr;
    std::vector<int64_t> open;
    int64_t forced = 0;
    for (int64_t i = in.slots->offsets[h]; i < in.slots->offsets[h + 1]; ++i) {
      if (!in.forced.empty() && in.forced[i] != 0)
        ++forced;
      else if (bias == nullptr || bias[i] != kNoCandidate)
        open.push_back(i);
    }
    const auto share = static_cast<int64_t>(
        std::floor(options_.first * static_cast<double>(in.budgets[h] - forced) + 1e-9));
    const int64_t count = std::clamp<int64_t>(share, 0, static_cast<int64_t>(open.size()));
    std::partial_sort(open.begin(), open.begin() + count, open.end(), [&](int64_t a, int64_t b) {
      return score[a] != score[b] ? score[a] > score[b] : position[a] > position[b];
    });
    open.resize(count);
    return open;
  }

  /// [T] f32: |W_o v_j| in the 1-norm for the part of W_o that each query head of the group meets,
  /// mean over the group; |v_j| without a model.
  static at::Tensor output_norms(const ScoreInput& in, int64_t h) {
    const LayerSegment& s = *in.slots;
    const at::Tensor values = s.values.narrow(0, s.offsets[h], s.slots(h)).to(at::kFloat);
    if (in.model == nullptr) return values.abs().sum(1);
    const int64_t group = in.model->spec().group(), dim = values.size(1);
    at::Tensor sum = at::zeros({values.size(0)}, at::kFloat);
    constexpr int64_t kRows = 512;  // [rows, hidden] at a time
    for (int64_t g = 0; g < group; ++g) {
      const at::Tensor w = in.model->weights()
                               .layers[in.layer]
                               .output.narrow(1, (h * group + g) * dim, dim)
                               .to(at::kFloat);
      for (int64_t i = 0; i < values.size(0); i += kRows) {
        const int64_t n = std::min(kRows, values.size(0) - i);
        sum.narrow(0, i, n).add_(at::mm(values.narrow(0, i, n), w.t()).abs().sum(1));
      }
    }
    return sum / static_cast<double>(group);
  }

  CriticalOptions options_;
  std::unique_ptr<Scorer> base_;
};

}  // namespace

std::unique_ptr<Scorer> make_critical_scorer(const OptionTexts& options) {
  return std::make_unique<CriticalScorer>(options_from_texts<CriticalOptions>("critical", options));
}
std::vector<FieldInfo> describe_critical_scorer() { return options_describe<CriticalOptions>(); }

}  // namespace limbeck
